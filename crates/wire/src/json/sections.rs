//! The values of `instances` and `inputs`, handed to the inputs they belong to.

use crate::quote::Name;
use crate::{Signature, SparseTensor, Tensor};

use super::error::JsonError;
use super::explain::{Place, document_error, echo, value_error};
use super::input::{Finished, Input};
use super::keys::duplicate_key;
use super::limits::JsonLimits;
use super::request::Format;
use super::scanner::{Next, Scanner};
use super::sparse::is_sparse_key;
use super::text::BASE64_KEY;

/// All inputs of a signature, found by name.
pub(super) struct Inputs<'s> {
    pub(super) inputs: Vec<Input<'s>>,
    /// Indices into `inputs`, by name; empty until keys came in another order than the signature's.
    by_name: Vec<usize>,
    /// Indices into `inputs` in the order of keys in the latest object, as far as it differed: the next
    /// will have the same.
    order: Vec<usize>,
    pub(super) max_rows: usize,
}

/// What the entries of `instances` are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entries {
    Objects,
    Values,
}

impl<'s> Inputs<'s> {
    pub(super) fn new(signature: &'s Signature, limits: &JsonLimits) -> Result<Self, JsonError> {
        let mut inputs = Vec::with_capacity(signature.inputs.len());
        for spec in &signature.inputs {
            inputs.push(Input::new(spec, limits).ok_or_else(|| {
                let name = Name(&spec.name);
                JsonError::invalid(format!(
                    "input {name} has no dimension for rows, or too many dimensions"
                ))
            })?);
        }
        if inputs.is_empty() {
            return Err(JsonError::invalid("the signature has no inputs"));
        }
        Ok(Self {
            inputs,
            by_name: Vec::new(),
            order: Vec::new(),
            max_rows: limits.max_rows,
        })
    }

    /// Reads the value of `instances`.
    pub(super) fn read_instances(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        self.set_format(Format::Row);
        if scanner.peek() != Some(b'[') {
            let value = echo(scanner);
            return Err(JsonError::invalid(format!(
                "JSON Value: {value} Expecting 'instances' to be an list/array"
            )));
        }
        scanner.take(b'[');
        if scanner.take(b']') {
            return Err(JsonError::invalid("No values in 'instances' array"));
        }
        let entries = self.entries_like(scanner);
        if entries == Entries::Values && self.inputs.len() > 1 {
            return Err(JsonError::invalid(
                "instances is a plain list, but expecting list of objects as multiple input tensors \
                 required as per tensorinfo_map",
            ));
        }
        for row in 0.. {
            self.read_instance(scanner, row, entries)?;
            if scanner.after_element().map_err(document_error)? == Next::Closed {
                break;
            }
        }
        Ok(())
    }

    fn read_instance(
        &mut self,
        scanner: &mut Scanner<'_>,
        row: usize,
        entries: Entries,
    ) -> Result<(), JsonError> {
        if row == self.max_rows {
            return Err(self.too_many_rows());
        }
        match (entries, self.entries_like(scanner)) {
            (Entries::Objects, Entries::Objects) => self.read_object(scanner, Some(row)),
            (Entries::Values, Entries::Values) => self.read_value(scanner, 0, Some(row)),
            (Entries::Objects, Entries::Values) => Err(JsonError::invalid(format!(
                "Expecting object but got list at item {row} of input list"
            ))),
            (Entries::Values, Entries::Objects) => Err(JsonError::invalid(format!(
                "Expecting value/list but got object at item {row} of input list"
            ))),
        }
    }

    /// What the next value is: `{"b64": …}` and a sparse tensor for the only input are values.
    fn entries_like(&self, scanner: &mut Scanner<'_>) -> Entries {
        if scanner.peek() != Some(b'{') {
            return Entries::Values;
        }
        let [input] = self.inputs.as_slice() else {
            return Entries::Objects;
        };
        if input.spec().name.as_bytes() == BASE64_KEY {
            return Entries::Objects;
        }
        let mut ahead = scanner.clone();
        ahead.take(b'{');
        let is_value = ahead.key().is_ok_and(|key| {
            let is_input = key.as_ref() == input.spec().name.as_bytes();
            key.as_ref() == BASE64_KEY || (is_sparse_key(&key) && !is_input)
        });
        match is_value {
            true => Entries::Values,
            false => Entries::Objects,
        }
    }

    /// Reads the value of `inputs`.
    pub(super) fn read_columns(&mut self, scanner: &mut Scanner<'_>) -> Result<(), JsonError> {
        self.set_format(Format::Column);
        match self.entries_like(scanner) {
            Entries::Objects => self.read_object(scanner, None)?,
            Entries::Values if self.inputs.len() == 1 => self.read_value(scanner, 0, None)?,
            Entries::Values => {
                return Err(JsonError::invalid(
                    "inputs is a plain value/list, but expecting an object as multiple input tensors \
                     required as per tensorinfo_map",
                ));
            }
        }
        self.check_rows()
    }

    /// Reads an object with exactly one member per input.
    fn read_object(
        &mut self,
        scanner: &mut Scanner<'_>,
        instance: Option<usize>,
    ) -> Result<(), JsonError> {
        scanner.take(b'{');
        let mut seen = 0;
        let mut next = if scanner.take(b'}') {
            Next::Closed
        } else {
            Next::Another
        };
        while next == Next::Another {
            let key = scanner.key().map_err(document_error)?;
            let Some(index) = self.find(&key, seen) else {
                return Err(self.unknown_key(&key, instance));
            };
            if self.count(index) > instance.unwrap_or(0) {
                return Err(duplicate_key(&key, instance));
            }
            self.read_value(scanner, index, instance)?;
            seen += 1;
            next = scanner.after_member().map_err(document_error)?;
        }
        if seen < self.inputs.len() {
            return Err(self.missing_key(instance));
        }
        Ok(())
    }

    fn read_value(
        &mut self,
        scanner: &mut Scanner<'_>,
        index: usize,
        instance: Option<usize>,
    ) -> Result<(), JsonError> {
        scanner.peek();
        let value = scanner.clone();
        let Some(input) = self.inputs.get_mut(index) else {
            return Err(JsonError::invalid("the signature has no such input"));
        };
        input.read(scanner).map_err(|stop| {
            value_error(
                stop,
                &Place {
                    input,
                    instance,
                    value,
                },
            )
        })
    }

    /// The input named `key`, where `position` members of the object came before.
    pub(super) fn find(&mut self, key: &[u8], position: usize) -> Option<usize> {
        let predicted = self.order.get(position).copied().unwrap_or(position);
        if self.name(predicted) == Some(key) {
            return Some(predicted);
        }
        if self.by_name.is_empty() {
            self.by_name = self.sorted();
        }
        let named = |&index: &usize| self.name(index).cmp(&Some(key));
        let place = self.by_name.binary_search_by(named).ok()?;
        let index = *self.by_name.get(place)?;
        while self.order.len() <= position {
            self.order.push(self.order.len());
        }
        *self.order.get_mut(position)? = index;
        Some(index)
    }

    fn name(&self, index: usize) -> Option<&'s [u8]> {
        self.inputs
            .get(index)
            .map(|input| input.spec().name.as_bytes())
    }

    /// Indices into `inputs`, by name.
    pub(super) fn sorted(&self) -> Vec<usize> {
        let mut by_name: Vec<usize> = (0..self.inputs.len()).collect();
        by_name.sort_by_key(|&index| self.name(index));
        by_name
    }

    pub(super) fn count(&self, index: usize) -> usize {
        self.inputs.get(index).map_or(0, Input::count)
    }

    pub(super) fn set_format(&mut self, format: Format) {
        for input in &mut self.inputs {
            input.set_format(format);
        }
    }

    /// In column format every input must bring the same number of rows, and at least one.
    fn check_rows(&self) -> Result<(), JsonError> {
        let rows = |input: &Input<'_>| input.dimensions().first().copied().flatten().unwrap_or(0);
        let expected = self.inputs.first().map_or(0, rows);
        for input in &self.inputs {
            let name = Name(&input.spec().name);
            let given = rows(input);
            if given == 0 {
                return Err(JsonError::invalid(format!(
                    "No values in 'inputs' for input {name}"
                )));
            }
            if given != expected {
                return Err(JsonError::invalid(format!(
                    "Tensor name: {name} has inconsistent batch size: {given} expecting: {expected}"
                )));
            }
        }
        if expected > self.max_rows {
            return Err(self.too_many_rows());
        }
        Ok(())
    }

    /// All inputs as tensors, dense and sparse ones apart, in the signature's order.
    pub(super) fn finish(
        self,
        format: Format,
    ) -> Result<(Vec<Tensor>, Vec<SparseTensor>), JsonError> {
        let mut tensors = Vec::with_capacity(self.inputs.len());
        let mut sparse = Vec::new();
        for input in self.inputs {
            let finished = input.finish(format);
            match finished.map_err(|error| JsonError::invalid(error.to_string()))? {
                Finished::Dense(tensor) => tensors.push(tensor),
                Finished::Sparse(tensor) => sparse.push(tensor),
            }
        }
        Ok((tensors, sparse))
    }
}
