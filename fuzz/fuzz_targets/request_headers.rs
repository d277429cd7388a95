//! Lines of `name=value` as headers of a request and of a result; what is taken is written and read
//! again. A line without `=` is a header without value.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_wire::headers::{Pair, RequestHeaders, ResultHeaders};

fuzz_target!(|lines: &[u8]| {
    let headers: Vec<(&str, Option<&[u8]>)> = lines.split(|&byte| byte == b'\n').map(header).collect();
    if let Ok(request) = RequestHeaders::parse(headers.iter().copied()) {
        let again = RequestHeaders::parse(borrowed(&request.to_pairs()));
        let expected = RequestHeaders {
            reply_to_error: None,
            ..request
        };
        assert_eq!(again, Ok(expected));
    }
    if let Ok(result) = ResultHeaders::parse(headers.iter().copied()) {
        assert_eq!(ResultHeaders::parse(borrowed(&result.to_pairs())), Ok(result));
    }
});

fn header(line: &[u8]) -> (&str, Option<&[u8]>) {
    let mut halves = line.splitn(2, |&byte| byte == b'=');
    let name = halves.next().unwrap_or_default();
    (std::str::from_utf8(name).unwrap_or("?"), halves.next())
}

fn borrowed(pairs: &[Pair]) -> impl Iterator<Item = (&str, Option<&[u8]>)> {
    pairs.iter().map(|(name, value)| (*name, Some(value.as_slice())))
}
