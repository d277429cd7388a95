//! `parameters` objects: the few that we act on, of the right type; all others are let be.

use std::borrow::Cow;
use std::time::Duration;

use super::envelope::unexpected;
use super::error::OipError;
use crate::json::Reader;
use crate::quote::Name;

/// What the request's own parameters say.
#[derive(Debug, Default)]
pub(super) struct RequestParameters {
    /// Whether outputs that do not say it themselves are raw.
    pub(super) binary_data_output: bool,
    /// Zero is none.
    pub(super) timeout: Duration,
    pub(super) priority: u64,
}

/// One parameter's value.
pub(super) struct Parameter<'a> {
    key: &'a str,
    value: Value<'a>,
    shown: String,
}

enum Value<'a> {
    Boolean(bool),
    Integer(i64),
    Text(Cow<'a, str>),
    Other,
}

impl Parameter<'_> {
    pub(super) fn boolean(&self) -> Result<bool, OipError> {
        match self.value {
            Value::Boolean(value) => Ok(value),
            _ => Err(self.wrong("true or false")),
        }
    }

    /// An integer from 0 on; strings of digits are taken too, as Triton's clients may send them.
    pub(super) fn unsigned(&self) -> Result<u64, OipError> {
        let value = match &self.value {
            Value::Integer(value) => u64::try_from(*value).ok(),
            Value::Text(text) => text.parse().ok(),
            _ => None,
        };
        value.ok_or_else(|| self.wrong("an integer from 0 on"))
    }

    /// True for 0 and the empty string, which say that there is none.
    pub(super) fn is_none(&self) -> bool {
        match &self.value {
            Value::Integer(value) => *value == 0,
            Value::Text(text) => text.is_empty(),
            _ => false,
        }
    }

    fn wrong(&self, expected: &str) -> OipError {
        let key = Name(self.key);
        OipError::invalid(format!(
            "parameter {key} must be {expected}, got {}",
            self.shown
        ))
    }
}

/// Reads a `parameters` object and hands each of them to `take`; a name may be there once.
pub(super) fn read_parameters(
    reader: &mut Reader<'_>,
    mut take: impl FnMut(&str, Parameter<'_>) -> Result<(), OipError>,
) -> Result<(), OipError> {
    if reader.null() {
        return Ok(());
    }
    let object = reader.object();
    let mut object =
        object.ok_or_else(|| unexpected(reader, "\"parameters\" must be an object"))?;
    let mut seen: Vec<String> = Vec::new();
    while let Some(key) = reader.member(&mut object)? {
        let key = String::from_utf8_lossy(&key);
        if seen.iter().any(|other| *other == key) {
            let key = Name(&key);
            return Err(OipError::invalid(format!("duplicate parameter {key}")));
        }
        if seen.len() == MAX_PARAMETERS {
            return Err(OipError::invalid(format!(
                "more than {MAX_PARAMETERS} parameters in one place"
            )));
        }
        let shown = reader.echo();
        let value = read_value(reader)?;
        let parameter = Parameter {
            key: &key,
            value,
            shown,
        };
        take(&key, parameter)?;
        seen.push(key.into_owned());
    }
    Ok(())
}

/// More in one object are refused; each is compared with all before it.
const MAX_PARAMETERS: usize = 64;

fn read_value<'a>(reader: &mut Reader<'a>) -> Result<Value<'a>, OipError> {
    if let Some(text) = reader.text()? {
        return Ok(Value::Text(text));
    }
    if let Some(value) = reader.boolean() {
        return Ok(Value::Boolean(value));
    }
    if let Some(value) = reader.integer()? {
        return Ok(Value::Integer(value));
    }
    reader.skip()?;
    Ok(Value::Other)
}
