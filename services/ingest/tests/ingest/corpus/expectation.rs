//! What one row of the corpus must get, and whether an answer is that.

use serde::Deserialize;

use crate::client::Answer;

/// The longest refusal, in bytes.
const MAX_BODY_BYTES: usize = 512;
/// The most bytes of a request that its refusal may repeat.
const MAX_ECHO_BYTES: usize = 64;

/// An entry of the table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expectation {
    status: u16,
    /// The label of the one refusal that is counted.
    pub(super) reason: Option<String>,
    /// A part of the sentence.
    #[serde(default)]
    fragment: String,
    /// The whole answer, white space between tokens aside.
    answer: Option<String>,
    /// The HTTP library refuses: a status without a body.
    #[serde(default)]
    bare: bool,
    /// Sent to the process that wants credentials.
    #[serde(default)]
    pub(super) guarded: bool,
    /// Keys that are counted as ignored.
    #[serde(default)]
    pub(super) ignored_keys: u64,
}

impl Expectation {
    /// Whether a request is expected to reach infer.
    pub(super) fn is_taken(&self) -> bool {
        self.answer.is_some()
    }

    pub(super) fn check(&self, answer: &Answer, request: &[u8]) -> Result<(), String> {
        if answer.status != self.status {
            return Err(format!("status {}: {}", answer.status, shown(answer)));
        }
        if let Some(expected) = &self.answer {
            let given: String = answer.text().split_whitespace().collect();
            return match given == *expected {
                true => Ok(()),
                false => Err(format!("answer {given}")),
            };
        }
        if self.bare {
            return Ok(());
        }
        let sentence = sentence_of(answer)?;
        if !sentence.contains(&self.fragment) {
            return Err(format!("{:?} is not in {sentence:?}", self.fragment));
        }
        check_discreet(&sentence, request)
    }
}

/// The sentence of a refusal in the one form that all have.
fn sentence_of(answer: &Answer) -> Result<String, String> {
    if answer.header("content-type") != Some("application/json") {
        return Err(format!("no JSON: {}", shown(answer)));
    }
    if answer.body.len() > MAX_BODY_BYTES {
        return Err(format!("an answer of {} bytes", answer.body.len()));
    }
    let json: serde_json::Value =
        serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    let members = json.as_object().map_or(0, serde_json::Map::len);
    match json["error"].as_str() {
        Some(sentence) if members == 1 && !sentence.is_empty() => Ok(sentence.to_owned()),
        _ => Err(format!("not {{\"error\": …}}: {}", shown(answer))),
    }
}

/// A sentence tells nothing of our insides and repeats little of the request.
fn check_discreet(sentence: &str, request: &[u8]) -> Result<(), String> {
    for inside in [".rs", "panicked", "backtrace", "src/", "/home", "/tmp"] {
        if sentence.contains(inside) {
            return Err(format!("{inside:?} in {sentence:?}"));
        }
    }
    // Where a sentence could repeat more than the start, it would repeat the start as well.
    const ENOUGH_BYTES: usize = 64 << 10;
    let request = request.get(..ENOUGH_BYTES).unwrap_or(request);
    for echo in sentence.as_bytes().windows(MAX_ECHO_BYTES + 1) {
        if request.windows(echo.len()).any(|window| window == echo) {
            return Err(format!("more than 64 bytes repeated in {sentence:?}"));
        }
    }
    Ok(())
}

fn shown(answer: &Answer) -> String {
    answer.text().chars().take(200).collect()
}
