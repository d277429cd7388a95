//! TensorFlow Serving's requests with examples to one record: classify, regress, and both at once.
//!
//! All three have the examples in field 2, a `tensorflow.serving.Input`. A feature is an input by
//! name. What the context holds belongs to every example and must not stand in one as well.

use std::collections::HashMap;

use super::feature::Column;
use super::fields::Fields;
use super::predict_request::{PredictHead, entry, read_spec};
use super::{ProtobufError, check_count, record_of};
use crate::json::Method;
use crate::quote::Name;
use crate::{Limits, Signature};

/// The context counts once for each example; all of it together is never longer, in bytes.
const MAX_REPEATED_CONTEXT_BYTES: usize = 64 << 20;

/// The names that TensorFlow Serving gives the two verbs.
const METHODS: [(&str, Method); 2] = [
    ("tensorflow/serving/classify", Method::Classify),
    ("tensorflow/serving/regress", Method::Regress),
];

/// What must be known of a `MultiInferenceRequest` before its examples are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiHead {
    /// What each task asks for, at least one; all name the same model.
    pub heads: Vec<PredictHead>,
    /// The verb of each task; none comes twice.
    pub methods: Vec<Method>,
}

/// Reads the tasks of a `MultiInferenceRequest`.
///
/// # Errors
/// A message that is not well-formed, no task, a verb that is unknown or comes twice, two models.
pub fn multi_inference_head(message: &[u8]) -> Result<MultiHead, ProtobufError> {
    let mut tasks = MultiHead {
        heads: Vec::new(),
        methods: Vec::new(),
    };
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        if field.number == 1 {
            let (head, method) = task(field.bytes()?)?;
            if tasks.methods.contains(&method) {
                return Err(ProtobufError::invalid(format!(
                    "Duplicate evaluation: two tasks are to {method}"
                )));
            }
            if tasks.heads.first().is_some_and(|it| it.model != head.model) {
                return Err(ProtobufError::invalid(
                    "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
                ));
            }
            tasks.heads.push(head);
            tasks.methods.push(method);
        }
    }
    match tasks.methods.is_empty() {
        true => Err(ProtobufError::invalid(
            "request has no tasks: each names a model and a method",
        )),
        false => Ok(tasks),
    }
}

fn task(message: &[u8]) -> Result<(PredictHead, Method), ProtobufError> {
    let (mut head, mut name) = (PredictHead::default(), "");
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        match field.number {
            1 => read_spec(field.bytes()?, &mut head)?,
            2 => name = field.text("method_name")?,
            _ => {}
        }
    }
    let known = METHODS.iter().find(|(known, _)| *known == name);
    let (_, method) = known.ok_or_else(|| {
        ProtobufError::invalid(format!(
            "Unsupported signature method_name: {}; expected tensorflow/serving/classify or \
             tensorflow/serving/regress",
            Name(name)
        ))
    })?;
    Ok((head, *method))
}

/// Reads the examples of a `ClassificationRequest`, `RegressionRequest` or `MultiInferenceRequest`
/// into one Arrow record; rows are examples.
///
/// Integers come as `int64_list`, floats of any precision as `float_list`, text and bytes as
/// `bytes_list`, row-major. A record larger than `limits.max_record_bytes` is never built up.
///
/// # Errors
/// A [`ProtobufError`] that names the feature and the example.
pub fn parse_examples(
    message: &[u8],
    signature: &Signature,
    limits: &Limits,
) -> Result<Vec<u8>, ProtobufError> {
    let list = List::of(message)?;
    let mut rows = Rows::new(signature, limits)?;
    let mut context_bytes_left = MAX_REPEATED_CONTEXT_BYTES;
    let mut fields = Fields::of(list.examples);
    while let Some(field) = fields.next()? {
        if field.number != 1 {
            continue;
        }
        rows.read(field.bytes()?, Within::Example)?;
        if let Some(context) = list.context {
            rows.read(context, Within::Context)?;
            let left = context_bytes_left.checked_sub(context.len());
            context_bytes_left = left.ok_or_else(|| {
                ProtobufError::too_large(format!(
                    "the context and its repetition for each of the examples is larger than \
                     {MAX_REPEATED_CONTEXT_BYTES} bytes"
                ))
            })?;
        }
        rows.end_row()?;
    }
    rows.finish()
}

/// The examples of a request, still as messages.
struct List<'a> {
    /// An `ExampleList`, or an `ExampleListWithContext`.
    examples: &'a [u8],
    context: Option<&'a [u8]>,
}

impl<'a> List<'a> {
    fn of(message: &'a [u8]) -> Result<Self, ProtobufError> {
        let empty = || ProtobufError::invalid("Input is empty: it has no list of examples");
        let input = only(message, &[2], "input")?.ok_or_else(empty)?.1;
        let list = only(input, &[1, 2], "list of examples")?;
        let (number, examples) = list.ok_or_else(empty)?;
        let context = match number {
            2 => only(examples, &[2], "context")?.map(|(_, context)| context),
            _ => None,
        };
        Ok(Self { examples, context })
    }
}

/// The message in the one of these fields that there is.
fn only<'a>(
    message: &'a [u8],
    numbers: &[u32],
    what: &str,
) -> Result<Option<(u32, &'a [u8])>, ProtobufError> {
    let mut found = None;
    let mut fields = Fields::of(message);
    while let Some(field) = fields.next()? {
        if !numbers.contains(&field.number) {
            continue;
        }
        if found.is_some() {
            return Err(ProtobufError::invalid(format!(
                "request has more than one {what}"
            )));
        }
        found = Some((field.number, field.bytes()?));
    }
    Ok(found)
}

/// Which message a feature stands in.
#[derive(Clone, Copy)]
enum Within {
    Example,
    Context,
}

/// All inputs while rows come in.
struct Rows<'s> {
    signature: &'s Signature,
    limits: &'s Limits,
    columns: Vec<Column<'s>>,
    by_name: HashMap<&'s str, usize>,
    /// Rows that are whole.
    count: usize,
}

impl<'s> Rows<'s> {
    fn new(signature: &'s Signature, limits: &'s Limits) -> Result<Self, ProtobufError> {
        let mut columns = Vec::with_capacity(signature.inputs.len());
        let mut by_name = HashMap::new();
        for spec in &signature.inputs {
            by_name.insert(spec.name.as_str(), columns.len());
            columns.push(Column::new(spec, limits));
        }
        if columns.is_empty() {
            return Err(ProtobufError::invalid("the model has no inputs"));
        }
        Ok(Self {
            signature,
            limits,
            columns,
            by_name,
            count: 0,
        })
    }

    /// Reads the features of one example, or of the context, into the row that is not whole yet.
    fn read(&mut self, example: &[u8], within: Within) -> Result<(), ProtobufError> {
        check_count(self.count + 1, self.limits.max_rows, "examples")?;
        let mut fields = Fields::of(example);
        while let Some(field) = fields.next()? {
            if field.number != 1 {
                continue;
            }
            let mut features = Fields::of(field.bytes()?);
            while let Some(field) = features.next()? {
                if field.number == 1 {
                    let (name, feature) = entry(field.bytes()?)?;
                    self.column(name, within)?.read(feature)?;
                }
            }
        }
        Ok(())
    }

    /// The input that a feature is for, if it has not been given for this row yet.
    fn column(&mut self, name: &str, within: Within) -> Result<&mut Column<'s>, ProtobufError> {
        let row = self.count;
        let found = self.by_name.get(name).copied();
        let column = found.and_then(|index| self.columns.get_mut(index));
        let feature = Name(name);
        match (column, within) {
            (None, _) => Err(ProtobufError::invalid(format!(
                "unknown feature {feature} in example {row}; the model has {} inputs, the first \
                 is {}",
                self.signature.inputs.len(),
                Name(self.signature.inputs.first().map_or("", |it| &it.name))
            ))),
            (Some(column), _) if column.rows() == row => Ok(column),
            (Some(_), Within::Example) => Err(ProtobufError::invalid(format!(
                "duplicate feature {feature} in example {row}"
            ))),
            (Some(_), Within::Context) => Err(ProtobufError::invalid(format!(
                "feature {feature} is in example {row} and in the context, or twice in the context"
            ))),
        }
    }

    /// Every input must have its row now, and all of them must fit a record.
    fn end_row(&mut self) -> Result<(), ProtobufError> {
        let row = self.count;
        if let Some(missing) = self.columns.iter().find(|it| it.rows() == row) {
            return Err(ProtobufError::invalid(format!(
                "Missing feature: {} in example {row} of the list",
                Name(missing.name())
            )));
        }
        self.count += 1;
        let size_bytes: usize = self.columns.iter().map(Column::size_bytes).sum();
        match size_bytes > self.limits.max_record_bytes {
            true => Err(ProtobufError::too_large(format!(
                "{} examples hold {size_bytes} bytes, more than the {} of a record",
                self.count, self.limits.max_record_bytes
            ))),
            false => Ok(()),
        }
    }

    fn finish(self) -> Result<Vec<u8>, ProtobufError> {
        if self.count == 0 {
            return Err(ProtobufError::invalid(
                "Input is empty: its list has no examples",
            ));
        }
        let mut tensors = Vec::with_capacity(self.columns.len());
        for column in self.columns {
            tensors.push(column.finish()?);
        }
        record_of(&tensors, self.signature)
    }
}
