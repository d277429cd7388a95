//! Classify and regress requests: a list of examples, each an object of features.

use crate::quote::Name;
use crate::{EncodeError, Signature, Tensor, encode_tensors};

use super::document::{Document, Member};
use super::error::JsonError;
use super::explain::{document_error, echo, echo_bytes, json_type};
use super::feature;
use super::input::Input;
use super::limits::JsonLimits;
use super::method::Method;
use super::request::Format;
use super::scanner::{Next, Scanner, SkipBudget};
use super::sections::Inputs;

/// The context counts once for each example; all of it together is never longer, in bytes.
const MAX_REPEATED_CONTEXT_BYTES: usize = 64 << 20;

/// A classify or regress request whose features fit the signature.
#[derive(Debug)]
pub struct ExamplesRequest {
    /// `signature_name`, if the body has it. The caller compares it with the signature it gave.
    pub signature_name: Option<String>,
    /// One tensor per input of the signature, in its order; rows are examples, at least 1.
    pub tensors: Vec<Tensor>,
    /// How many keys of the outermost object were skipped because no protocol defines them.
    pub ignored_keys: usize,
}

impl ExamplesRequest {
    /// The request as one Arrow record.
    ///
    /// # Errors
    /// A column that is beyond what Arrow's 32-bit offsets can address.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode_tensors(&self.tensors)
    }
}

/// Reads the body of a classify or regress request into the inputs of `signature`.
///
/// A feature is an input by name: one value, or a flat list of all elements of a row, in row-major
/// order. Its elements are of one kind: integers (`true` counts as 1), decimals, or strings and
/// `{"b64": …}`. What `context` holds belongs to every example and must not stand in one as well.
/// Like [`super::parse_predict`] this is linear in the body, apart from the context, whose
/// repetitions are bounded.
///
/// # Errors
/// A body that is not such a request, with a sentence for its sender.
pub fn parse_examples(
    body: &[u8],
    signature: &Signature,
    limits: &JsonLimits,
    method: Method,
) -> Result<ExamplesRequest, JsonError> {
    let mut document = Document::new(body, limits)?;
    let mut found = Found {
        context: None,
        examples: None,
        max_depth: limits.max_depth,
    };
    let expected = "{\"examples\": [...]}";
    document.read(expected, |scanner, key| found.read(scanner, key))?;
    let Some(examples) = found.examples else {
        return Err(JsonError::invalid(format!(
            "When method is {method}, key 'examples' is expected and was not found"
        )));
    };
    let mut inputs = Inputs::new(signature, limits)?;
    inputs.set_format(Format::Row);
    let mut reader = Reader {
        inputs,
        context: found.context,
        context_bytes_left: MAX_REPEATED_CONTEXT_BYTES,
    };
    reader.read_all(examples)?;
    // A feature is never sparse.
    let (tensors, _) = reader.inputs.finish(Format::Row)?;
    Ok(ExamplesRequest {
        signature_name: document.signature_name,
        tensors,
        ignored_keys: document.ignored_keys,
    })
}

/// Where the two sections begin. They are read once both are known, since the context may come last.
struct Found<'a> {
    context: Option<Scanner<'a>>,
    examples: Option<Scanner<'a>>,
    max_depth: usize,
}

impl<'a> Found<'a> {
    fn read(&mut self, scanner: &mut Scanner<'a>, key: &[u8]) -> Result<Member, JsonError> {
        let (place, duplicate) = match key {
            b"context" => (&mut self.context, "duplicate key 'context'"),
            b"examples" => (&mut self.examples, "duplicate key 'examples'"),
            _ => return Ok(Member::Foreign),
        };
        if place.is_some() {
            return Err(JsonError::invalid(duplicate));
        }
        scanner.peek();
        *place = Some(scanner.clone());
        let mut budget = SkipBudget {
            depth: self.max_depth,
            keys: usize::MAX,
        };
        scanner.skip_value(&mut budget).map_err(document_error)?;
        Ok(Member::Read)
    }
}

/// Which object a feature stands in.
#[derive(Clone, Copy)]
enum Within {
    Example(usize),
    Context(usize),
}

impl Within {
    fn row(self) -> usize {
        match self {
            Self::Example(row) | Self::Context(row) => row,
        }
    }
}

struct Reader<'s, 'a> {
    inputs: Inputs<'s>,
    context: Option<Scanner<'a>>,
    context_bytes_left: usize,
}

impl<'s, 'a> Reader<'s, 'a> {
    fn read_all(&mut self, mut scanner: Scanner<'a>) -> Result<(), JsonError> {
        if scanner.peek() != Some(b'[') {
            let value = echo(&scanner);
            return Err(JsonError::invalid(format!(
                "JSON Value: {value} Expecting 'examples' value to be an list/array"
            )));
        }
        scanner.take(b'[');
        if scanner.take(b']') {
            return Err(JsonError::invalid("'examples' value is an empty array"));
        }
        for row in 0.. {
            if row == self.inputs.max_rows {
                return Err(self.inputs.too_many_rows());
            }
            self.read_example(&mut scanner, row)?;
            if scanner.after_element().map_err(document_error)? == Next::Closed {
                break;
            }
        }
        Ok(())
    }

    fn read_example(&mut self, scanner: &mut Scanner<'a>, row: usize) -> Result<(), JsonError> {
        self.read_features(scanner, Within::Example(row))?;
        if let Some(mut context) = self.context.clone() {
            let start = context.at();
            self.read_features(&mut context, Within::Context(row))?;
            let left = self.context_bytes_left.checked_sub(context.at() - start);
            self.context_bytes_left = left.ok_or_else(|| {
                JsonError::too_large(format!(
                    "'context' and its repetition for each of the examples is larger than \
                     {MAX_REPEATED_CONTEXT_BYTES} bytes"
                ))
            })?;
        }
        for input in &self.inputs.inputs {
            if input.count() <= row {
                let name = Name(&input.spec().name);
                return Err(JsonError::invalid(format!(
                    "Missing feature: {name} in example {row} of 'examples' list"
                )));
            }
        }
        Ok(())
    }

    fn read_features(
        &mut self,
        scanner: &mut Scanner<'a>,
        within: Within,
    ) -> Result<(), JsonError> {
        if scanner.peek() != Some(b'{') {
            return Err(JsonError::invalid(format!(
                "Example must be JSON object but got JSON {}",
                json_type(scanner)
            )));
        }
        scanner.take(b'{');
        let mut next = match scanner.take(b'}') {
            true => Next::Closed,
            false => Next::Another,
        };
        let mut position = 0;
        while next == Next::Another {
            let key = scanner.key().map_err(document_error)?;
            let input = self.input(&key, position, within)?;
            feature::read(input, scanner, within.row())?;
            position += 1;
            next = scanner.after_member().map_err(document_error)?;
        }
        Ok(())
    }

    /// The input that a feature is for, if it has not been given for this row yet.
    fn input(
        &mut self,
        key: &[u8],
        position: usize,
        within: Within,
    ) -> Result<&mut Input<'s>, JsonError> {
        let row = within.row();
        let Some(index) = self.inputs.find(key, position) else {
            return Err(JsonError::invalid(format!(
                "unknown feature {} in example {row}, the model has: {}",
                echo_bytes(key),
                self.inputs.names()
            )));
        };
        if self.inputs.count(index) > row {
            let feature = echo_bytes(key);
            return Err(JsonError::invalid(match within {
                Within::Example(_) => format!("duplicate feature {feature} in example {row}"),
                Within::Context(_) => {
                    format!("feature {feature} is in example {row} and in the context")
                }
            }));
        }
        let input = self.inputs.inputs.get_mut(index);
        Ok(input.expect("only inputs that exist are found"))
    }
}
