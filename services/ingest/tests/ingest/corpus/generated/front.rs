//! Requests of the rows on the protocol itself.

use crate::client::request;

pub(super) fn requests(name: &str) -> Option<Vec<Vec<u8>>> {
    let one = match name {
        "H69-chunked" => chunked(&format!("100000\r\n{}\r\n", " ".repeat(1 << 20)).repeat(11)),
        "H70-pieces" => chunked(&"1\r\n \r\n".repeat(1_000_000)),
        "H77-many" => request("GET", "/live", &["X-H: 1"; 10_000], b""),
        "H77-large" => {
            let header = format!("X-H: {}", "a".repeat(1 << 20));
            request("GET", "/live", &[&header], b"")
        }
        _ => return None,
    };
    Some(vec![one])
}

fn chunked(chunks: &str) -> Vec<u8> {
    let head = "POST /v1/models/m:predict HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked";
    format!("{head}\r\n\r\n{chunks}0\r\n\r\n").into_bytes()
}
