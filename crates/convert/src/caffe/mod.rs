//! Models of Caffe: `*.prototxt` says the layers, `*.caffemodel` has their weights.

mod layers;
mod net;
mod text;
mod weights;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::error::{ConvertError, LayerResult, Problem};
use crate::folder::{self, Format};
use crate::onnx::{Dim, ElementType, Graph, Shape, Value};
use crate::report::{Converted, ConvertedLayer, Report, Tensor};
use layers::Context;
use net::{At, Layer, Net};
use text::Message;
use weights::Weights;

const MAX_TEXT_BYTES: u64 = 8 << 20;
const MAX_WEIGHT_BYTES: u64 = 2 << 30;

/// The two files of a model of Caffe.
#[derive(Debug)]
pub struct CaffeFiles {
    /// Name of the `*.prototxt`, for errors.
    pub net_name: String,
    /// Its text.
    pub net: String,
    /// Name of the `*.caffemodel`, for errors.
    pub weights_name: String,
    /// Its bytes.
    pub weights: Vec<u8>,
}

/// Whether the number of rows is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    /// Any number in every batch.
    Any,
    /// As many as the text says: a layer mixes rows.
    AsWritten,
}

pub(crate) fn convert(folder: &Path) -> Result<Converted, ConvertError> {
    let net = net_file(folder)?;
    let weights = only_weights(folder)?;
    let text = folder::read(&net, MAX_TEXT_BYTES)?;
    let net_name = folder::file_name(&net);
    let text = String::from_utf8(text).map_err(|_| ConvertError::Syntax {
        file: net_name.clone(),
        what: "it is not UTF-8 text".to_owned(),
    })?;
    convert_files(CaffeFiles {
        net_name,
        net: text,
        weights_name: folder::file_name(&weights),
        weights: folder::read(&weights, MAX_WEIGHT_BYTES)?,
    })
}

/// Converts the contents of the two files.
///
/// # Errors
///
/// If they are not what their names say, or have a layer that is not known here.
pub fn convert_files(files: CaffeFiles) -> Result<Converted, ConvertError> {
    let wrong = |file: &str, what| ConvertError::Syntax {
        file: file.to_owned(),
        what,
    };
    let text = Message::parse(&files.net).map_err(|what| wrong(&files.net_name, what))?;
    let located = |at: At| at.in_file(&files.net_name);
    let net = Net::read(&text).map_err(located)?;
    let weights = Weights::find(files.weights).map_err(|what| wrong(&files.weights_name, what))?;
    let made = match Conversion::run(&net, &weights, Rows::Any) {
        Err(At {
            problem: Problem::MixesRows(_),
            ..
        }) => Conversion::run(&net, &weights, Rows::AsWritten),
        made => made,
    };
    let mut made = made.map_err(located)?;
    made.report.files = vec![files.net_name, files.weights_name];
    Ok(made)
}

impl At {
    fn in_file(self, file: &str) -> ConvertError {
        let (file, problem) = (file.to_owned(), self.problem);
        match self.layer {
            Some((layer, kind)) => ConvertError::Layer {
                file,
                layer,
                kind,
                problem,
            },
            None => ConvertError::Model { file, problem },
        }
    }
}

/// The graph as far as it is made, and the values that blobs hold now.
struct Conversion<'a> {
    graph: Graph,
    weights: &'a Weights,
    blobs: HashMap<String, Value>,
    /// Blobs that no layer has read since they were written, in the order of their writing.
    unread: Vec<String>,
    report: Vec<ConvertedLayer>,
}

impl<'a> Conversion<'a> {
    fn run(net: &Net, weights: &'a Weights, rows: Rows) -> Result<Converted, At> {
        let mut conversion = Self {
            graph: Graph::new(),
            weights,
            blobs: HashMap::new(),
            unread: Vec::new(),
            report: Vec::new(),
        };
        for input in &net.inputs {
            let value = conversion.graph.input(
                &input.name,
                ElementType::Float,
                input_shape(&input.sizes, rows)?,
            )?;
            conversion.blobs.insert(input.name.clone(), value);
        }
        for layer in &net.layers {
            conversion.layer(layer).map_err(|problem| At {
                layer: Some((layer.name.clone(), layer.kind.clone())),
                problem,
            })?;
        }
        Ok(conversion.finish()?)
    }

    fn layer(&mut self, layer: &Layer) -> LayerResult<()> {
        let mut bottoms = Vec::with_capacity(layer.bottoms.len());
        for name in &layer.bottoms {
            let value = self.blobs.get(name);
            let none = || Problem::Misfit(format!("no layer before it writes its bottom {name:?}"));
            bottoms.push(value.cloned().ok_or_else(none)?);
            self.unread.retain(|it| it != name);
        }
        self.graph.begin_layer(&layer.name);
        let tops = layers::convert(&mut Context {
            graph: &mut self.graph,
            layer,
            bottoms,
            weights: self.weights,
        })?;
        if tops.len() != layer.tops.len() {
            let (has, makes) = (layer.tops.len(), tops.len());
            return Err(Problem::Misfit(format!(
                "it has {has} tops, and this kind makes {makes}"
            )));
        }
        for value in &tops {
            value
                .shape
                .count(rows_of(&value.shape)..value.shape.rank())?;
        }
        self.report
            .push(self.graph.end_layer(&layer.kind, tops.first()));
        for (name, value) in layer.tops.iter().zip(tops) {
            self.unread.retain(|it| it != name);
            self.unread.push(name.clone());
            self.blobs.insert(name.clone(), value);
        }
        Ok(())
    }

    fn finish(self) -> LayerResult<Converted> {
        let outputs: Vec<(&str, &Value)> = self
            .unread
            .iter()
            .map(|name| (name.as_str(), &self.blobs[name]))
            .collect();
        let shown = |&(name, value): &(&str, &Value)| Tensor {
            name: name.to_owned(),
            shape: value.shape.to_string(),
        };
        let report = Report {
            format: Format::Caffe,
            files: Vec::new(),
            inputs: self.graph.inputs(),
            outputs: outputs.iter().map(shown).collect(),
            layers: self.report,
        };
        let onnx = self.graph.finish(&outputs)?;
        Ok(Converted { onnx, report })
    }
}

/// Where the dimensions of a row begin.
fn rows_of(shape: &Shape) -> usize {
    usize::from(shape.0.first() == Some(&Dim::Batch))
}

fn input_shape(sizes: &[u64], rows: Rows) -> LayerResult<Shape> {
    if sizes.is_empty() || sizes.contains(&0) {
        return Err(Problem::Misfit(format!("an input has shape {sizes:?}")));
    }
    let shape = match rows {
        Rows::Any => Shape::rows_of(&sizes[1..]),
        Rows::AsWritten => Shape::fixed(sizes),
    };
    shape.count(rows_of(&shape)..shape.rank())?;
    Ok(shape)
}

/// The text that is meant for inference: the only one, or the only one that is called so.
fn net_file(folder: &Path) -> Result<PathBuf, ConvertError> {
    let mut files = folder::files(folder, "prototxt")?;
    if files.len() > 1 {
        let deploy = |path: &&PathBuf| folder::file_name(path).contains("deploy");
        let deploys: Vec<PathBuf> = files.iter().filter(deploy).cloned().collect();
        files = match deploys.is_empty() {
            false => deploys,
            true => {
                let training = |path: &PathBuf| {
                    let name = folder::file_name(path);
                    name.contains("solver") || name.contains("train")
                };
                files.into_iter().filter(|path| !training(path)).collect()
            }
        };
    }
    only(
        folder,
        files,
        "*.prototxt for inference; call it deploy.prototxt",
    )
}

fn only_weights(folder: &Path) -> Result<PathBuf, ConvertError> {
    only(folder, folder::files(folder, "caffemodel")?, "*.caffemodel")
}

fn only(folder: &Path, mut files: Vec<PathBuf>, wanted: &str) -> Result<PathBuf, ConvertError> {
    match (files.pop(), files.len()) {
        (Some(file), 0) => Ok(file),
        (_, others) => Err(ConvertError::Folder {
            folder: folder.to_owned(),
            what: match others {
                0 => format!("there is no {wanted}"),
                _ => format!("there is more than one {wanted}"),
            },
        }),
    }
}
