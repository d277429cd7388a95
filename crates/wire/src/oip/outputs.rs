//! Which outputs a request wants, and in which form.

use super::envelope::{entry_of, list_of};
use super::error::OipError;
use super::input::{no_shared_memory, read_text};
use super::is_binary_only;
use super::parameters::{Parameter, read_parameters};
use crate::json::Reader;
use crate::quote::Name;
use crate::{Signature, TensorSpec};

/// The outputs of an answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outputs {
    /// In this order; `None` is all that the model has.
    named: Option<Vec<RequestedOutput>>,
    /// The form where all are wanted.
    binary: bool,
}

/// One output that a request names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedOutput {
    /// Its name in the signature.
    pub name: String,
    /// Whether its elements are to be raw behind the JSON; `None` is what the request says for all.
    pub binary: Option<bool>,
}

impl Outputs {
    /// Every output, raw.
    pub fn all_binary() -> Self {
        Self {
            named: None,
            binary: true,
        }
    }

    /// These outputs in this order, `None` for all; `binary` is the form of those that do not say it
    /// themselves.
    pub fn new(named: Option<Vec<RequestedOutput>>, binary: bool) -> Self {
        Self { named, binary }
    }

    /// The outputs that were named; `None` is all that the model has.
    pub fn named(&self) -> Option<&[RequestedOutput]> {
        self.named.as_deref()
    }

    /// The form of outputs that do not say it themselves.
    pub fn binary(&self) -> bool {
        self.binary
    }

    /// With the request's form for outputs that do not say it themselves; fails if an output has no form
    /// in JSON and is not wanted raw.
    pub(super) fn decided(self, binary: bool, signature: &Signature) -> Result<Self, OipError> {
        let decided = Self { binary, ..self };
        for output in &signature.outputs {
            if !is_binary_only(output.dtype) {
                continue;
            }
            let wanted = match &decided.named {
                None => Some(binary),
                Some(named) => named
                    .iter()
                    .find(|wanted| wanted.name == output.name)
                    .map(|wanted| wanted.binary.unwrap_or(binary)),
            };
            if wanted == Some(false) {
                return Err(no_json_form(output));
            }
        }
        Ok(decided)
    }
}

fn no_json_form(output: &TensorSpec) -> OipError {
    OipError::invalid(format!(
        "output {} is {}, which has no JSON form in this protocol: ask for it with \"binary_data\": true",
        Name(&output.name),
        output.dtype
    ))
}

/// Reads the list of wanted outputs; an empty one means all.
pub(super) fn read_outputs(
    reader: &mut Reader<'_>,
    signature: &Signature,
) -> Result<Outputs, OipError> {
    if reader.null() {
        return Ok(Outputs::default());
    }
    let mut list = list_of(reader, "outputs")?;
    let mut named: Vec<RequestedOutput> = Vec::new();
    while reader.item(&mut list)? {
        let output = read_output(reader)?;
        if !signature.outputs.iter().any(|it| it.name == output.name) {
            return Err(unknown(&output.name, signature));
        }
        if named.iter().any(|other| other.name == output.name) {
            return Err(OipError::invalid(format!(
                "output {} was requested twice",
                Name(&output.name)
            )));
        }
        named.push(output);
    }
    Ok(Outputs {
        named: Some(named).filter(|named| !named.is_empty()),
        binary: false,
    })
}

fn unknown(name: &str, signature: &Signature) -> OipError {
    let outputs = signature.outputs.len();
    let first = match signature.outputs.first() {
        Some(first) => format!(", the first is {}", Name(&first.name)),
        None => String::new(),
    };
    OipError::invalid(format!(
        "unknown output {}; the model has {outputs} outputs{first}",
        Name(name)
    ))
}

fn read_output(reader: &mut Reader<'_>) -> Result<RequestedOutput, OipError> {
    let mut object = entry_of(reader, "outputs")?;
    let mut name = None;
    let mut binary = None;
    while let Some(key) = reader.member(&mut object)? {
        match key.as_ref() {
            b"name" if name.is_some() => {
                return Err(OipError::invalid(
                    "duplicate key \"name\" in an entry of \"outputs\"",
                ));
            }
            b"name" => name = Some(read_text(reader, "name")?),
            b"parameters" => read_parameters(reader, |key, parameter| {
                take_parameter(key, &parameter, &mut binary)
            })?,
            _ => reader.ignore(&key)?,
        }
    }
    let name = name.ok_or_else(|| OipError::invalid("an entry of \"outputs\" has no \"name\""))?;
    Ok(RequestedOutput { name, binary })
}

fn take_parameter(
    key: &str,
    parameter: &Parameter<'_>,
    binary: &mut Option<bool>,
) -> Result<(), OipError> {
    match key {
        "binary_data" => *binary = Some(parameter.boolean()?),
        "classification" if parameter.unsigned()? > 0 => {
            return Err(OipError::invalid(
                "classification is not supported: ask for the output itself",
            ));
        }
        "shared_memory_region" => return Err(no_shared_memory()),
        _ => {}
    }
    Ok(())
}
