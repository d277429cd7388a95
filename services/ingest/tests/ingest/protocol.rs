//! What is wrong around the body: headers, lengths, chunks, silence.
//! Numbers are rows of the project's list of bad inputs.

use std::time::Instant;

use super::client::{Connection, get, raw, request};
use super::scene::{BODY_LIMIT, READ_TIMEOUT, shared};

const GOOD: &str = r#"{"instances": [[1,2,3,4]]}"#;
const M: &str = "/v1/models/m:predict";

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let scene = shared();
    // H69, H46, H72: the body never follows.
    for length in [BODY_LIMIT.to_string() + "0", u64::MAX.to_string()] {
        let head = format!("POST {M} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\n\r\n");
        let mut connection = Connection::open(scene.address);
        connection.send(head.as_bytes());
        connection
            .read()
            .unwrap()
            .check_refusal(413, &format!("the limit of {BODY_LIMIT} bytes"));
    }
    scene.check_alive();
}

#[test]
fn a_chunked_body_over_the_limit_is_refused_where_it_passes_it() {
    let scene = shared();
    // H69
    let mut connection = Connection::open(scene.address);
    connection.send(chunked_head().as_bytes());
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..=BODY_LIMIT >> 20 {
        connection.send(b"100000\r\n");
        connection.send(&chunk);
        connection.send(b"\r\n");
    }
    connection
        .read()
        .unwrap()
        .check_refusal(413, &format!("the limit of {BODY_LIMIT} bytes"));
    scene.check_alive();
}

#[test]
fn a_million_chunks_are_too_many_pieces() {
    let scene = shared();
    // H70
    let mut connection = Connection::open(scene.address);
    connection.send(chunked_head().as_bytes());
    connection.send("1\r\n \r\n".repeat(1_000_000).as_bytes());
    connection.read().unwrap().check_refusal(413, "pieces");
    scene.check_alive();
}

#[test]
fn a_chunked_body_is_read_like_any_other() {
    let scene = shared();
    let mut connection = Connection::open(scene.address);
    connection.send(chunked_head().as_bytes());
    for piece in GOOD.as_bytes().chunks(5) {
        connection.send(format!("{:x}\r\n", piece.len()).as_bytes());
        connection.send(piece);
        connection.send(b"\r\n");
    }
    connection.send(b"0\r\n\r\n");
    assert_eq!(connection.read().unwrap().json()["predictions"][0][3], 4.0);
}

fn chunked_head() -> String {
    format!("POST {M} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n")
}

#[test]
fn malformed_chunks_are_refused_and_the_connection_closed() {
    let scene = shared();
    // H71
    for chunks in [
        "FFFFFFFFFFFFFFFF\r\nabcde\r\n0\r\n\r\n",
        "FFFFFFFFFFFFFFFFF\r\nabcde\r\n0\r\n\r\n",
        "-1\r\nabcde\r\n0\r\n\r\n",
        "0x5\r\nabcde\r\n0\r\n\r\n",
        "zz\r\nabcde\r\n0\r\n\r\n",
        "\r\nabcde\r\n0\r\n\r\n",
        "5\nabcde\n0\n\n",
        "5\r\nabcdeX\r\n0\r\n\r\n",
        "5;name=\"\r\nabcdefgh\r\n0\r\n\r\n",
    ] {
        let mut connection = Connection::open(scene.address);
        let smuggled = "GET /live HTTP/1.1\r\nHost: t\r\n\r\n";
        connection.send(format!("{}{chunks}{smuggled}", chunked_head()).as_bytes());
        let mut answers = Vec::new();
        while let Some(answer) = connection.read() {
            answers.push(answer.status);
        }
        // A chunk of 2^64 bytes that never come ends as any silence does.
        let refused = answers.iter().all(|status| matches!(status, 400 | 408));
        assert!(refused && !answers.is_empty(), "{chunks:?}: {answers:?}");
    }
    let trailers = "X-T: 1\r\n".repeat(100_000);
    let bytes = format!("{}0\r\n{trailers}\r\n", chunked_head());
    raw(scene.address, bytes.as_bytes()).check_refusal(400, "empty");
    scene.check_alive();
}

#[test]
fn lengths_that_contradict_are_refused_and_the_connection_closed() {
    let scene = shared();
    // H72, H73
    for headers in [
        "Content-Length: -1",
        "Content-Length: +5",
        "Content-Length: 5,5",
        "Content-Length: abc",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "X: a\r\n folded: b",
    ] {
        let smuggled = "GET /live HTTP/1.1\r\nHost: t\r\n\r\n";
        let bytes = format!("POST {M} HTTP/1.1\r\nHost: t\r\n{headers}\r\n\r\n{smuggled}");
        let mut connection = Connection::open(scene.address);
        connection.send(bytes.as_bytes());
        assert_eq!(connection.read().unwrap().status, 400, "{headers}");
        assert!(connection.is_closed(), "{headers}");
    }
    scene.check_alive();
}

#[test]
fn a_caller_who_falls_silent_is_told_and_his_place_freed() {
    let scene = shared();
    // H74, H79
    for headers in [
        "Content-Length: 100",
        "Content-Length: 100\r\nExpect: 100-continue",
    ] {
        let mut connection = Connection::open(scene.address);
        let head = format!("POST {M} HTTP/1.1\r\nHost: t\r\n{headers}\r\n\r\n");
        connection.send(head.as_bytes());
        let began = Instant::now();
        let mut answer = connection.read().unwrap();
        if answer.status == 100 {
            answer = connection.read().unwrap();
        }
        answer.check_refusal(408, "did not arrive in time");
        assert!(began.elapsed() < READ_TIMEOUT * 8, "{:?}", began.elapsed());
    }
    let mut connection = Connection::open(scene.address);
    connection.send(b"POST /predict HTTP/1.1\r\nHost:");
    let began = Instant::now();
    assert_eq!(connection.read().unwrap().status, 408);
    assert!(began.elapsed() < READ_TIMEOUT * 8);
    scene.check_alive();
}

#[test]
fn bodies_of_another_kind_are_refused() {
    let scene = shared();
    let with = |header: &str| {
        raw(
            scene.address,
            &request(
                "POST",
                M,
                &header.split('|').collect::<Vec<_>>(),
                GOOD.as_bytes(),
            ),
        )
    };
    // H64
    with("Content-Type: text/plain").check_refusal(415, "text/plain");
    with("Content-Type: application/json; charset=utf-16").check_refusal(415, "utf-16");
    with("Content-Type: application/json|Content-Type: text/plain")
        .check_refusal(415, "text/plain");
    for json in [
        "X-None: 1",
        "Content-Type: application/x-www-form-urlencoded",
    ] {
        assert_eq!(with(json).status, 200, "{json}");
    }
    // H75, H79
    for encoding in ["br", "br, gzip", "zstd", "unknown"] {
        with(&format!("Content-Encoding: {encoding}")).check_refusal(415, encoding);
    }
    with("Expect: bogus").check_refusal(417, "bogus");
    scene.check_alive();
}

#[test]
fn too_many_and_too_large_headers_are_refused() {
    let scene = shared();
    // H77
    let many = "X-H: 1\r\n".repeat(10_000);
    let large = format!("X-H: {}\r\n", "a".repeat(1 << 20));
    for headers in [many, large] {
        let mut connection = Connection::open(scene.address);
        connection.send(format!("GET /live HTTP/1.1\r\nHost: t\r\n{headers}\r\n").as_bytes());
        assert_eq!(connection.read().unwrap().status, 431);
    }
    for value in [&b"a\0b"[..], b"a\nb", b"a\rb"] {
        let head = [b"GET /live HTTP/1.1\r\nHost: t\r\nX: ", value, b"\r\n\r\n"].concat();
        assert_eq!(raw(scene.address, &head).status, 400, "{value:?}");
    }
    let head = b"GET /live HTTP/1.1\r\nHost: t\r\nX: a\xff\r\n\r\n";
    raw(scene.address, head).check_refusal(400, "header x is not UTF-8");
    scene.check_alive();
}

#[test]
fn what_is_not_http_is_refused_or_cut_off() {
    let scene = shared();
    // H78
    let noise: Vec<u8> = (0..4096_u32)
        .map(|i| u8::try_from(i * 37 % 251).unwrap())
        .collect();
    for bytes in [
        &b"GET /\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        &noise,
    ] {
        let mut connection = Connection::open(scene.address);
        connection.send(bytes);
        if let Some(answer) = connection.read() {
            assert_eq!(answer.status, 400);
            assert!(connection.is_closed());
        }
    }
    scene.check_alive();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let scene = shared();
    // H80
    let mut bytes = Vec::new();
    for number in 0..1000 {
        let body = format!("{{\"instances\": [[{number},0,0,0]]}}");
        bytes.extend(request("POST", M, &[], body.as_bytes()));
    }
    let mut connection = Connection::open(scene.address);
    connection.send(&bytes);
    for number in 0..1000 {
        let answer = connection.read().unwrap();
        assert_eq!(answer.json()["predictions"][0][0], f64::from(number));
    }
}

#[test]
fn a_callers_internal_headers_are_not_trusted() {
    let scene = shared();
    // H85
    let headers = [
        "mr-id: ffffffffffffffffffffffffffffffff",
        "mr-reply-to: elsewhere/0",
        "mr-deadline: 1",
        "mr-version: 99",
    ];
    let answer = raw(
        scene.address,
        &request("POST", M, &headers, GOOD.as_bytes()),
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_malformed_trace_context_does_not_harm_its_request() {
    let scene = shared();
    // H84
    let state = format!("tracestate: {}", "a".repeat(65_536));
    for headers in [
        ["traceparent: garbage", "X: 1"],
        ["traceparent: 00-0-0-0", &state],
    ] {
        let answer = raw(
            scene.address,
            &request("POST", M, &headers, GOOD.as_bytes()),
        );
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[test]
fn every_answer_has_a_request_id_and_a_callers_own_is_repeated() {
    let scene = shared();
    let id = get(scene.address, "/live")
        .header("x-request-id")
        .unwrap()
        .to_owned();
    assert_eq!(id.len(), 32);
    for (given, repeated) in [("mine-1", true), ("", false), ("a b", false)] {
        let header = format!("X-Request-Id: {given}");
        let answer = raw(
            scene.address,
            &request("POST", M, &[&header], GOOD.as_bytes()),
        );
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("x-request-id") == Some(given),
            repeated,
            "{given:?}"
        );
    }
}
