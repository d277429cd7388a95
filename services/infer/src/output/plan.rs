//! The options of `[output]` and the model's outputs become a plan, or a sentence that says what does not go together.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::buffer::Buffer;
use millrace_wire::{DType, Signature, Tensor, TensorError, TensorSpec};

use super::numbers::{as_f64, is_float, is_number};
use super::softmax::softmax;
use super::top_n::highest;
use crate::engine::EngineError;
use crate::repository::{OutputOptions, Treatment};

/// Reads a file of labels.
type ReadLabels<'a> = &'a dyn Fn(&str) -> Result<Arc<[String]>, OutputError>;

/// Why `[output]` does not fit a model.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OutputError {
    /// The options in `[output]` itself, and several outputs.
    #[error("[output] speaks of the model's only output, but it has {0}: write [output.<name>]")]
    NotOnly(String),
    /// An output that is not there.
    #[error("{key} names output {name:?}; there are {present}")]
    NoSuchOutput {
        /// Where it stands.
        key: &'static str,
        /// The name.
        name: String,
        /// Those that are there.
        present: String,
    },
    /// An output that cannot be treated so.
    #[error("output.{name}.{key} needs {needed}, and {name} is {given}")]
    Unfit {
        /// The output.
        name: String,
        /// The option.
        key: &'static str,
        /// What the option is for.
        needed: &'static str,
        /// The output's type and shape.
        given: String,
    },
    /// As many labels as classes are needed.
    #[error(
        "the file of output.{name}.labels has {labels} lines, and the output has {classes} classes"
    )]
    LabelCount {
        /// The output.
        name: String,
        /// Lines of the file.
        labels: usize,
        /// Length of the last dimension.
        classes: usize,
    },
    /// Two outputs would have one name.
    #[error("two outputs would be called {0:?}")]
    Twice(String),
    /// The labels cannot be read.
    #[error("labels cannot be read from {}", file.display())]
    Labels {
        /// Where they should be.
        file: PathBuf,
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

/// What is sent instead of a model's outputs.
#[derive(Debug)]
pub(super) struct Plan {
    signature: Signature,
    /// The model's outputs in its order.
    treated: Vec<Treated>,
    /// What is sent, by output of the model and by part of it.
    sent: Vec<(usize, Part)>,
}

/// One output of the model and what is to be done to it.
#[derive(Debug)]
struct Treated {
    name: String,
    treatment: Treatment,
    labels: Option<Arc<[String]>>,
}

/// What of an output can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Itself,
    Above,
    Indices,
    Scores,
    Labels,
}

impl Plan {
    pub(super) fn new(
        model: &Signature,
        options: &OutputOptions,
        read_labels: ReadLabels<'_>,
    ) -> Result<Self, OutputError> {
        let mut treated = Vec::with_capacity(model.outputs.len());
        for (spec, treatment) in model.outputs.iter().zip(treatments(model, options)?) {
            treated.push(Treated::new(spec, treatment, read_labels)?);
        }
        let mut possible = Vec::new();
        for (index, (spec, treated)) in model.outputs.iter().zip(&treated).enumerate() {
            for part in treated.parts() {
                possible.push((index, part, treated.spec(spec, part)));
            }
        }
        let sent = choose(possible, &treated, options)?;
        Ok(Self {
            signature: Signature {
                inputs: model.inputs.clone(),
                outputs: sent.iter().map(|(_, _, spec)| spec.clone()).collect(),
            },
            sent: sent
                .into_iter()
                .map(|(index, part, _)| (index, part))
                .collect(),
            treated,
        })
    }

    pub(super) fn signature(&self) -> &Signature {
        &self.signature
    }

    /// What is sent instead of `outputs`, which stand in the model's order.
    pub(super) fn apply(&self, outputs: Vec<Tensor>) -> Result<Vec<Tensor>, EngineError> {
        let mut made: Vec<Vec<(Part, Tensor)>> = Vec::with_capacity(outputs.len());
        for (index, (output, treated)) in outputs.into_iter().zip(&self.treated).enumerate() {
            let is_sent = |part: Part| self.sent.contains(&(index, part));
            made.push(treated.apply(output, &is_sent)?);
        }
        let mut sent = Vec::with_capacity(self.sent.len());
        for (index, part) in &self.sent {
            let parts = made.get(*index).into_iter().flatten();
            sent.extend(parts.filter(|(it, _)| it == part).map(|(_, it)| it.clone()));
        }
        Ok(sent)
    }
}

/// The treatment of each of the model's outputs.
fn treatments(model: &Signature, options: &OutputOptions) -> Result<Vec<Treatment>, OutputError> {
    if let Some(name) = options
        .named
        .keys()
        .find(|name| !model.outputs.iter().any(|it| it.name == **name))
    {
        return Err(OutputError::NoSuchOutput {
            key: "output",
            name: name.clone(),
            present: names(&model.outputs),
        });
    }
    if options.only.is_some() && model.outputs.len() != 1 {
        return Err(OutputError::NotOnly(names(&model.outputs)));
    }
    let of = |spec: &TensorSpec| {
        let named = options.named.get(&spec.name);
        named.or(options.only.as_ref()).cloned().unwrap_or_default()
    };
    Ok(model.outputs.iter().map(of).collect())
}

fn names(specs: &[TensorSpec]) -> String {
    Vec::from_iter(specs.iter().map(|it| it.name.as_str())).join(", ")
}

type Possible = (usize, Part, TensorSpec);

/// Those of `select`; without it everything, but an output itself where its highest scores are sent instead.
fn choose(
    possible: Vec<Possible>,
    treated: &[Treated],
    options: &OutputOptions,
) -> Result<Vec<Possible>, OutputError> {
    let mut chosen: Vec<Possible> = Vec::new();
    if options.select.is_empty() {
        let replaced = |index: usize| treated[index].treatment.top_n.is_some();
        chosen = possible;
        chosen.retain(|(index, part, _)| *part != Part::Itself || !replaced(*index));
    } else {
        for name in &options.select {
            let found = possible.iter().find(|(_, _, spec)| spec.name == *name);
            let found = found.ok_or_else(|| OutputError::NoSuchOutput {
                key: "output.select",
                name: name.clone(),
                present: Vec::from_iter(possible.iter().map(|(_, _, it)| it.name.as_str()))
                    .join(", "),
            })?;
            chosen.push(found.clone());
        }
    }
    for (place, (_, _, spec)) in chosen.iter().enumerate() {
        if chosen[..place]
            .iter()
            .any(|(_, _, other)| other.name == spec.name)
        {
            return Err(OutputError::Twice(spec.name.clone()));
        }
    }
    Ok(chosen)
}

impl Treated {
    fn new(
        spec: &TensorSpec,
        treatment: Treatment,
        read_labels: ReadLabels<'_>,
    ) -> Result<Self, OutputError> {
        let unfit = |key: &'static str, needed: &'static str| OutputError::Unfit {
            name: spec.name.clone(),
            key,
            needed,
            given: format!("{} with {} dimensions", spec.dtype, spec.shape.len()),
        };
        // A shape that the engine does not know is looked at when there is an output.
        let has_classes = spec.shape.is_empty() || spec.shape.len() >= 2;
        if treatment.softmax && !(is_float(spec.dtype) && has_classes) {
            return Err(unfit("softmax", "rows of decimal numbers"));
        }
        if treatment.threshold.is_some() && !is_number(spec.dtype) {
            return Err(unfit("threshold", "numbers"));
        }
        if treatment.top_n.is_some() && !(is_number(spec.dtype) && has_classes) {
            return Err(unfit("top_n", "rows of numbers"));
        }
        let labels = treatment.labels.as_deref().map(read_labels).transpose()?;
        let classes = spec.shape.get(1..).and_then(<[_]>::last).copied().flatten();
        if let (Some(labels), Some(classes)) = (&labels, classes)
            && labels.len() != classes
        {
            return Err(OutputError::LabelCount {
                name: spec.name.clone(),
                labels: labels.len(),
                classes,
            });
        }
        Ok(Self {
            name: spec.name.clone(),
            treatment,
            labels,
        })
    }

    fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::Itself];
        match (self.treatment.top_n, self.treatment.threshold) {
            (Some(_), _) => {
                parts.extend([Part::Indices, Part::Scores]);
                parts.extend(self.labels.is_some().then_some(Part::Labels));
            }
            (None, Some(_)) => parts.push(Part::Above),
            (None, None) => {}
        }
        parts
    }

    fn part_name(&self, part: Part) -> String {
        let name = &self.name;
        match part {
            Part::Itself => name.clone(),
            Part::Above => format!("{name}_above"),
            Part::Indices => format!("{name}_indices"),
            Part::Scores => format!("{name}_scores"),
            Part::Labels => format!("{name}_labels"),
        }
    }

    fn spec(&self, output: &TensorSpec, part: Part) -> TensorSpec {
        let mut shape = output.shape.clone();
        if matches!(part, Part::Indices | Part::Scores | Part::Labels)
            && let (Some(last), Some(n)) = (shape.last_mut(), self.treatment.top_n)
        {
            *last = last.map(|classes| classes.min(n));
        }
        TensorSpec {
            name: self.part_name(part),
            dtype: match part {
                Part::Itself => output.dtype,
                Part::Above => DType::Bool,
                Part::Indices => DType::Int64,
                Part::Scores => DType::Float32,
                Part::Labels => DType::String,
            },
            shape,
        }
    }

    fn apply(
        &self,
        output: Tensor,
        is_sent: &dyn Fn(Part) -> bool,
    ) -> Result<Vec<(Part, Tensor)>, EngineError> {
        let failed = |error: TensorError| EngineError::Failed(Box::new(error));
        let output = if self.treatment.softmax {
            softmax(&output).map_err(failed)?
        } else {
            output
        };
        let parts: Vec<Part> = self.parts().into_iter().filter(|it| is_sent(*it)).collect();
        let mut made = Vec::with_capacity(parts.len());
        let mut best = None;
        for part in parts {
            let name = self.part_name(part);
            let tensor = match part {
                Part::Itself => Ok(output.clone()),
                Part::Above => self.above(&name, &output),
                Part::Indices | Part::Scores | Part::Labels => {
                    let best = match &best {
                        Some(best) => best,
                        None => best.insert(self.highest(&output)?),
                    };
                    match part {
                        Part::Indices => best.indices(&name),
                        Part::Scores => best.scores(&name),
                        _ => best.labels(&name, self.labels.as_deref().unwrap_or_default()),
                    }
                }
            };
            made.push((part, tensor.map_err(failed)?));
        }
        Ok(made)
    }

    fn highest(&self, output: &Tensor) -> Result<super::top_n::Highest, EngineError> {
        let classes = output.row_shape().last().copied();
        let labels = self.labels.as_ref().map(|labels| labels.len());
        match (classes, labels) {
            (Some(classes), Some(labels)) if labels != classes => {
                return Err(EngineError::Failed(Box::new(OutputError::LabelCount {
                    name: self.name.clone(),
                    labels,
                    classes,
                })));
            }
            (None, _) => {
                return Err(EngineError::Failed(Box::new(OutputError::Unfit {
                    name: self.name.clone(),
                    key: "top_n",
                    needed: "rows of numbers",
                    given: "one number per row".to_owned(),
                })));
            }
            _ => {}
        }
        let scores = as_f64(output).unwrap_or_default();
        let Treatment {
            top_n, threshold, ..
        } = self.treatment;
        Ok(highest(
            &scores,
            output.shape(),
            top_n.unwrap_or(1),
            threshold,
        ))
    }

    /// Whether each number reaches the threshold; NaN does not.
    fn above(&self, name: &str, output: &Tensor) -> Result<Tensor, TensorError> {
        let threshold = self.treatment.threshold.unwrap_or(f64::NEG_INFINITY);
        let numbers = as_f64(output).unwrap_or_default();
        let above: Vec<u8> = numbers
            .iter()
            .map(|it| u8::from(*it >= threshold))
            .collect();
        Tensor::fixed(
            name,
            DType::Bool,
            output.shape().to_vec(),
            Buffer::from_vec(above),
        )
    }
}
