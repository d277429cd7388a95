//! How long a caller waits, as far as he says so himself.

use std::time::{Duration, Instant};

use super::client::{raw, request};
use super::played::{echo, model_m, unix_ms};
use super::scene::{Scene, shared};

const M: &str = "/v1/models/m:predict";
const GOOD: &[u8] = br#"{"instances": [[1,2,3,4]]}"#;

#[test]
fn a_time_that_is_none_is_refused() {
    let scene = shared();
    // H82
    for given in ["0", "-1", "abc", "", "nan", "1,5", "0x1", "1 2"] {
        let header = format!("Request-Timeout: {given}");
        let answer = raw(scene.address, &request("POST", M, &[&header], GOOD));
        answer.check_refusal(400, "expected one number of seconds above 0");
    }
    let twice = ["Request-Timeout: 1", "Request-Timeout: 2"];
    let answer = raw(scene.address, &request("POST", M, &twice, GOOD));
    answer.check_refusal(400, "Request-Timeout is \"1, 2\"");
    // It is over before anybody can read it.
    let answer = raw(
        scene.address,
        &request("POST", M, &["Request-Timeout: 1e-9"], GOOD),
    );
    answer.check_refusal(504, "was over before the request was read");
    scene.check_alive();
}

#[test]
fn a_caller_waits_as_long_as_he_says_and_no_longer_than_the_settings_say() {
    let scene = Scene::start(|settings| settings.request_timeout = Duration::from_secs(3));
    let (sender, asked) = std::sync::mpsc::channel();
    scene.serve(&model_m(), move |it| {
        let deadline = it.headers.deadline_unix_ms.unwrap();
        sender.send(deadline).unwrap();
        match it.headers.version {
            Some(_) => echo(it),
            None => Vec::new(),
        }
    });
    scene.wait_ready();
    let post = |path: &str, seconds: &str| {
        let header = format!("Request-Timeout: {seconds}");
        raw(scene.address, &request("POST", path, &[&header], GOOD))
    };
    let began = Instant::now();
    post(M, "0.5").check_refusal(504, "was not answered within");
    let waited = began.elapsed();
    assert!((500..2500).contains(&waited.as_millis()), "{waited:?}");
    asked.recv().unwrap();

    let now = u64::try_from(unix_ms()).unwrap();
    let answer = post("/v1/models/m/versions/1:predict", "1e9");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let deadline = asked.recv().unwrap();
    assert!((now..now + 4_000).contains(&deadline), "{deadline} {now}");
}
