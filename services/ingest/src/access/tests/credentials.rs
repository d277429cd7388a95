//! Keys from a file, callers without one, and what each may do.

use super::*;

fn with_keys(files: &Files) -> AccessSettings {
    AccessSettings {
        api_keys: Some(files.write("keys.toml", key_file("checkout", "one"))),
        ..AccessSettings::default()
    }
}

fn nobody(access: &Access) -> Result<Caller, AccessError> {
    access.authenticate(Ok(None))
}

#[test]
fn without_settings_everybody_may_predict_and_nobody_may_control() {
    let (access, _watch) = open(&AccessSettings::default());
    let caller = ask(&access, "Basic of somebody in front").unwrap();
    access.permit(&caller, Right::Predict, "digits").unwrap();
    access.permit(&caller, Right::Read, "digits").unwrap();
    let refused = access.permit(&caller, Right::Control, "digits");
    assert_eq!(refused, Err(AccessError::ControlOff));
}

#[test]
fn a_key_opens_what_it_is_for() {
    let files = Files::new();
    let (access, _watch) = open(&with_keys(&files));
    let caller = ask(&access, "Bearer one").unwrap();
    assert_eq!(caller.name(), "checkout");
    access.permit(&caller, Right::Predict, "digits").unwrap();
    for (right, model) in [(Right::Predict, "fraud"), (Right::Read, "digits")] {
        let refused = access.permit(&caller, right, model).unwrap_err();
        assert_eq!(
            crate::front::Error::from(refused.clone()).http_status(),
            403
        );
        assert!(refused.to_string().contains(model), "{refused}");
    }
}

#[test]
fn missing_and_wrong_keys_are_401_with_a_challenge() {
    let files = Files::new();
    let (access, _watch) = open(&with_keys(&files));
    for refused in [
        nobody(&access).unwrap_err(),
        ask(&access, "Bearer two").unwrap_err(),
        ask(&access, "Bearer a.b.c").unwrap_err(),
        ask(&access, "Basic one").unwrap_err(),
    ] {
        assert_eq!(
            crate::front::Error::from(refused.clone()).http_status(),
            401
        );
        assert!(refused.challenge().unwrap().starts_with("Bearer "));
    }
}

#[test]
fn optional_credentials_must_still_be_right() {
    let files = Files::new();
    let settings = AccessSettings {
        required: Some(false),
        ..with_keys(&files)
    };
    let mut watcher = watcher();
    let control = ControlSettings {
        enabled: true,
        ..ControlSettings::default()
    };
    let access = Access::open(&settings, &control, &mut watcher).unwrap();
    let anonymous = nobody(&access).unwrap();
    access.permit(&anonymous, Right::Predict, "any").unwrap();
    let refused = access.permit(&anonymous, Right::Control, "any");
    assert!(matches!(refused, Err(AccessError::Forbidden { .. })));
    assert_eq!(
        ask(&access, "Bearer two").unwrap_err(),
        AccessError::Unknown
    );
}

#[test]
fn a_changed_file_takes_keys_away_and_a_broken_one_does_not() {
    let files = Files::new();
    let (access, _watch) = open(&with_keys(&files));
    files.write("keys.toml", key_file("checkout", "two"));
    eventually("the new key", || ask(&access, "Bearer two").is_ok());
    assert_eq!(
        ask(&access, "Bearer one").unwrap_err(),
        AccessError::Unknown
    );
    files.write("keys.toml", "[[keys]]\nnonsense");
    std::thread::sleep(20 * TICK);
    ask(&access, "Bearer two").unwrap();
    files.write("keys.toml", key_file("checkout", "three"));
    eventually("the third key", || ask(&access, "Bearer three").is_ok());
}
