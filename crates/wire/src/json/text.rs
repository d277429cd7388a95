//! Text and binary elements: JSON strings, or base64 in `{"b64": "…"}`.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use crate::{DType, VariableData};

use super::element::wrong_type;
use super::limits::{JsonLimits, PlainBytes};
use super::nested::{Leaves, Length};
use super::scanner::{Next, Scanner};
use super::stop::{Fault, Stop};

/// The key of the object that stands for binary data.
pub(super) const BASE64_KEY: &[u8] = b"b64";

/// The elements of one `String` or `Bytes` input so far.
#[derive(Debug)]
pub(super) struct TextValues {
    data: VariableData,
    dtype: DType,
    max_elements: usize,
    plain: PlainBytes,
}

impl TextValues {
    pub(super) fn new(dtype: DType, limits: &JsonLimits) -> Self {
        Self {
            data: VariableData::new(),
            dtype,
            max_elements: limits.max_elements,
            plain: limits.rules.plain_bytes,
        }
    }

    /// Elements so far.
    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    pub(super) fn finish(self) -> VariableData {
        self.data
    }

    fn push(&mut self, element: &[u8], at: usize) -> Result<(), Stop> {
        if self.data.len() >= self.max_elements {
            return Err(Stop {
                fault: Fault::TooManyElements,
                at,
            });
        }
        self.data.push(element);
        Ok(())
    }
}

impl Leaves for TextValues {
    fn read_one(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Stop> {
        let start = scanner.peek();
        let at = scanner.at();
        match start {
            Some(b'"') => {
                let text = scanner.string()?;
                if self.dtype == DType::Bytes && self.plain == PlainBytes::Base64 {
                    let fault = Fault::Base64Text;
                    return self.push(&decode(&text).ok_or(Stop { fault, at })?, at);
                }
                self.push(&text, at)
            }
            Some(b'{') => {
                let decoded = read_base64_object(scanner)?;
                if self.dtype == DType::String && simdutf8::basic::from_utf8(&decoded).is_err() {
                    return Err(Stop {
                        fault: Fault::NotText,
                        at,
                    });
                }
                self.push(&decoded, at)
            }
            _ => Err(wrong_type(scanner.bytes(), at)),
        }
    }

    fn read_list(
        &mut self,
        scanner: &mut Scanner<'_>,
        expected: Option<usize>,
    ) -> Result<Length, Stop> {
        let mut count = 0;
        loop {
            self.read_one(scanner)?;
            count += 1;
            match scanner.after_element()? {
                Next::Closed => return Ok(Length::Exactly(count)),
                Next::Another if expected == Some(count) => return Ok(Length::Over),
                Next::Another => {}
            }
        }
    }
}

/// Reads `{"b64": "…"}`, with no other key.
pub(super) fn read_base64_object(scanner: &mut Scanner<'_>) -> Result<Vec<u8>, Stop> {
    let not_base64 = Stop {
        fault: Fault::Base64Object,
        at: scanner.at(),
    };
    scanner.take(b'{');
    if scanner.peek() == Some(b'}') || scanner.key()?.as_ref() != BASE64_KEY {
        return Err(not_base64);
    }
    if scanner.peek() != Some(b'"') {
        return Err(not_base64);
    }
    let at = scanner.at();
    let text = scanner.string()?;
    if scanner.after_member()? == Next::Another {
        return Err(not_base64);
    }
    decode(&text).ok_or(Stop {
        fault: Fault::Base64Text,
        at,
    })
}

/// Decodes as Abseil does: the standard alphabet, padding complete or absent, ASCII white space
/// anywhere.
fn decode(text: &[u8]) -> Option<Vec<u8>> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    let text = without_whitespace(text);
    if text.last() == Some(&b'=') && !text.len().is_multiple_of(4) {
        return None;
    }
    ENGINE.decode(&text).ok()
}

fn without_whitespace(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.iter().any(u8::is_ascii_whitespace) {
        return Cow::Borrowed(text);
    }
    let mut kept = text.to_vec();
    kept.retain(|byte| !byte.is_ascii_whitespace());
    Cow::Owned(kept)
}
