//! The outermost object of an infer request.

use std::time::Duration;

use super::error::OipError;
use super::input::{Given, read_input, read_text};
use super::outputs::{Outputs, read_outputs};
use super::parameters::{Parameter, RequestParameters, read_parameters};
use super::request::InferRequest;
use crate::json::{JsonLimits, Opened, Reader};
use crate::quote::Name;
use crate::{Signature, Tensor};

/// An `id` of more bytes is refused: it comes back in the answer.
const MAX_ID_BYTES: usize = 256;

/// Reads the JSON `head` and takes the raw tensors it announces off the `tail`; no tail means that the
/// request has no header which says where its JSON ends.
pub(super) fn read(
    head: &[u8],
    tail: Option<&[u8]>,
    (signature, limits): (&Signature, &JsonLimits),
) -> Result<InferRequest, OipError> {
    let mut reader = Reader::new(head, limits)?;
    let mut envelope = Envelope::new(signature, limits);
    let object = reader.object();
    let what = "the request must be an object with \"inputs\"";
    let mut object = object.ok_or_else(|| unexpected(&mut reader, what))?;
    while let Some(key) = reader.member(&mut object)? {
        envelope.read_member(&key, &mut reader)?;
    }
    reader.end()?;
    envelope.finish(tail)
}

struct Envelope<'a> {
    signature: &'a Signature,
    limits: &'a JsonLimits,
    seen: Vec<&'static str>,
    id: Option<String>,
    parameters: RequestParameters,
    inputs: Vec<Given<'a>>,
    outputs: Outputs,
}

impl<'a> Envelope<'a> {
    fn new(signature: &'a Signature, limits: &'a JsonLimits) -> Self {
        Self {
            signature,
            limits,
            seen: Vec::new(),
            id: None,
            parameters: RequestParameters::default(),
            inputs: Vec::new(),
            outputs: Outputs::default(),
        }
    }

    fn read_member(&mut self, key: &[u8], reader: &mut Reader<'_>) -> Result<(), OipError> {
        match key {
            b"id" => {
                self.once("id")?;
                self.id = read_id(reader)?;
            }
            b"parameters" => {
                self.once("parameters")?;
                self.read_parameters(reader)?;
            }
            b"inputs" => {
                self.once("inputs")?;
                self.read_inputs(reader)?;
            }
            b"outputs" => {
                self.once("outputs")?;
                self.outputs = read_outputs(reader, self.signature)?;
            }
            _ => reader.ignore(key)?,
        }
        Ok(())
    }

    fn once(&mut self, key: &'static str) -> Result<(), OipError> {
        if self.seen.contains(&key) {
            return Err(OipError::invalid(format!("duplicate key \"{key}\"")));
        }
        self.seen.push(key);
        Ok(())
    }

    fn read_parameters(&mut self, reader: &mut Reader<'_>) -> Result<(), OipError> {
        let parameters = &mut self.parameters;
        read_parameters(reader, |key, parameter| parameters.take(key, parameter))
    }

    fn read_inputs(&mut self, reader: &mut Reader<'_>) -> Result<(), OipError> {
        let mut list = list_of(reader, "inputs")?;
        while reader.item(&mut list)? {
            let given = read_input(reader, self.signature, self.limits)?;
            if self.inputs.iter().any(|other| other.name == given.name) {
                return Err(OipError::invalid(format!(
                    "input {} was given twice",
                    Name(given.name)
                )));
            }
            self.inputs.push(given);
        }
        Ok(())
    }

    fn finish(self, tail: Option<&[u8]>) -> Result<InferRequest, OipError> {
        if !self.seen.contains(&"inputs") {
            return Err(OipError::invalid(format!(
                "the request has no \"inputs\"; the model has {}",
                self.signature.inputs.len()
            )));
        }
        let tensors = take_tensors(self.inputs, tail)?;
        let tensors = in_order(tensors, self.signature)?;
        let outputs = self
            .outputs
            .decided(self.parameters.binary_data_output, self.signature)?;
        Ok(InferRequest {
            id: self.id,
            tensors,
            outputs,
            timeout: Some(self.parameters.timeout).filter(|timeout| *timeout > Duration::ZERO),
            priority: self.parameters.priority,
        })
    }
}

/// A string; Triton takes numbers too, and clients that write every field send `null`.
fn read_id(reader: &mut Reader<'_>) -> Result<Option<String>, OipError> {
    if reader.null() {
        return Ok(None);
    }
    if let Some(number) = reader.integer()? {
        return Ok(Some(number.to_string()));
    }
    let id = read_text(reader, "id")?;
    if id.len() > MAX_ID_BYTES {
        return Err(OipError::invalid(format!(
            "\"id\" must have at most {MAX_ID_BYTES} bytes, got {}",
            id.len()
        )));
    }
    Ok(Some(id))
}

/// Opens the list that is the value of `key`.
pub(super) fn list_of(reader: &mut Reader<'_>, key: &str) -> Result<Opened, OipError> {
    let list = reader.list();
    list.ok_or_else(|| unexpected(reader, &format!("\"{key}\" must be a list")))
}

/// Opens the object that is an entry of the list `key`.
pub(super) fn entry_of(reader: &mut Reader<'_>, key: &str) -> Result<Opened, OipError> {
    let object = reader.object();
    object.ok_or_else(|| unexpected(reader, &format!("an entry of \"{key}\" must be an object")))
}

/// The error for a value of another kind than `what` says, unless it is no JSON at all.
pub(super) fn unexpected(reader: &mut Reader<'_>, what: &str) -> OipError {
    let given = reader.echo();
    match reader.skip() {
        Ok(()) => OipError::invalid(format!("{what}, got {given}")),
        Err(error) => error.into(),
    }
}

/// The tensors of all inputs; those that are raw lie behind each other in the tail.
fn take_tensors(inputs: Vec<Given<'_>>, tail: Option<&[u8]>) -> Result<Vec<Tensor>, OipError> {
    let mut rest = tail.unwrap_or_default();
    let mut tensors = Vec::with_capacity(inputs.len());
    for input in inputs {
        let (tensor, after) = input.finish(rest, tail.is_some())?;
        tensors.push(tensor);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(OipError::invalid(format!(
            "{} bytes follow the last binary tensor",
            rest.len()
        )));
    }
    Ok(tensors)
}

/// The tensors in the order of the signature, all of them, all with the same rows.
fn in_order(mut tensors: Vec<Tensor>, signature: &Signature) -> Result<Vec<Tensor>, OipError> {
    signature.check_tensors(&tensors)?;
    let place = |tensor: &Tensor| {
        let mut inputs = signature.inputs.iter();
        inputs.position(|input| input.name == tensor.name())
    };
    tensors.sort_by_cached_key(place);
    Ok(tensors)
}

impl RequestParameters {
    fn take(&mut self, key: &str, parameter: Parameter<'_>) -> Result<(), OipError> {
        match key {
            "binary_data_output" => self.binary_data_output = parameter.boolean()?,
            "timeout" => self.timeout = Duration::from_micros(parameter.unsigned()?),
            "priority" => self.priority = parameter.unsigned()?,
            "sequence_id" if !parameter.is_none() => return Err(no_sequences()),
            "sequence_start" | "sequence_end" if parameter.boolean()? => return Err(no_sequences()),
            _ => {}
        }
        Ok(())
    }
}

fn no_sequences() -> OipError {
    OipError::invalid("sequences are not supported: no model here keeps a state between requests")
}
