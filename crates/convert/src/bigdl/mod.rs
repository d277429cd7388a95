//! Models that BigDL's `saveModule` wrote: protobuf with the weights inside, or with a file of weights beside.

mod activity;
mod attributes;
mod branches;
mod inputs;
mod layers;
mod messages;
mod scan;
mod storage;
#[cfg(test)]
mod tests;
mod walk;
mod weight_file;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use prost::Message;

use self::activity::Activity;
use self::inputs::Expected;
use self::messages::Module;
use self::storage::Storages;
use self::walk::Walk;
use self::weight_file::MAGIC;
use crate::error::{ConvertError, LayerResult, Problem};
use crate::folder::{Format, file_name, files, read};
use crate::onnx::{Dim, ElementType, Graph, Shape, Value, shown};
use crate::report::{Converted, Report, Tensor};

/// Largest file that is read; Java's protobuf cannot write larger ones.
const MAX_BYTES: u64 = 1 << 31;

/// The bytes of a model.
#[derive(Clone, Copy, Debug)]
pub struct BigDlFiles<'a> {
    /// Name of the model's file, for messages.
    pub name: &'a str,
    /// The model.
    pub model: &'a [u8],
    /// Its weights, if they are in a file of their own.
    pub weights: Option<&'a [u8]>,
}

/// Converts the BigDL model of a folder.
///
/// # Errors
///
/// If there is not exactly one, it cannot be read, or it has a module that is not known here.
pub(crate) fn convert(folder: &Path, shapes: &[Shape]) -> Result<Converted, ConvertError> {
    let mut models = files(folder, "bigdl")?;
    models.extend(files(folder, "model")?);
    let [model] = models.as_slice() else {
        return Err(ConvertError::Folder {
            folder: folder.to_owned(),
            what: format!(
                "there must be one *.bigdl or *.model, there are {}",
                models.len()
            ),
        });
    };
    let beside = weight_file(folder, model)?;
    let bytes = read(model, MAX_BYTES)?;
    let weights = beside
        .as_ref()
        .map(|path| read(path, MAX_BYTES))
        .transpose()?;
    let name = file_name(model);
    let given = BigDlFiles {
        name: &name,
        model: &bytes,
        weights: weights.as_deref(),
    };
    let mut converted = convert_bigdl(given, shapes)?;
    converted
        .report
        .files
        .extend(beside.iter().map(|path| file_name(path)));
    Ok(converted)
}

/// The file beside the model that begins as a file of weights does.
fn weight_file(folder: &Path, model: &Path) -> Result<Option<PathBuf>, ConvertError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| ConvertError::Read { path, source }
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if path == model || !path.is_file() {
            continue;
        }
        let mut begin = Vec::new();
        let file = File::open(&path).map_err(failed(&path))?;
        file.take(4)
            .read_to_end(&mut begin)
            .map_err(failed(&path))?;
        if begin == MAGIC {
            found.push(path);
        }
    }
    found.sort();
    match found.len() {
        0 | 1 => Ok(found.pop()),
        count => Err(ConvertError::Folder {
            folder: folder.to_owned(),
            what: format!(
                "there are {count} files of BigDL weights, keep the one that belongs to the model"
            ),
        }),
    }
}

/// Converts a BigDL model; `shapes` are those of its inputs with the batch first, or empty to take what the file says.
///
/// # Errors
///
/// If the bytes are not a model, or it has a module that is not known here.
pub fn convert_bigdl(given: BigDlFiles<'_>, shapes: &[Shape]) -> Result<Converted, ConvertError> {
    let model_problem = |problem| ConvertError::Model {
        file: given.name.to_owned(),
        problem,
    };
    let mut module = decode(given)?;
    let mut storages = Storages::of(&mut module);
    if let Some(weights) = given.weights {
        storages.add_file(weights).map_err(model_problem)?;
    }
    let mut graph = Graph::new();
    let input = declare(&mut graph, &module, shapes).map_err(model_problem)?;
    let mut walk = Walk {
        graph,
        storages,
        layers: Vec::new(),
        visits: 0,
    };
    let output = walk
        .module(&module, input)
        .map_err(|failure| ConvertError::Layer {
            file: given.name.to_owned(),
            layer: failure.layer,
            kind: failure.kind,
            problem: failure.problem,
        })?;
    finish(walk, &output, given.name).map_err(model_problem)
}

fn decode(given: BigDlFiles<'_>) -> Result<Module, ConvertError> {
    let syntax = |what: String| ConvertError::Syntax {
        file: given.name.to_owned(),
        what,
    };
    scan::check(given.model)
        .map_err(|what| syntax(format!("it is no model of BigDL's saveModule: {what}")))?;
    let module = Module::decode(given.model)
        .map_err(|error| syntax(format!("it is no model of BigDL's saveModule: {error}")))?;
    if module.module_type.is_empty() {
        return Err(syntax(
            "it is no model of BigDL's saveModule: it names no class".to_owned(),
        ));
    }
    Ok(module)
}

/// Adds the inputs that the model takes.
fn declare(graph: &mut Graph, module: &Module, shapes: &[Shape]) -> LayerResult<Activity> {
    let expected = match shapes {
        [] => inputs::expected(module),
        [one] => Expected::Tensor(one.clone()),
        many => Expected::Table(many.iter().cloned().map(Expected::Tensor).collect()),
    };
    match expected {
        Expected::Tensor(shape) => input(graph, "input", shape).map(Activity::from),
        Expected::Table(parts) => {
            let mut values = Vec::with_capacity(parts.len());
            for (at, part) in parts.into_iter().enumerate() {
                let Expected::Tensor(shape) = part else {
                    return Err(unknown(at + 1));
                };
                values.push(input(graph, &format!("input{}", at + 1), shape)?.into());
            }
            Ok(Activity::table(values))
        }
        Expected::Anything | Expected::Unknown => Err(unknown(1)),
    }
}

fn unknown(number: usize) -> Problem {
    Problem::Misfit(format!(
        "the file does not tell the shape of input {number}, nor do its first layers; give the shapes of all inputs, as in --shape N,3,224,224"
    ))
}

fn input(graph: &mut Graph, name: &str, shape: Shape) -> LayerResult<Value> {
    if shape.0.first() != Some(&Dim::Batch) {
        return Err(Problem::Misfit(format!(
            "shape {shape} of {name} does not begin with the batch"
        )));
    }
    graph.input(name, ElementType::Float, shape)
}

fn finish(walk: Walk, output: &Activity, name: &str) -> LayerResult<Converted> {
    let values = output.flat()?;
    let names: Vec<String> = match values.len() {
        1 => vec!["output".to_owned()],
        count => (1..=count)
            .map(|number| format!("output{number}"))
            .collect(),
    };
    let outputs: Vec<(&str, &Value)> = names.iter().map(String::as_str).zip(&values).collect();
    for (name, value) in &outputs {
        if value.shape.0.first() != Some(&Dim::Batch) {
            return Err(Problem::MixesRows(format!(
                "{name}, of shape {},",
                value.shape
            )));
        }
    }
    let report = Report {
        format: Format::BigDl,
        files: vec![name.to_owned()],
        inputs: walk.graph.inputs(),
        outputs: outputs
            .iter()
            .map(|(name, value)| -> Tensor { shown(name, value) })
            .collect(),
        layers: walk.layers,
    };
    let onnx = walk.graph.finish(&outputs)?;
    Ok(Converted { onnx, report })
}
