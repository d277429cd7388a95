//! Predict requests: the tensors of `instances` or `inputs`.

use crate::{EncodeError, Signature, SparseTensor, Tensor, encode_inputs};

use super::document::{Document, Member};
use super::error::JsonError;
use super::limits::JsonLimits;
use super::scanner::Scanner;
use super::sections::Inputs;

/// How a request lists its values, and therefore how its answer must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `instances`: one entry per row. Answered with `predictions`.
    Row,
    /// `inputs`: one entry per input, rows inside. Answered with `outputs`.
    Column,
}

/// A predict request whose values fit the signature.
#[derive(Debug)]
pub struct PredictRequest {
    /// How the values were listed.
    pub format: Format,
    /// `signature_name`, if the body has it. The caller compares it with the signature it gave.
    pub signature_name: Option<String>,
    /// One tensor per input of the signature, in its order, but for those in `sparse`; all have the
    /// same number of rows, which is at least 1. Data start at a 64-byte boundary.
    pub tensors: Vec<Tensor>,
    /// The inputs that were given as sparse tensors, in the signature's order.
    pub sparse: Vec<SparseTensor>,
    /// How many keys of the outermost object were skipped because no protocol defines them.
    pub ignored_keys: usize,
}

impl PredictRequest {
    /// The request as one Arrow record.
    ///
    /// # Errors
    /// A column that is beyond what Arrow's 32-bit offsets can address.
    pub fn encode(&self) -> Result<Vec<u8>, EncodeError> {
        encode_inputs(&self.tensors, &self.sparse)
    }
}

/// Reads the body of a predict request into the inputs of `signature`.
///
/// Values are only accepted where they fit: integers are exact and in range, floats are the nearest
/// to what was written (`NaN`, `Infinity` and `-Infinity` are accepted unless the rules are strict,
/// and so are numbers beyond FP32, as infinite), every row has the same shape, every input is there
/// once. Whatever the body, this returns in time proportional to its length and allocates no more
/// than a few times the tensors that it can hold.
///
/// # Errors
/// A body that is not such a request, with a sentence for its sender.
pub fn parse_predict(
    body: &[u8],
    signature: &Signature,
    limits: &JsonLimits,
) -> Result<PredictRequest, JsonError> {
    let mut document = Document::new(body, limits)?;
    let mut sections = Sections {
        inputs: Inputs::new(signature, limits)?,
        format: None,
    };
    let expected = "{\"instances\": [...]} or {\"inputs\": ...}";
    document.read(expected, |scanner, key| match key {
        b"instances" => sections.read(scanner, Format::Row),
        b"inputs" => sections.read(scanner, Format::Column),
        _ => Ok(Member::Foreign),
    })?;
    let Some(format) = sections.format else {
        return Err(JsonError::invalid("Missing 'inputs' or 'instances' key"));
    };
    let (tensors, sparse) = sections.inputs.finish(format)?;
    Ok(PredictRequest {
        format,
        signature_name: document.signature_name,
        tensors,
        sparse,
        ignored_keys: document.ignored_keys,
    })
}

/// The inputs, and which of the two sections brought them.
struct Sections<'s> {
    inputs: Inputs<'s>,
    format: Option<Format>,
}

impl Sections<'_> {
    fn read(&mut self, scanner: &mut Scanner<'_>, format: Format) -> Result<Member, JsonError> {
        match self.format {
            Some(earlier) if earlier == format => {
                return Err(JsonError::invalid(match format {
                    Format::Row => "duplicate key 'instances'",
                    Format::Column => "duplicate key 'inputs'",
                }));
            }
            Some(_) => {
                return Err(JsonError::invalid(
                    "Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist ",
                ));
            }
            None => self.format = Some(format),
        }
        match format {
            Format::Row => self.inputs.read_instances(scanner)?,
            Format::Column => self.inputs.read_columns(scanner)?,
        }
        Ok(Member::Read)
    }
}
