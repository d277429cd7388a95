//! `millrace dead-letters show`: one dead letter whole, or only its original bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millrace_wire::avro::DeadLetter;
use serde::Serialize;

use crate::connection::Connection;
use crate::exit::Exit;
use crate::output::{self, Output};
use crate::when;

use super::pile::{Letter, Letters, Pile};
use super::place::Coordinates;

/// Bytes of a value that a screen shows.
const GLIMPSE: usize = 24;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// partition@offset of the letter, or topic/partition@offset of its source
    #[arg(value_parser = Coordinates::parse)]
    letter: Coordinates,
    /// Write the original value to standard output, byte for byte, and nothing else
    #[arg(long)]
    raw: bool,
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    letter: &'a Letter,
    timestamp_unix_ms: i64,
    key_base64: Option<String>,
    headers: Vec<Header<'a>>,
    value_base64: Option<String>,
}

#[derive(Serialize)]
struct Header<'a> {
    name: &'a str,
    /// The value if it is text.
    text: Option<&'a str>,
    base64: Option<String>,
}

pub(super) fn run(args: &Args, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let pile = Pile::read(connection)?;
    let letter = pile.find(&args.letter)?;
    let whole = Letters::open(connection)?.read(letter.letter)?;
    if args.raw {
        return match &whole.value {
            Some(value) => output::write(value),
            None => Err(Exit::Missing.error(format!(
                "dead letter {} has no value; its record may still be at {}",
                letter.letter, letter.source
            ))),
        };
    }
    match output {
        Output::Json => output::json(&shown(letter, &whole)),
        Output::Text => output::write(text(letter, &whole, &pile.topic).as_bytes()),
    }
}

fn shown<'a>(letter: &'a Letter, whole: &'a DeadLetter) -> Shown<'a> {
    let base64 = |bytes: &Vec<u8>| STANDARD.encode(bytes);
    let header = |header: &'a millrace_wire::avro::Header| Header {
        name: &header.name,
        text: header
            .value
            .as_deref()
            .and_then(|value| std::str::from_utf8(value).ok()),
        base64: header.value.as_ref().map(base64),
    };
    Shown {
        letter,
        timestamp_unix_ms: whole.timestamp_unix_ms,
        key_base64: whole.key.as_ref().map(base64),
        headers: whole.headers.iter().map(header).collect(),
        value_base64: whole.value.as_ref().map(base64),
    }
}

fn text(letter: &Letter, whole: &DeadLetter, topic: &str) -> String {
    let age = when::span(when::ago(letter.failed_at_unix_ms, when::now_unix_ms()));
    let written_back = if letter.requeued { "yes" } else { "no" };
    let facts = [
        ("letter", format!("{topic}/{}", letter.letter)),
        ("source", letter.source.clone()),
        (
            "failed",
            format!("{} UTC, {age} ago", when::time(letter.failed_at_unix_ms)),
        ),
        ("model", letter.model.clone()),
        ("stage", letter.stage.clone()),
        ("code", letter.code.clone()),
        ("reason", letter.reason.clone()),
        ("attempts", letter.attempts.to_string()),
        ("written back", written_back.to_owned()),
        ("key", glimpse(whole.key.as_deref())),
        ("value", glimpse(whole.value.as_deref())),
    ];
    let mut text = String::new();
    for (name, fact) in &facts {
        text.push_str(&format!("{name:<14}{}\n", output::plain(fact)));
    }
    for header in &whole.headers {
        let line = format!("{}: {}", header.name, glimpse(header.value.as_deref()));
        text.push_str(&format!("{:<14}{}\n", "header", output::plain(&line)));
    }
    text
}

/// Text as it is; of other bytes how many, and the first ones.
fn glimpse(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else {
        return "none".to_owned();
    };
    let is_shown = |text: &&str| !text.is_empty() && !text.contains(char::is_control);
    match std::str::from_utf8(bytes).ok().filter(is_shown) {
        Some(text) => output::shortened(text, 200),
        None => {
            let first: Vec<String> = bytes
                .iter()
                .take(GLIMPSE)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            let more = if bytes.len() > GLIMPSE { "…" } else { "" };
            format!("{} bytes {}{more}", bytes.len(), first.join(""))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dead_letters::pile::tests::{dead_letter, pile};

    #[test]
    fn text_is_shown_and_bytes_are_counted() {
        assert_eq!(glimpse(Some(b"abc")), "abc");
        assert_eq!(glimpse(Some(&[0xff, 0x00])), "2 bytes ff00");
        assert!(glimpse(Some(&[0xff; 100])).starts_with("100 bytes ffff"));
        assert_eq!(glimpse(None), "none");
    }

    #[test]
    fn reason_source_and_headers_are_shown() {
        let mut whole = dead_letter(2);
        whole.headers.push(millrace_wire::avro::Header {
            name: "mr-id".to_owned(),
            value: Some(b"me".to_vec()),
        });
        let pile = pile(0..3);
        let letter = pile.letters.values().last().unwrap();
        let text = text(letter, &whole, &pile.topic);
        for part in ["mill.requests.digits/0@2", "it is no Arrow", "mr-id: me"] {
            assert!(text.contains(part), "{text}");
        }
        let json = serde_json::to_value(shown(letter, &whole)).unwrap();
        assert_eq!(json["letter"], "0@2");
        assert_eq!(json["value_base64"], STANDARD.encode("value"));
    }
}
