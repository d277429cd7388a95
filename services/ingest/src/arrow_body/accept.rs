//! Which form an answer takes: what `Accept` prefers, else what the body came in.

use actix_web::HttpRequest;
use actix_web::http::header;

use super::ARROW_STREAM;

/// A form of answer that every protocol over HTTP has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// An Arrow IPC stream.
    Arrow,
    /// The protocol's own: JSON, with what may follow it.
    Text,
}

impl Form {
    /// What the caller wants; `own` if that is not said, or if both are as welcome.
    pub(crate) fn wanted(request: &HttpRequest, own: Self) -> Self {
        let mut accept = String::new();
        for value in request.headers().get_all(header::ACCEPT) {
            accept.push_str(&String::from_utf8_lossy(value.as_bytes()));
            accept.push(',');
        }
        Self::preferred(&accept, own)
    }

    fn preferred(accept: &str, own: Self) -> Self {
        let arrow = quality(accept, &[ARROW_STREAM]);
        let text = quality(accept, &["application/json", "application/octet-stream"]);
        match arrow.cmp(&text) {
            std::cmp::Ordering::Greater => Self::Arrow,
            std::cmp::Ordering::Less => Self::Text,
            std::cmp::Ordering::Equal => own,
        }
    }
}

/// How welcome these types are, in thousandths: the most of any range of `accept` that names them,
/// else that of the ranges which hold them.
fn quality(accept: &str, names: &[&str]) -> u32 {
    let mut named = None;
    let mut ranged = 0;
    for entry in accept.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let range = parts.next().unwrap_or_default().to_ascii_lowercase();
        let quality = parts.find_map(|part| part.strip_prefix("q="));
        let quality = quality.map_or(1000, thousandths);
        if names.contains(&range.as_str()) {
            named = named.max(Some(quality));
        } else if matches!(range.as_str(), "*/*" | "application/*") {
            ranged = ranged.max(quality);
        }
    }
    named.unwrap_or(ranged)
}

/// A weight such as `0.25`; what is none counts as 1.
fn thousandths(text: &str) -> u32 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let fraction = format!("{fraction:0<3}");
    match (whole, fraction.get(..3).and_then(|it| it.parse().ok())) {
        ("0", Some(thousandths)) => thousandths,
        _ => 1000,
    }
}

/// Whether `Content-Type` says Arrow. Of two headers the reading of the body complains.
pub(super) fn is_arrow(request: &HttpRequest) -> bool {
    let content_type = request.headers().get(header::CONTENT_TYPE);
    let text = content_type.and_then(|value| value.to_str().ok());
    let media_type = text.and_then(|text| text.split(';').next());
    media_type.is_some_and(|it| it.trim().eq_ignore_ascii_case(ARROW_STREAM))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(accept: &str, expected: [Form; 2]) {
        let given = [Form::Arrow, Form::Text].map(|own| Form::preferred(accept, own));
        assert_eq!(given, expected, "{accept}");
    }

    #[test]
    fn what_is_not_said_follows_the_body() {
        let own = [Form::Arrow, Form::Text];
        for accept in [
            "",
            "*/*",
            "application/*",
            "text/html, */*;q=0.8",
            "text/plain",
            ",;,q",
        ] {
            check(accept, own);
        }
        check("application/json, application/vnd.apache.arrow.stream", own);
    }

    #[test]
    fn the_more_welcome_form_wins() {
        for accept in [
            "application/vnd.apache.arrow.stream",
            "Application/Vnd.Apache.Arrow.Stream; q=1",
            "application/vnd.apache.arrow.stream, application/json;q=0.9",
            "application/json;q=0.5, application/vnd.apache.arrow.stream;q=0.51",
            "*/*;q=0.1, application/vnd.apache.arrow.stream",
        ] {
            check(accept, [Form::Arrow; 2]);
        }
        for accept in [
            "application/json",
            "application/octet-stream",
            "application/vnd.apache.arrow.stream;q=0, */*",
            "application/vnd.apache.arrow.stream;q=0.3, application/json;q=0.4",
        ] {
            check(accept, [Form::Text; 2]);
        }
    }
}
