//! JSON bodies: TensorFlow Serving's, or bare instances.

use std::io::{self, Read};

use anyhow::bail;
use millrace_wire::Signature;
use millrace_wire::json::{JsonLimits, PredictRequest, parse_predict};

use crate::rows::members;

/// No body that fits a record is longer.
const MAX_BODY_BYTES: u64 = 128 << 20;

/// Standard input to its end.
pub(super) fn read_stdin() -> anyhow::Result<Vec<u8>> {
    let mut body = Vec::new();
    io::stdin()
        .lock()
        .take(MAX_BODY_BYTES + 1)
        .read_to_end(&mut body)?;
    if body.len() as u64 > MAX_BODY_BYTES {
        bail!("it has more than {MAX_BODY_BYTES} bytes; use millrace score");
    }
    Ok(body)
}

/// Reads a body: `{"instances": …}`, `{"inputs": …}`, a list of instances, or a single one.
///
/// # Errors
/// It is no JSON, with line and column, or does not fit the signature.
pub(super) fn parse(body: &[u8], signature: &Signature) -> anyhow::Result<PredictRequest> {
    let body = body.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(body);
    let limits = JsonLimits::default();
    let (before, after) = around(body, signature);
    let mut whole = Vec::with_capacity(before.len() + body.len() + after.len());
    for part in [before.as_bytes(), body, after.as_bytes()] {
        whole.extend_from_slice(part);
    }
    parse_predict(&whole, signature, &limits).map_err(|error| {
        let sentence = error.to_string();
        anyhow::anyhow!(match sentence.rsplit_once(" at offset: ") {
            Some((what, at)) => placed(body, what, at, before.len()),
            None => sentence,
        })
    })
}

/// What makes TensorFlow Serving's body of it.
fn around(body: &[u8], signature: &Signature) -> (&'static str, &'static str) {
    const INSTANCES: (&str, &str) = ("{\"instances\":", "}");
    const ONE: (&str, &str) = ("{\"instances\":[", "]}");
    const NOTHING: (&str, &str) = ("", "");
    let text = std::str::from_utf8(body).unwrap_or_default();
    match text.trim_ascii_start().as_bytes().first() {
        Some(b'[') => INSTANCES,
        Some(b'{') => {
            let is_input = |key: &str| signature.inputs.iter().any(|input| input.name == key);
            let keys = members(text).ok().flatten().unwrap_or_default();
            let is_body = |key: &str| matches!(key, "instances" | "inputs") && !is_input(key);
            let named = |key: &str| is_input(key) || key == "b64";
            match keys.iter().any(|(key, _)| named(key))
                && !keys.iter().any(|(key, _)| is_body(key))
            {
                true => ONE,
                false => NOTHING,
            }
        }
        Some(_) => ONE,
        None => NOTHING,
    }
}

/// The sentence with the line and column that the sender's editor shows.
fn placed(body: &[u8], what: &str, offset: &str, before: usize) -> String {
    let Ok(offset) = offset.parse::<usize>() else {
        return what.to_owned();
    };
    let at = offset.saturating_sub(before).min(body.len());
    let head = String::from_utf8_lossy(&body[..at]);
    let line = head.matches('\n').count() + 1;
    let column = head.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    format!("{what} at line {line}, column {column}")
}

#[cfg(test)]
mod tests {
    use millrace_wire::{DType, TensorSpec};

    use super::*;

    fn signature() -> Signature {
        Signature {
            inputs: vec![TensorSpec {
                name: "x".to_owned(),
                dtype: DType::Float32,
                shape: vec![None, Some(2)],
            }],
            outputs: Vec::new(),
        }
    }

    #[test]
    fn bodies_and_bare_instances_are_the_same_request() {
        for body in [
            r#"{"instances":[[1,2]]}"#,
            r#"{"instances":[{"x":[1,2]}]}"#,
            r#"{"inputs":[[1,2]]}"#,
            r#"{"inputs":{"x":[[1,2]]}}"#,
            r#"[[1,2]]"#,
            r#" [{"x":[1,2]}]"#,
            r#"{"x":[1,2]}"#,
        ] {
            let request = parse(body.as_bytes(), &signature()).unwrap();
            let values = request.tensors[0].typed::<f32>().unwrap();
            assert_eq!(values, [1.0, 2.0], "{body}");
        }
    }

    #[test]
    fn what_is_no_json_has_a_line_and_a_column() {
        for (body, place) in [
            ("[\n  [1,2]\n  [3,4]]", "line 3, column 3"),
            ("{\"x\":[1,2}", "line 1, column 10"),
            ("{\"instances\":\n[[1,2],[3;4]]}", "line 2, column 10"),
        ] {
            let sentence = parse(body.as_bytes(), &signature())
                .unwrap_err()
                .to_string();
            assert!(sentence.ends_with(place), "{sentence}");
        }
    }

    #[test]
    fn what_does_not_fit_names_the_field_what_was_expected_and_what_was_given() {
        let sentence = parse(br#"{"x":[1,"a"]}"#, &signature())
            .unwrap_err()
            .to_string();
        for word in ["\"a\"", "String", "float", "input x"] {
            assert!(sentence.contains(word), "{sentence}");
        }
    }
}
