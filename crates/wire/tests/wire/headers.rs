//! Headers of requests and results: what is read, what is refused, what is written.

use millrace_wire::Status;
use millrace_wire::headers::{
    ARROW_STREAM, HeaderError, MAX_HEADERS, Pair, ReplyTo, RequestHeaders, ResultHeaders, Source,
    SourceRef,
};

#[test]
fn a_bare_record_has_no_wishes() {
    assert_eq!(parse(&[]), Ok(RequestHeaders::default()));
    assert_eq!(
        parse(&[("other", Some(b"\xFF")), ("other", None)]),
        Ok(RequestHeaders::default())
    );
}

#[test]
fn request_headers_read_back_as_they_were_written() {
    let headers = RequestHeaders {
        id: Some("a1-ü".into()),
        reply_to: Some(ReplyTo {
            topic: "millrace.replies".into(),
            partition: 3,
        }),
        reply_to_error: None,
        deadline_unix_ms: Some(u64::MAX),
        version: Some(7),
        label: None,
        signature: Some("serving_default".into()),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        tracestate: Some("a=b".into()),
    };
    let pairs = headers.to_pairs();
    assert_eq!(RequestHeaders::parse(borrowed(&pairs)), Ok(headers));
    assert_eq!(pairs[0], ("content-type", ARROW_STREAM.as_bytes().to_vec()));
}

#[test]
fn result_headers_read_back_as_they_were_written() {
    let headers = result();
    assert_eq!(
        ResultHeaders::parse(borrowed(&headers.to_pairs())),
        Ok(headers)
    );
    let ok = ResultHeaders {
        status: Status::Ok,
        error: None,
        version: Some(2),
        weights_sha256: Some("ba7816bf".repeat(8)),
        ..result()
    };
    assert_eq!(ResultHeaders::parse(borrowed(&ok.to_pairs())), Ok(ok));
}

#[test]
fn a_result_may_carry_as_many_headers_of_its_request_as_a_request_can_have() {
    let mut pairs = vec![("passed-on", vec![b'x'; 100]); MAX_HEADERS];
    assert!(RequestHeaders::parse(borrowed(&pairs)).is_ok());
    pairs.extend(result().to_pairs());
    assert_eq!(ResultHeaders::parse(borrowed(&pairs)), Ok(result()));
    pairs.extend(vec![("too-many", Vec::new()); 8]);
    let error = ResultHeaders::parse(borrowed(&pairs)).unwrap_err();
    assert!(matches!(error, HeaderError::TooMany { .. }), "{error}");
}

#[test]
fn a_bad_value_names_header_and_value() {
    check(
        "mr-deadline",
        b"soon",
        "header mr-deadline must be Unix milliseconds, got \"soon\"",
    );
    check(
        "mr-deadline",
        b"-1",
        "header mr-deadline must be Unix milliseconds, got \"-1\"",
    );
    check("mr-deadline", b"+1", "got \"+1\"");
    check("mr-deadline", b"", "got \"\"");
    check(
        "mr-deadline",
        b"18446744073709551616",
        "header mr-deadline must be",
    );
    check(
        "mr-version",
        b"1.0",
        "header mr-version must be a number of 0 to",
    );
    check(
        "mr-version",
        b"-1",
        "header mr-version must be a number of 0 to",
    );
    check("mr-id", b"", "header mr-id must be 1 to 512 bytes of text");
    check("mr-id", b"a\nb", "got \"a?b\"");
    check(
        "mr-id",
        &[b'x'; 1000],
        "header mr-id must be 1 to 512 bytes of text",
    );
    check(
        "mr-label",
        b"\xFF\xFE",
        "header mr-label must be UTF-8 text, got",
    );
    check(
        "content-type",
        b"application/json",
        "must be application/vnd.apache.arrow.stream",
    );
}

#[test]
fn a_header_without_value_is_refused_where_we_read_it() {
    let error = parse(&[("mr-id", None)]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "header mr-id must be UTF-8 text, got no value"
    );
}

#[test]
fn messages_repeat_at_most_64_bytes_of_a_value() {
    let value = "ä".repeat(400);
    let message = parse(&[("mr-deadline", Some(value.as_bytes()))])
        .unwrap_err()
        .to_string();
    assert!(
        message.matches('ä').count() == 32 && message.len() <= 200,
        "{message}"
    );
}

#[test]
fn a_header_that_we_read_may_occur_once() {
    let error = parse(&[("mr-id", Some(b"1")), ("mr-id", Some(b"1"))]).unwrap_err();
    assert_eq!(error.to_string(), "header mr-id occurs more than once");
    let types = [("content-type", Some(ARROW_STREAM.as_bytes())); 2];
    assert!(matches!(parse(&types), Err(HeaderError::Duplicate { .. })));
}

#[test]
fn version_and_label_exclude_each_other() {
    let error = parse(&[("mr-version", Some(b"1")), ("mr-label", Some(b"canary"))]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "header mr-label must be absent where mr-version is given, got \"canary\""
    );
}

#[test]
fn a_bad_reply_address_does_not_cost_the_request_its_result() {
    let long = format!("{}/1", "t".repeat(300));
    for address in [
        "",
        "t",
        "t/",
        "/1",
        "t/-1",
        "t/x",
        "t/2147483648",
        "a b/1",
        "../1",
        "t/1/2",
        &long,
    ] {
        let headers = parse(&[("mr-reply-to", Some(address.as_bytes()))]).unwrap();
        assert_eq!(headers.reply_to, None, "{address}");
        let error = headers.reply_to_error.unwrap().to_string();
        assert!(
            error.starts_with("header mr-reply-to must be topic/partition"),
            "{error}"
        );
    }
    let good = parse(&[("mr-reply-to", Some(b"t/2147483647"))]).unwrap();
    assert_eq!(good.reply_to.unwrap().partition, i32::MAX);
    assert_eq!(good.reply_to_error, None);
}

#[test]
fn bad_trace_context_counts_as_absent() {
    let headers = parse(&[("traceparent", Some(b"\xFF")), ("tracestate", None)]).unwrap();
    assert_eq!(headers, RequestHeaders::default());
}

#[test]
fn headers_beyond_the_caps_are_refused() {
    let many: Vec<(&str, Option<&[u8]>)> = vec![("other", None); 65];
    let error = parse(&many).unwrap_err();
    assert_eq!(
        error.to_string(),
        "record has 65 headers, more than the limit of 64"
    );
    assert!(parse(&many[..64]).is_ok());

    let large = vec![b'x'; 8 * 1024];
    let error = parse(&[("x", Some(&large))]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "record has 8193 bytes of headers, more than the limit of 8192"
    );
    assert!(parse(&[("x", Some(&large[1..]))]).is_ok());
}

#[test]
fn a_result_needs_its_headers() {
    for missing in ["mr-id", "mr-model", "mr-status", "mr-source"] {
        let pairs = result().to_pairs();
        let kept = borrowed(&pairs).filter(|(name, _)| *name != missing);
        let error = ResultHeaders::parse(kept).unwrap_err();
        assert_eq!(error.to_string(), format!("header {missing} is missing"));
    }
}

#[test]
fn a_result_with_a_bad_status_or_source_is_refused() {
    for (name, value) in [
        ("mr-status", "ok"),
        ("mr-status", "TEAPOT"),
        ("mr-source", "topic/1"),
        ("mr-source", "topic/-1/0"),
        ("mr-source", "topic/1/-1"),
        ("mr-source", "top ic/1/1"),
        ("mr-source", "topic/1/1/1"),
        ("mr-version", "x"),
    ] {
        let pairs = result().to_pairs();
        let others = borrowed(&pairs).filter(|(known, _)| *known != name);
        let error = ResultHeaders::parse(others.chain([(name, Some(value.as_bytes()))]));
        assert!(
            error.unwrap_err().to_string().contains(value),
            "{name}: {value}"
        );
    }
}

#[test]
fn an_error_sentence_is_cut_and_has_no_control_characters() {
    let long = ResultHeaders {
        error: Some("<b>\r\nü".repeat(1000)),
        ..result()
    };
    for error in [
        ResultHeaders::parse(borrowed(&long.to_pairs()))
            .unwrap()
            .error
            .unwrap(),
        {
            let pairs = result().to_pairs();
            let others = borrowed(&pairs).filter(|(name, _)| *name != "mr-error");
            let raw = "<b>\r\nü".repeat(500);
            let headers = others.chain([("mr-error", Some(raw.as_bytes()))]);
            ResultHeaders::parse(headers).unwrap().error.unwrap()
        },
    ] {
        assert!((500..=512).contains(&error.len()), "{}", error.len());
        assert!(!error.chars().any(char::is_control));
    }
}

fn check(name: &str, value: &[u8], expected: &str) {
    let error = parse(&[(name, Some(value))]).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

fn parse(headers: &[(&str, Option<&[u8]>)]) -> Result<RequestHeaders, HeaderError> {
    RequestHeaders::parse(headers.iter().copied())
}

fn borrowed(pairs: &[Pair]) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
    pairs
        .iter()
        .map(|(name, value)| (*name, Some(value.as_slice())))
}

fn result() -> ResultHeaders {
    ResultHeaders {
        id: "t/0/5".into(),
        model: "ffnn".into(),
        version: None,
        weights_sha256: None,
        status: Status::DeadlineExceeded,
        error: Some("deadline passed 3 ms ago".into()),
        source: Source {
            topic: "t".into(),
            partition: 0,
            offset: 5,
        },
    }
}

#[test]
fn the_source_reads_back_as_text_without_signs_and_zeros() {
    for (given, expected) in [
        ("mill.requests.a-1/0/17", "mill.requests.a-1/0/17"),
        ("a/10/0", "a/10/0"),
        ("a/+1/007", "a/1/7"),
        ("a/00/-0", "a/0/0"),
    ] {
        let source = SourceRef::parse(given).unwrap();
        assert_eq!(source.to_text(), expected);
        assert_eq!(Source::parse(expected).unwrap().to_string(), expected);
    }
}
