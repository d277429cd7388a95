//! What operators want of one model, over what its `model.toml` says.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::AvroError;
use super::single_object::KnownSchema;

static SCHEMA: LazyLock<KnownSchema> =
    LazyLock::new(|| KnownSchema::parse(include_str!("../../../../schemas/model_control.avsc")));

/// The value of a record of the control topic; its key is the model's name. The newest record of a
/// model is all that counts, so it says everything that was ever asked for and not taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelControl {
    /// The model's name.
    pub model: String,
    /// The version that each label stands for; `None` takes a label of `model.toml` away.
    pub labels: BTreeMap<String, Option<i64>>,
    /// A share of the requests that goes to a label; `None` leaves that of `model.toml`.
    pub canary: Option<Canary>,
    /// No version is served until this is false again.
    pub unloaded: bool,
    /// When this was written.
    pub changed_at_unix_ms: i64,
    /// Who wrote this, for people.
    pub changed_by: String,
}

/// A share of the requests that name neither version nor label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// The label that gets the share.
    pub label: String,
    /// 0 to 100; 0 stops the canary that `model.toml` asks for.
    pub percent: i32,
}

impl ModelControl {
    /// Nothing asked for: what a model without a record has.
    pub fn of(model: &str) -> Self {
        Self {
            model: model.to_owned(),
            labels: BTreeMap::new(),
            canary: None,
            unloaded: false,
            changed_at_unix_ms: 0,
            changed_by: String::new(),
        }
    }

    /// The message as single-object encoded Avro.
    pub fn encode(&self) -> Result<Vec<u8>, AvroError> {
        SCHEMA.encode(self)
    }

    /// Reads a message; any bytes are answered with a value or an error.
    pub fn decode(message: &[u8]) -> Result<Self, AvroError> {
        let control: Self = SCHEMA.decode(message)?;
        let within = |canary: &Canary| (0..=100).contains(&canary.percent);
        if !control.canary.as_ref().is_none_or(within) {
            return Err(AvroError::Field {
                field: "percent",
                expected: "0 to 100",
            });
        }
        if control
            .labels
            .values()
            .flatten()
            .any(|version| *version < 0)
        {
            return Err(AvroError::Field {
                field: "labels",
                expected: "versions of at least 0",
            });
        }
        Ok(control)
    }
}
