//! JSON bodies: truncated at every byte, very deep, very long, very many.

use crate::client::request;

const M: &str = "/v1/models/m:predict";
const JSON: &str = "Content-Type: application/json";

/// The requests of a row of H01 to H46.
pub(super) fn requests(name: &str) -> Option<Vec<Vec<u8>>> {
    let body = match name {
        "H25-digits" => instances(&format!("[1,2,3,{}]", "7".repeat(200_000))),
        "H25-zeros" => instances(&format!("[1,2,3,0.{}1]", "0".repeat(100_000))),
        "H28-truncated" => return Some(truncated()),
        "H38-long" => {
            let name = "n".repeat(1 << 20);
            format!("{{\"signature_name\": \"{name}\", \"instances\": [[1,2,3,4]]}}")
        }
        // 9 MB are within the body limit of the scenes, 30 MB are not.
        "H44-within-limit" => instances(&"[],".repeat(3_000_000)),
        "H44-beyond-limit" => instances(&"[],".repeat(10_000_000)),
        "H45-keys" => format!("{{{}\"instances\": [[1,2,3,4]]}}", keys(700_000)),
        "H45-keys-of-an-instance" => instances(&format!("{{{}\"x\": [1,2,3,4]}}", keys(700_000))),
        "H46-string" => return Some(vec![announced(60 << 20)]),
        _ => deep(name)?,
    };
    Some(vec![request("POST", M, &[JSON], body.as_bytes())])
}

fn instances(values: &str) -> String {
    format!("{{\"instances\": [{values}]}}")
}

/// Members whose names all differ; those of equal length have equal sums of bytes in pairs.
fn keys(count: usize) -> String {
    let mut keys = String::new();
    for key in 0..count {
        keys.push_str(&format!("\"k{key}\":0,"));
    }
    keys
}

/// A good body cut at every byte.
fn truncated() -> Vec<Vec<u8>> {
    let good = r#"{"signature_name": "serving_default", "instances": [{"x": [1.5, -2e0, 3, 4]}]}"#;
    let cut = |length| request("POST", M, &[JSON], &good.as_bytes()[..length]);
    (0..good.len()).map(cut).collect()
}

/// `H35-lists-1000` and the like.
fn deep(name: &str) -> Option<String> {
    let (kind, depth) = name.strip_prefix("H35-")?.rsplit_once('-')?;
    let depth = depth.parse().ok()?;
    let lists = "[".repeat(depth);
    let objects = "{\"a\":".repeat(depth);
    Some(match kind {
        "lists" => instances(&lists),
        "objects" => instances(&objects),
        "ignored-lists" => format!("{{\"ignored\": {lists}"),
        "ignored-objects" => format!("{{\"ignored\": {objects}"),
        _ => return None,
    })
}

/// The head of a request with a body of this size, and the first kilobytes of one long string.
fn announced(size_bytes: usize) -> Vec<u8> {
    let head = format!("POST {M} HTTP/1.1\r\nHost: test\r\n{JSON}\r\n");
    let start = format!("Content-Length: {size_bytes}\r\n\r\n{{\"instances\": [\"");
    [head, start, "s".repeat(64 << 10)].concat().into_bytes()
}
