//! How pieces of outside input may appear in our messages: at most 64 bytes, no control characters.

use std::fmt;

/// The most bytes of input that a message repeats.
pub(crate) const MAX_ECHO_BYTES: usize = 64;

/// The longest start of `text` that is at most 64 bytes and ends between characters.
pub(crate) fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_ECHO_BYTES)]
}

/// A name from outside as it may stand in a message: shortened, control characters as `?`.
pub(crate) struct Name<'a>(pub(crate) &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for character in shortened(self.0).chars() {
            f.write_char(if character.is_control() {
                '?'
            } else {
                character
            })?;
        }
        Ok(())
    }
}

/// A shape as `[-1,784]`; an open dimension is -1, and what goes beyond 64 bytes is left out.
pub(crate) struct Shape<'a>(pub(crate) &'a [Option<usize>]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for (i, dimension) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let size = match dimension {
                Some(size) => format!("{comma}{size}"),
                None => format!("{comma}-1"),
            };
            if text.len() + size.len() > MAX_ECHO_BYTES {
                text.push_str(",...");
                break;
            }
            text.push_str(&size);
        }
        write!(f, "[{text}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let name = "ü".repeat(50) + "\u{0}";
        assert_eq!(Name(&name).to_string(), "ü".repeat(32));
        assert_eq!(Name("a\nb").to_string(), "a?b");
    }
}
