//! What a request of the Open Inference Protocol wants of its answer, as text in a location.
//!
//! `oip` or `arrow`, with `b` behind it where outputs are raw unless they say otherwise; then, for
//! each output that was named, `-n`, `-b` (raw) or `-j` (JSON) and its name; then `-i` and the request's id. Names are in
//! hexadecimal, so that they may be anything.

use millrace_wire::oip::{Outputs, RequestedOutput};

use crate::oip::Asked;

/// The text of what was asked for, after the kind of answer.
pub(super) fn text(kind: &str, asked: &Asked) -> String {
    let mut text = String::from(kind);
    if asked.outputs.binary() {
        text.push('b');
    }
    for output in asked.outputs.named().unwrap_or_default() {
        let kind = match output.binary {
            None => 'n',
            Some(true) => 'b',
            Some(false) => 'j',
        };
        push(kind, &output.name, &mut text);
    }
    if let Some(id) = &asked.id {
        push('i', id, &mut text);
    }
    text
}

fn push(kind: char, name: &str, text: &mut String) {
    text.push('-');
    text.push(kind);
    for byte in name.bytes() {
        text.push_str(&format!("{byte:02x}"));
    }
}

/// The way back; `None` for another kind, and for what [`text`] never writes.
pub(super) fn parse(kind: &str, text: &str) -> Option<Asked> {
    let mut parts = text.split('-');
    let binary = match parts.next()?.strip_prefix(kind)? {
        "" => false,
        "b" => true,
        _ => return None,
    };
    let (mut named, mut id) = (Vec::new(), None);
    for part in parts {
        let (kind, name) = part.split_at_checked(1)?;
        let name = unhex(name)?;
        let binary = match kind {
            "n" => None,
            "b" => Some(true),
            "j" => Some(false),
            "i" if id.is_none() => {
                id = Some(name);
                continue;
            }
            _ => return None,
        };
        named.push(RequestedOutput { name, binary });
    }
    let named = Some(named).filter(|it| !it.is_empty());
    Some(Asked {
        id,
        outputs: Outputs::new(named, binary),
    })
}

fn unhex(digits: &str) -> Option<String> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16);
    let mut bytes = Vec::with_capacity(digits.len() / 2);
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    for [high, low] in pairs {
        bytes.push(u8::try_from(digit(high)? << 4 | digit(low)?).ok()?);
    }
    String::from_utf8(bytes).ok().filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(name: &str, binary: Option<bool>) -> RequestedOutput {
        RequestedOutput {
            name: name.to_owned(),
            binary,
        }
    }

    #[test]
    fn what_was_asked_for_is_read_as_it_was_written() {
        let named = vec![
            output("scores", Some(true)),
            output("ü-ü", Some(false)),
            output("", None),
        ];
        for (outputs, id, expected) in [
            (Outputs::default(), None, "oip"),
            (Outputs::all_binary(), Some("a-1"), "oipb-i612d31"),
            (
                Outputs::new(Some(named), false),
                None,
                "oip-b73636f726573-jc3bc2dc3bc-n",
            ),
        ] {
            let asked = Asked {
                id: id.map(str::to_owned),
                outputs,
            };
            assert_eq!(text("oip", &asked), expected);
            assert_eq!(parse("oip", expected), Some(asked));
        }
    }

    #[test]
    fn what_is_never_written_is_not_read() {
        for text in [
            "",
            "oi",
            "oipx",
            "oip-",
            "oip-x61",
            "oip-b6",
            "oip-bzz",
            "oip-bff",
            "oip-i61-i62",
            "arrow",
        ] {
            assert_eq!(parse("oip", text), None, "{text}");
        }
    }
}
