//! Tokens: signed by whom, for whom, until when; and every way to forge one.

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256};
use serde_json::{Value, json};

use super::*;

/// Reads a private key in PEM.
type ReadKey = fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>;

/// A signer, and the public key that its tokens are verified with.
struct Signer {
    kid: &'static str,
    algorithm: Algorithm,
    key: EncodingKey,
    jwk: Value,
    public: Vec<u8>,
}

impl Signer {
    fn new(kid: &'static str, algorithm: Algorithm) -> Self {
        let (kind, read): (_, ReadKey) = match algorithm {
            Algorithm::RS256 => (&PKCS_RSA_SHA256, EncodingKey::from_rsa_pem),
            Algorithm::ES256 => (&PKCS_ECDSA_P256_SHA256, EncodingKey::from_ec_pem),
            _ => (&PKCS_ED25519, EncodingKey::from_ed_pem),
        };
        let pair = KeyPair::generate_for(kind).unwrap();
        let key = read(pair.serialize_pem().as_bytes()).unwrap();
        let mut jwk = match algorithm {
            // rcgen writes the newer form of such keys, which jsonwebtoken cannot take apart.
            Algorithm::EdDSA => {
                let x = URL_SAFE_NO_PAD.encode(pair.public_key_raw());
                json!({"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "x": x})
            }
            _ => json!(Jwk::from_encoding_key(&key, algorithm).unwrap()),
        };
        jwk["kid"] = json!(kid);
        Self {
            kid,
            algorithm,
            key,
            jwk,
            public: pair.public_key_pem().into_bytes(),
        }
    }

    fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.to_owned());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

/// One signer of each kind; RSA keys take their time.
static SIGNERS: LazyLock<[Signer; 3]> = LazyLock::new(|| {
    [
        Signer::new("rsa", Algorithm::RS256),
        Signer::new("ec", Algorithm::ES256),
        Signer::new("ed", Algorithm::EdDSA),
    ]
});

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Claims that are right in every way, and permit one model.
fn claims() -> Value {
    json!({
        "iss": "https://issuer.example", "aud": ["other", "millrace"], "sub": "robot",
        "exp": now() + 600, "nbf": now() - 600, "models": ["digits"],
    })
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims();
    change(&mut claims);
    claims
}

fn key_set() -> Value {
    json!({ "keys": SIGNERS.iter().map(|it| it.jwk.clone()).collect::<Vec<_>>() })
}

fn settings(files: &Files) -> AccessSettings {
    let mut settings = AccessSettings {
        jwks: Some(files.write("jwks.json", key_set().to_string())),
        ..AccessSettings::default()
    };
    settings.jwt.issuer = Some("https://issuer.example".to_owned());
    settings.jwt.audience = Some("millrace".to_owned());
    settings
}

/// Access that knows the signers; it does not watch.
fn access() -> Access {
    let files = Files::new();
    let settings = settings(&files);
    Access::open(&settings, &ControlSettings::default(), &mut watcher()).unwrap()
}

fn ask_with(access: &Access, token: &str) -> Result<Caller, AccessError> {
    ask(access, &format!("Bearer {token}"))
}

#[test]
fn tokens_of_all_three_kinds_open() {
    let access = access();
    for signer in &*SIGNERS {
        let caller = ask_with(&access, &signer.sign(&claims())).unwrap();
        assert_eq!(caller.name(), "robot");
        access.permit(&caller, Right::Predict, "digits").unwrap();
        access.permit(&caller, Right::Read, "digits").unwrap();
        assert!(access.permit(&caller, Right::Predict, "fraud").is_err());
    }
}

#[test]
fn scopes_grant_rights_and_models() {
    let access = access();
    let may = |claims: &Value, right, model| {
        let caller = ask_with(&access, &SIGNERS[2].sign(claims)).unwrap();
        access.permit(&caller, right, model).is_ok()
    };
    let scoped = |scope: &str| with(|it| it["scope"] = json!(scope));
    assert!(may(
        &scoped("openid millrace:predict"),
        Right::Predict,
        "digits"
    ));
    assert!(!may(
        &scoped("openid millrace:predict"),
        Right::Read,
        "digits"
    ));
    assert!(may(
        &scoped("millrace:read:fraud-*"),
        Right::Read,
        "fraud-eu"
    ));
    assert!(!may(
        &scoped("millrace:read:fraud-*"),
        Right::Predict,
        "digits"
    ));
    assert!(!may(
        &scoped("millrace:everything"),
        Right::Predict,
        "digits"
    ));
    let nothing = with(|it| drop(it.as_object_mut().unwrap().remove("models")));
    assert!(!may(&nothing, Right::Predict, "digits"));
    let unscoped = with(|it| it["models"] = json!("digits fraud-*"));
    assert!(may(&unscoped, Right::Predict, "fraud-eu"));
}

#[test]
fn wrong_claims_are_refused() {
    let access = access();
    let check = |claims: Value, expected: AccessError| {
        for signer in &*SIGNERS {
            let refused = ask_with(&access, &signer.sign(&claims)).unwrap_err();
            assert_eq!(refused, expected, "{claims}");
        }
    };
    check(
        with(|it| it["exp"] = json!(now() - 600)),
        AccessError::Expired,
    );
    check(
        with(|it| it["nbf"] = json!(now() + 600)),
        AccessError::TooEarly,
    );
    check(
        with(|it| it["iss"] = json!("https://other")),
        AccessError::Unknown,
    );
    check(with(|it| it["aud"] = json!("other")), AccessError::Unknown);
    check(
        with(|it| it["exp"] = json!("tomorrow")),
        AccessError::Unknown,
    );
    check(with(|it| it["nbf"] = json!("today")), AccessError::Unknown);
    for missing in ["exp", "iss", "aud"] {
        let claims = with(|it| drop(it.as_object_mut().unwrap().remove(missing)));
        check(claims, AccessError::Unknown);
    }
}

#[test]
fn a_clock_may_be_a_little_wrong() {
    let claims = with(|it| it["exp"] = json!(now() - 10));
    ask_with(&access(), &SIGNERS[2].sign(&claims)).unwrap();
}

/// A token of any header, signed by nobody.
fn unsigned(header: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(header), part(&claims()))
}

#[test]
fn another_algorithm_than_the_keys_is_refused() {
    let access = access();
    let unknown =
        |token: &str| assert_eq!(ask_with(&access, token).unwrap_err(), AccessError::Unknown);
    for algorithm in ["none", "None", "HS256", "RS256", "ES256", "EdDSA"] {
        for kid in ["rsa", "ec", "ed"] {
            unknown(&unsigned(&json!({"alg": algorithm, "kid": kid})));
        }
    }
    // The classic confusion: the public key, which everybody has, as the secret of an HMAC.
    for signer in &*SIGNERS {
        for algorithm in [Algorithm::HS256, Algorithm::HS512] {
            let mut header = Header::new(algorithm);
            header.kid = Some(signer.kid.to_owned());
            let key = EncodingKey::from_secret(&signer.public);
            unknown(&jsonwebtoken::encode(&header, &claims(), &key).unwrap());
        }
    }
    // A right signature, but of a weaker promise than the key was published for.
    let mut header = Header::new(Algorithm::RS512);
    header.kid = Some("rsa".to_owned());
    unknown(&jsonwebtoken::encode(&header, &claims(), &SIGNERS[0].key).unwrap());
}

#[test]
fn another_key_than_the_named_one_is_refused() {
    let access = access();
    let unknown =
        |token: &str| assert_eq!(ask_with(&access, token).unwrap_err(), AccessError::Unknown);
    let stranger = Signer::new("ed", Algorithm::EdDSA);
    unknown(&stranger.sign(&claims()));
    let nameless = Header::new(Algorithm::EdDSA);
    unknown(&jsonwebtoken::encode(&nameless, &claims(), &SIGNERS[2].key).unwrap());
    for kid in ["", "nobody", "../../etc/passwd", "ec"] {
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some(kid.to_owned());
        unknown(&jsonwebtoken::encode(&header, &claims(), &SIGNERS[2].key).unwrap());
    }
    // A key that the token brings along is not looked at.
    let mut header = Header::new(Algorithm::EdDSA);
    header.jwk = serde_json::from_value(stranger.jwk.clone()).ok();
    header.kid = Some("stranger".to_owned());
    unknown(&jsonwebtoken::encode(&header, &claims(), &stranger.key).unwrap());
}

#[test]
fn unknown_extensions_are_refused() {
    let mut header = Header::new(Algorithm::EdDSA);
    header.kid = Some("ed".to_owned());
    header.crit = Some(vec!["b64".to_owned()]);
    let token = jsonwebtoken::encode(&header, &claims(), &SIGNERS[2].key).unwrap();
    assert_eq!(
        ask_with(&access(), &token).unwrap_err(),
        AccessError::Unknown
    );
}

#[test]
fn a_changed_letter_anywhere_is_refused() {
    let access = access();
    let token = SIGNERS[1].sign(&claims());
    for at in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        // The last letter of a part has bits that decode to nothing.
        let last = token[at + 1..].is_empty() || token[at + 1..].starts_with('.');
        assert!(ask_with(&access, &changed).is_err() || last, "letter {at}");
    }
}

#[test]
fn a_changed_key_set_takes_keys_away() {
    let files = Files::new();
    let (access, _watch) = open(&settings(&files));
    let token = SIGNERS[2].sign(&claims());
    ask_with(&access, &token).unwrap();
    files.write("jwks.json", json!({"keys": [SIGNERS[1].jwk]}).to_string());
    eventually("the old key is gone", || ask_with(&access, &token).is_err());
    ask_with(&access, &SIGNERS[1].sign(&claims())).unwrap();
}

#[track_caller]
fn check_refused(set: &Value, fragment: &str) {
    let refused = Jwks::parse(set.to_string().as_bytes())
        .err()
        .expect("a refusal");
    let sentence = refused.to_string();
    assert!(sentence.contains(fragment), "{sentence}");
    assert!(!sentence.contains("hunter2"), "{sentence}");
}

#[test]
fn key_sets_that_would_be_dangerous_are_refused() {
    check_refused(&json!({"keys": []}), "has no key");
    check_refused(&json!([]), "is not understood");
    let secret = json!({"kty": "oct", "kid": "a", "k": "hunter2"});
    check_refused(&json!({"keys": [secret]}), "private or symmetric");
    let mut private = SIGNERS[1].jwk.clone();
    private["d"] = json!("hunter2");
    check_refused(&json!({"keys": [private]}), "private or symmetric");
    check_refused(
        &json!({"keys": [SIGNERS[1].jwk, SIGNERS[1].jwk]}),
        "stands twice",
    );
    let mut short = SIGNERS[0].jwk.clone();
    short["n"] = json!("AQAB");
    check_refused(&json!({"keys": [short]}), "2048 bits");
    let mut for_encryption = SIGNERS[0].jwk.clone();
    for_encryption["use"] = json!("enc");
    check_refused(&json!({"keys": [for_encryption]}), "has no key");
    let refused = Jwks::parse(b"{\"keys\": \n hunter2").err().unwrap();
    assert!(!refused.to_string().contains("hunter2"));
}
