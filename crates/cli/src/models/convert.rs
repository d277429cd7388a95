//! `millrace models convert`: a model of Caffe or BigDL becomes ONNX, by hand.

use std::fs;
use std::path::PathBuf;

use millrace_convert::onnx::Shape;
use millrace_convert::{ConvertError, Converted, ConvertedLayer, Report, Tensor};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::{self, Line, Output};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folder with *.prototxt and *.caffemodel, or with *.bigdl or *.model
    folder: PathBuf,
    /// The ONNX file to write; without it nothing is written
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Shape of an input that a BigDL file does not tell, as N,3,224,224 (? is open); once for each input
    #[arg(long = "shape", value_name = "SIZES")]
    shapes: Vec<Shape>,
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// Size of the ONNX model.
    size_bytes: usize,
    /// Where it was written to.
    out: Option<String>,
}

impl Line for ConvertedLayer {
    const HEADINGS: &'static [&'static str] = &["LAYER", "KIND", "SHAPE", "ONNX"];

    fn cells(&self) -> Vec<String> {
        let nodes = match self.nodes.is_empty() {
            true => "nothing to do".to_owned(),
            false => self.nodes.join(", "),
        };
        vec![
            output::shortened(&self.name, 24),
            self.kind.clone(),
            self.shape.clone(),
            nodes,
        ]
    }
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    if !args.folder.is_dir() {
        let folder = args.folder.display();
        return Err(Exit::Missing.error(format!("there is no folder {folder}")));
    }
    let converted =
        millrace_convert::convert_folder_as(&args.folder, &args.shapes).map_err(told)?;
    if let Some(out) = &args.out {
        fs::write(out, &converted.onnx).map_err(|error| {
            Exit::Failed.error(format!("cannot write {}: {error}", out.display()))
        })?;
    }
    match output {
        Output::Json => output::json(&Answer {
            report: &converted.report,
            size_bytes: converted.onnx.len(),
            out: args.out.as_ref().map(|out| out.display().to_string()),
        }),
        Output::Text => output::write(text(args, &converted).as_bytes()),
    }
}

/// A folder without a model is missing; a model that cannot be converted is a no.
fn told(error: ConvertError) -> anyhow::Error {
    let exit = match error {
        ConvertError::Folder { .. } => Exit::Missing,
        ConvertError::Read { .. } => Exit::Failed,
        _ => Exit::No,
    };
    exit.error(format!("{:#}", anyhow::Error::new(error)))
}

fn text(args: &Args, converted: &Converted) -> String {
    let report = &converted.report;
    let mut text = output::table(&report.layers);
    for (title, tensors) in [("inputs", &report.inputs), ("outputs", &report.outputs)] {
        let tensor = |it: &Tensor| format!("{} {}", output::plain(&it.name), it.shape);
        let tensors: Vec<String> = tensors.iter().map(tensor).collect();
        text.push_str(&format!("\n{title}: {}\n", tensors.join(", ")));
    }
    let bytes = converted.onnx.len();
    text.push_str(&match &args.out {
        Some(out) => format!("\n{}: {bytes} bytes\n", out.display()),
        None => format!("\n{bytes} bytes of ONNX; --out FILE writes them\n"),
    });
    text
}
