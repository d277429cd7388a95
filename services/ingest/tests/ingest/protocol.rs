//! What is wrong around the body: paths, methods, headers, lengths, chunks.
//! Numbers are rows of the project's list of bad inputs.

use super::client::{Connection, get, post, raw, request};
use super::scene::{BODY_LIMIT, READ_TIMEOUT, shared};

const GOOD: &str = r#"{"instances": [[1,2,3,4]]}"#;
const M: &str = "/v1/models/m:predict";

#[test]
fn unknown_models_versions_and_labels_are_not_found() {
    let scene = shared();
    // H65
    post(scene.address, "/v1/models/half:predict", GOOD).check_refusal(
        404,
        "Servable not found for request: Latest(half); models served: i,",
    );
    post(scene.address, "/v1/models/m/versions/7:predict", GOOD)
        .check_refusal(404, "Specific(m, 7); its versions: 1");
    post(scene.address, "/v1/models/m/labels/canary:predict", GOOD)
        .check_refusal(404, "Unrecognized servable version label: canary");
    for version in ["abc", "-1", "99999999999999999999"] {
        post(
            scene.address,
            &format!("/v1/models/m/versions/{version}:predict"),
            GOOD,
        )
        .check_refusal(400, version);
    }
    get(scene.address, "/v1/models/half").check_refusal(404, "Latest(half)");
    get(scene.address, "/v1/models/half/metadata").check_refusal(404, "Latest(half)");
    scene.check_alive();
}

#[test]
fn names_that_reach_elsewhere_are_refused() {
    let scene = shared();
    // H66
    let long = "x".repeat(4096);
    for name in [
        "../m",
        "%2e%2e%2fm",
        "%00",
        &long,
        "%ff",
        "a//b",
        "..",
        "m%2f..%2fm",
    ] {
        let answer = post(scene.address, &format!("/v1/models/{name}:predict"), GOOD);
        assert!(
            matches!(answer.status, 400 | 404),
            "{name}: {}",
            answer.text()
        );
        answer.check_refusal(answer.status, "path");
    }
    scene.check_alive();
}

#[test]
fn a_wrong_method_is_told_the_right_one() {
    let scene = shared();
    // H67
    for path in ["/predict", M, "/v1/models/m/versions/1:predict"] {
        for method in ["GET", "DELETE", "PUT", "TRACE", "OPTIONS", "BREW"] {
            let answer = raw(scene.address, &request(method, path, &[], b""));
            answer.check_refusal(405, method);
            assert_eq!(answer.header("allow"), Some("POST"), "{method} {path}");
        }
    }
    for path in [
        "/v1/models/m",
        "/v1/models/m/metadata",
        "/live",
        "/ready",
        "/metrics",
    ] {
        let answer = raw(scene.address, &request("DELETE", path, &[], b""));
        answer.check_refusal(405, "DELETE");
        assert!(answer.header("allow").unwrap().contains("GET"), "{path}");
    }
    let answer = raw(scene.address, b"G\0T / HTTP/1.1\r\nHost: test\r\n\r\n");
    assert_eq!(answer.status, 400);
    scene.check_alive();
}

#[test]
fn verbs_and_paths_that_do_not_exist_are_refused() {
    let scene = shared();
    // H68
    post(scene.address, "/v1/models/m:explode", GOOD).check_refusal(400, "explode");
    post(scene.address, "/v1/models/m", GOOD)
        .check_refusal(400, "Malformed request: POST /v1/models/m");
    post(scene.address, "/v1/models/m:classify", GOOD).check_refusal(501, "classify");
    post(scene.address, "/v1/models/m:regress", GOOD).check_refusal(501, "regress");
    get(scene.address, "/v1/models").check_refusal(400, "Missing model name in request.");
    get(scene.address, "/v1/models/").check_refusal(400, "Missing model name in request.");
    get(scene.address, "/").check_refusal(404, "no such path: /");
    get(scene.address, "/v2/models/m").check_refusal(404, "no such path: /v2/models/m");
    post(scene.address, "/predict/x", GOOD).check_refusal(404, "no such path");
    scene.check_alive();
}

#[test]
fn predict_without_a_model_among_several_says_how_to_name_one() {
    let scene = shared();
    let answer = post(scene.address, "/predict", GOOD);
    answer.check_refusal(400, "POST /v1/models/MODEL:predict");
    answer.check_refusal(400, "i, i64, m, m2, s, u8");
}

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
    for size in ["FFFFFFFFFFFFFFFFF", "-1", "0x5", "zz"] {
        let mut connection = Connection::open(scene.address);
        connection.send(format!("{}{size}\r\nabcde\r\n0\r\n\r\n", chunked_head()).as_bytes());
        assert_eq!(connection.read().unwrap().status, 400, "{size}");
        while let Some(answer) = connection.read() {
            assert_eq!(answer.status, 400, "{size}");
        }
    }
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
        let mut answer = connection.read().unwrap();
        if answer.status == 100 {
            answer = connection.read().unwrap();
        }
        answer.check_refusal(408, "did not arrive in time");
    }
    let mut connection = Connection::open(scene.address);
    connection.send(b"POST /predict HTTP/1.1\r\nHost:");
    let began = std::time::Instant::now();
    assert_eq!(connection.read().unwrap().status, 408);
    assert!(began.elapsed() < READ_TIMEOUT * 20);
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
    for encoding in ["gzip", "br, gzip", "unknown"] {
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
    let answer = raw(
        scene.address,
        b"GET /live HTTP/1.1\r\nHost: t\r\nX: a\0b\r\n\r\n",
    );
    assert_eq!(answer.status, 400);
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
    for number in 0..200 {
        let body = format!("{{\"instances\": [[{number},0,0,0]]}}");
        bytes.extend(request("POST", M, &[], body.as_bytes()));
    }
    let mut connection = Connection::open(scene.address);
    connection.send(&bytes);
    for number in 0..200 {
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
