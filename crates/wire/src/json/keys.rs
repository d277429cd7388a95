//! The sentences for names that are too many, too few or unknown.

use crate::quote::Name;

use super::error::JsonError;
use super::explain::echo_bytes;
use super::sections::Inputs;

impl Inputs<'_> {
    /// The sentence for more rows than the limit.
    #[cold]
    pub(super) fn too_many_rows(&self) -> JsonError {
        JsonError::too_large(format!(
            "more than {} instances in one request",
            self.max_rows
        ))
    }

    /// The sentence for a name that no input has.
    #[cold]
    pub(super) fn unknown_key(&self, key: &[u8], instance: Option<usize>) -> JsonError {
        let key = echo_bytes(key);
        let names = self.names();
        JsonError::invalid(match instance {
            Some(row) => format!(
                "Failed to process element: {row} key: {key} of 'instances' list. \
                 JSON object: no input has this name, keys must be equal to: {names}"
            ),
            None => format!(
                "unknown named input: {key} in 'inputs' object, keys must be equal to: {names}"
            ),
        })
    }

    /// The sentence for an object without some input.
    #[cold]
    pub(super) fn missing_key(&self, instance: Option<usize>) -> JsonError {
        let expected = instance.map_or(1, |row| row + 1);
        let missing = self.inputs.iter().find(|input| input.count() < expected);
        let name = Name(missing.map_or("", |input| &input.spec().name));
        JsonError::invalid(match instance {
            Some(row) => format!(
                "Failed to process element: {row} of 'instances' list. Missing named input: {name}, \
                 keys must be equal to: {}",
                self.names()
            ),
            None => format!("Missing named input: {name} in 'inputs' object."),
        })
    }

    /// The names of all inputs in order, as many as fit a sentence.
    pub(super) fn names(&self) -> String {
        const ENOUGH_BYTES: usize = 160;
        let mut names = String::new();
        for index in self.sorted() {
            let name = self
                .inputs
                .get(index)
                .map_or("", |input| &input.spec().name);
            if !names.is_empty() {
                names.push(',');
            }
            if names.len() + name.len() > ENOUGH_BYTES {
                names.push_str("...");
                break;
            }
            names.push_str(name);
        }
        names
    }
}

/// The sentence for a name that comes twice in one object.
#[cold]
pub(super) fn duplicate_key(key: &[u8], instance: Option<usize>) -> JsonError {
    let key = echo_bytes(key);
    JsonError::invalid(match instance {
        Some(row) => format!("duplicate key {key} (instance {row})"),
        None => format!("duplicate key {key} in 'inputs' object"),
    })
}
