//! One entry of `inputs`: a name, a type, a shape, and data that are in the JSON or behind it.

use super::binary::{self, Announced};
use super::envelope::{entry_of, list_of, unexpected};
use super::error::OipError;
use super::parameters::{Parameter, read_parameters};
use super::{datatype, is_binary_only};
use crate::json::{JsonLimits, Reader};
use crate::quote::{Name, Shape};
use crate::tensor::{checked_product, known};
use crate::{Limits, Signature, Tensor, TensorSpec};

/// An input that fits the signature, before its raw data are taken.
pub(super) struct Given<'a> {
    pub(super) name: &'a str,
    values: Values<'a>,
}

enum Values<'a> {
    InJson(Tensor),
    Behind(Announced<'a>),
}

impl Given<'_> {
    /// The tensor, and what is left of the raw bytes that follow the JSON, of which `is_marked` says
    /// whether a header told where they begin.
    pub(super) fn finish(self, rest: &[u8], is_marked: bool) -> Result<(Tensor, &[u8]), OipError> {
        let announced = match self.values {
            Values::InJson(tensor) => return Ok((tensor, rest)),
            Values::Behind(announced) => announced,
        };
        let size_bytes = announced.size_bytes;
        let Some((bytes, after)) = rest.split_at_checked(size_bytes) else {
            let name = Name(self.name);
            let left = rest.len();
            return Err(OipError::invalid(if is_marked {
                format!(
                    "input {name} has \"binary_data_size\" {size_bytes}, but only {left} bytes are left in the body"
                )
            } else {
                format!(
                    "input {name} has \"binary_data_size\" {size_bytes}, but the header Inference-Header-Content-Length is missing"
                )
            }));
        };
        Ok((binary::read(&announced, bytes)?, after))
    }
}

/// Reads one entry of `inputs`.
pub(super) fn read_input<'s>(
    reader: &mut Reader<'_>,
    signature: &'s Signature,
    limits: &JsonLimits,
) -> Result<Given<'s>, OipError> {
    let mut object = entry_of(reader, "inputs")?;
    let mut entry = Entry::default();
    while let Some(key) = reader.member(&mut object)? {
        match key.as_ref() {
            b"name" => set(&mut entry.name, read_text(reader, "name")?, "name")?,
            b"datatype" => set(
                &mut entry.datatype,
                read_text(reader, "datatype")?,
                "datatype",
            )?,
            b"shape" => set(&mut entry.shape, read_shape(reader)?, "shape")?,
            b"parameters" => read_parameters(reader, |key, parameter| {
                entry.take_parameter(key, parameter)
            })?,
            b"data" if reader.null() => {}
            b"data" => entry.meet_data(reader, (signature, limits))?,
            _ => reader.ignore(&key)?,
        }
    }
    entry.finish(signature, limits)
}

/// What has been read of an input so far.
#[derive(Default)]
struct Entry<'b> {
    name: Option<String>,
    datatype: Option<String>,
    shape: Option<Vec<usize>>,
    size_bytes: Option<usize>,
    data: Data<'b>,
}

/// The `data` of an input.
#[derive(Default)]
enum Data<'b> {
    #[default]
    None,
    /// They came before the type and the shape, and are read when these are known.
    Later(Reader<'b>),
    Read(Tensor),
}

impl<'b> Entry<'b> {
    fn take_parameter(&mut self, key: &str, parameter: Parameter<'_>) -> Result<(), OipError> {
        match key {
            "binary_data_size" => {
                let size_bytes = parameter.unsigned()?;
                self.size_bytes = Some(usize::try_from(size_bytes).unwrap_or(usize::MAX));
            }
            "shared_memory_region" => return Err(no_shared_memory()),
            _ => {}
        }
        Ok(())
    }

    fn meet_data(
        &mut self,
        reader: &mut Reader<'b>,
        (signature, limits): (&Signature, &JsonLimits),
    ) -> Result<(), OipError> {
        if !matches!(self.data, Data::None) {
            return Err(duplicate("data"));
        }
        if self.name.is_some() && self.datatype.is_some() && self.shape.is_some() {
            let (spec, shape) = self.checked(signature, limits)?;
            self.data = Data::Read(read_data(reader, spec, shape)?);
            return Ok(());
        }
        self.data = Data::Later(reader.clone());
        reader.skip()?;
        Ok(())
    }

    /// The input this is, and its shape, if the type and the shape are as the signature says.
    fn checked<'s>(
        &self,
        signature: &'s Signature,
        limits: &JsonLimits,
    ) -> Result<(&'s TensorSpec, &[usize]), OipError> {
        let missing = |key: &str, of: &str| {
            OipError::invalid(format!("an entry of \"inputs\"{of} has no \"{key}\""))
        };
        let Some(name) = &self.name else {
            return Err(missing("name", ""));
        };
        let spec = signature.input(name)?;
        let of = format!(" ({})", Name(name));
        let Some(given) = &self.datatype else {
            return Err(missing("datatype", &of));
        };
        let expected = datatype(spec.dtype);
        if given != expected {
            return Err(OipError::invalid(format!(
                "unexpected datatype for input '{}'. Expected {expected}, got {}",
                Name(name),
                Name(given)
            )));
        }
        let Some(shape) = &self.shape else {
            return Err(missing("shape", &of));
        };
        check_shape(spec, shape, limits)?;
        Ok((spec, shape))
    }

    fn finish<'s>(
        mut self,
        signature: &'s Signature,
        limits: &JsonLimits,
    ) -> Result<Given<'s>, OipError> {
        let data = std::mem::take(&mut self.data);
        let (spec, shape) = self.checked(signature, limits)?;
        let name = spec.name.as_str();
        let values = match (data, self.size_bytes) {
            (Data::None, None) => {
                return Err(OipError::invalid(format!(
                    "input {} has neither \"data\" nor \"binary_data_size\"",
                    Name(name)
                )));
            }
            (Data::None, Some(size_bytes)) => Values::Behind(Announced {
                spec,
                shape: shape.to_vec(),
                size_bytes,
            }),
            (_, Some(_)) => {
                return Err(OipError::invalid(format!(
                    "input {} has both \"data\" and \"binary_data_size\"",
                    Name(name)
                )));
            }
            (Data::Later(mut reader), None) => Values::InJson(read_data(&mut reader, spec, shape)?),
            (Data::Read(tensor), None) => Values::InJson(tensor),
        };
        Ok(Given { name, values })
    }
}

fn set<T>(place: &mut Option<T>, value: T, key: &'static str) -> Result<(), OipError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(duplicate(key)),
    }
}

fn duplicate(key: &'static str) -> OipError {
    OipError::invalid(format!("duplicate key \"{key}\" in an entry of \"inputs\""))
}

/// The refusal of tensors that lie in this machine's memory.
pub(super) fn no_shared_memory() -> OipError {
    OipError::invalid("shared memory is not supported: send the tensor in the body")
}

/// Reads the string that is the value of `key`.
pub(super) fn read_text(reader: &mut Reader<'_>, key: &str) -> Result<String, OipError> {
    let text = reader.text()?;
    let text = text.map(std::borrow::Cow::into_owned);
    text.ok_or_else(|| unexpected(reader, &format!("\"{key}\" must be a string")))
}

fn read_shape(reader: &mut Reader<'_>) -> Result<Vec<usize>, OipError> {
    let mut list = list_of(reader, "shape")?;
    let mut shape = Vec::new();
    while reader.item(&mut list)? {
        if shape.len() == Limits::MAX_RANK {
            let most = Limits::MAX_RANK;
            return Err(OipError::invalid(format!(
                "\"shape\" has more than {most} dimensions"
            )));
        }
        let before = reader.clone();
        let size = reader.integer()?;
        let size = size.and_then(|size| usize::try_from(size).ok());
        let size = size.filter(|&size| size > 0).ok_or_else(|| {
            let what = "\"shape\" must be a list of integers from 1 on";
            unexpected(&mut before.clone(), what)
        })?;
        shape.push(size);
    }
    Ok(shape)
}

fn check_shape(spec: &TensorSpec, shape: &[usize], limits: &JsonLimits) -> Result<(), OipError> {
    let name = Name(&spec.name);
    if spec.check(spec.dtype, shape).is_err() {
        return Err(OipError::invalid(format!(
            "unexpected shape for input '{name}'. Expected {}, got {}",
            Shape(&spec.shape),
            Shape(&known(shape))
        )));
    }
    let Some(elements) = checked_product(shape) else {
        return Err(OipError::invalid(format!(
            "input {name} cannot have shape {}: too many elements to count",
            Shape(&known(shape))
        )));
    };
    if elements > limits.max_elements {
        return Err(OipError::too_large(format!(
            "input {name} has {elements} elements, more than the limit of {}",
            limits.max_elements
        )));
    }
    let rows = shape.first().copied().unwrap_or(0);
    if rows > limits.max_rows {
        return Err(OipError::too_large(format!(
            "input {name} has {rows} rows, more than the limit of {}",
            limits.max_rows
        )));
    }
    Ok(())
}

/// Reads `data`, flat or nested, as a tensor of a checked shape.
fn read_data(
    reader: &mut Reader<'_>,
    spec: &TensorSpec,
    shape: &[usize],
) -> Result<Tensor, OipError> {
    let name = Name(&spec.name);
    if is_binary_only(spec.dtype) {
        return Err(OipError::invalid(format!(
            "input {name} is {}, which has no JSON form in this protocol: send it as binary data",
            spec.dtype
        )));
    }
    let depth = reader.depth(Limits::MAX_RANK + 1);
    if depth == shape.len() {
        return Ok(reader.tensor(spec, shape)?);
    }
    if depth != 1 {
        let given = match depth {
            0 => reader.echo(),
            _ => format!("lists {depth} deep"),
        };
        return Err(OipError::invalid(format!(
            "\"data\" of input {name} must be a flat list or lists nested as its shape {}, got {given}",
            Shape(&known(shape))
        )));
    }
    let elements = checked_product(shape).unwrap_or(0);
    let flat = reader.tensor(spec, &[elements])?;
    Ok(flat.reshaped(shape.to_vec())?)
}
