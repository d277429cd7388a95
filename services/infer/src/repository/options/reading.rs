//! `delivery` and `[bulk]`: how a model's records are read, and how its results become durable. A model has one consumer
//! for all its versions, so this holds from the start of that consumer to its end.

use std::fmt;

use serde::Deserialize;

use crate::settings::{BulkSettings, Delivery};

/// What the consumer of a model is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReadingOptions {
    pub(crate) delivery: Delivery,
    pub(crate) bulk: BulkSettings,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct BulkChanges {
    enabled: Option<bool>,
    weight: Option<u8>,
}

impl ReadingOptions {
    pub(super) fn changed_by(self, delivery: Option<Delivery>, bulk: &BulkChanges) -> Self {
        Self {
            delivery: delivery.unwrap_or(self.delivery),
            bulk: BulkSettings {
                enabled: bulk.enabled.unwrap_or(self.bulk.enabled),
                weight: bulk.weight.unwrap_or(self.bulk.weight),
            },
        }
    }

    /// The lanes that are read, by their names.
    pub(crate) fn lanes(self) -> Vec<String> {
        let names = ["interactive", "bulk"];
        let count = if self.bulk.enabled { 2 } else { 1 };
        names[..count].iter().map(ToString::to_string).collect()
    }
}

impl fmt::Display for ReadingOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "delivery {}", self.delivery.name())?;
        match (self.bulk.enabled, self.bulk.weight) {
            (true, weight) => write!(formatter, " and a bulk lane of weight {weight}"),
            (false, _) => write!(formatter, " and no bulk lane"),
        }
    }
}
