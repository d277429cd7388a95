//! Which format and engine a version has, by the names of its files, as Cluster Serving had it. Pure: it reads no file.

use super::ModelError;
use crate::engine::EngineKind;

/// What a folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Detected {
    pub(super) format: Format,
    pub(super) kind: EngineKind,
    /// What the engine is given, relative to the folder; empty for the folder itself.
    pub(super) main: String,
    /// The files of the model that can be told by their names, `main` included; sorted.
    pub(super) files: Vec<String>,
}

/// Formats that engines read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Onnx,
    OpenVinoIr,
    SavedModel,
    FrozenGraph,
    TfLite,
    Paddle,
    TorchScript,
    /// Converted to ONNX.
    Caffe,
    /// Converted to ONNX.
    BigDl,
}

/// One model of a folder.
struct Candidate {
    format: Format,
    main: String,
    files: Vec<String>,
}

const EXPECTED: &str = "model.onnx; model.xml with model.bin (OpenVINO); saved_model.pb with variables/ or a frozen *.pb \
                        (TensorFlow); *.tflite; *.pdmodel with *.pdiparams (Paddle); *.pt or *.pth (TorchScript); *.caffemodel with *.prototxt (Caffe); *.bigdl \
                        or *.model (BigDL)";

/// Models that are recognised and cannot be served: ends of names, what they are, and what to do.
const NOT_SERVED: [(&str, &str, &str); 4] = [
    (
        ".prototxt",
        "a Caffe model without its weights",
        "put its *.caffemodel beside it",
    ),
    (".h5", "a Keras model", "export it as a SavedModel"),
    (".keras", "a Keras model", "export it as a SavedModel"),
    (
        ".safetensors",
        "weights without their graph",
        "export the model to ONNX or TorchScript",
    ),
];

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Onnx => "ONNX",
            Self::OpenVinoIr => "OpenVINO IR",
            Self::SavedModel => "TensorFlow SavedModel",
            Self::FrozenGraph => "TensorFlow frozen graph",
            Self::TfLite => "TFLite",
            Self::Paddle => "Paddle",
            Self::TorchScript => "TorchScript",
            Self::Caffe => "Caffe",
            Self::BigDl => "BigDL",
        }
    }

    /// Whether it becomes ONNX before an engine sees it.
    pub(super) fn is_converted(self) -> bool {
        matches!(self, Self::Caffe | Self::BigDl)
    }

    /// The engines that read it, the usual one first.
    fn engines(self) -> &'static [EngineKind] {
        match self {
            Self::Onnx | Self::Caffe | Self::BigDl => &[EngineKind::Onnx, EngineKind::OpenVino],
            Self::TorchScript => &[EngineKind::Torch],
            Self::OpenVinoIr
            | Self::SavedModel
            | Self::FrozenGraph
            | Self::TfLite
            | Self::Paddle => &[EngineKind::OpenVino],
        }
    }
}

/// Tells the model from the names of all files of a version, relative to its folder `place`. Of several models those
/// count that the engine `asked` for reads.
pub(super) fn detect(
    place: &str,
    names: &[String],
    asked: Option<EngineKind>,
) -> Result<Detected, ModelError> {
    let mut candidates = candidates(place, names)?;
    let first_format = candidates.first().map(|candidate| candidate.format);
    if let Some(asked) = asked {
        candidates.retain(|candidate| candidate.format.engines().contains(&asked));
    }
    let mut candidates = candidates.into_iter();
    match (candidates.next(), candidates.next(), first_format, asked) {
        (Some(one), Some(other), ..) => Err(ModelError::Mixture {
            place: place.to_owned(),
            one: one.main_or_folder(),
            other: other.main_or_folder(),
        }),
        (Some(one), None, ..) => {
            let usual = one.format.engines().first().copied();
            Ok(Detected {
                format: one.format,
                kind: asked.or(usual).unwrap_or(EngineKind::Onnx),
                main: one.main,
                files: one.files,
            })
        }
        (None, _, Some(format), Some(asked)) => Err(ModelError::WrongEngine {
            place: place.to_owned(),
            format: format.name(),
            asked,
            engines: format.engines(),
        }),
        (None, ..) => Err(nothing(place, names)),
    }
}

fn candidates(place: &str, names: &[String]) -> Result<Vec<Candidate>, ModelError> {
    let top: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .filter(|name| !name.contains('/'))
        .collect();
    let mut found = Vec::new();
    let saved = top.contains(&"saved_model.pb");
    if saved {
        let is_part = |name: &&String| {
            matches!(
                name.as_str(),
                "saved_model.pb" | "fingerprint.pb" | "keras_metadata.pb"
            ) || name.starts_with("variables/")
                || name.starts_with("assets/")
        };
        found.push(Candidate {
            format: Format::SavedModel,
            main: String::new(),
            files: names.iter().filter(is_part).cloned().collect(),
        });
    }
    for name in &top {
        let Some((stem, end)) = name.rsplit_once('.') else {
            continue;
        };
        let (format, companion) = match end {
            "onnx" => (Format::Onnx, None),
            "xml" => (Format::OpenVinoIr, Some("bin")),
            "pb" if *name == "saved_model.pb" => continue,
            "pb" if saved && matches!(*name, "fingerprint.pb" | "keras_metadata.pb") => continue,
            "pb" => (Format::FrozenGraph, None),
            "tflite" => (Format::TfLite, None),
            "pdmodel" => (Format::Paddle, Some("pdiparams")),
            "pt" | "pth" => (Format::TorchScript, None),
            "caffemodel" | "bigdl" | "model" => {
                found.push(to_convert(place, &top, (name, end))?);
                continue;
            }
            _ => continue,
        };
        let mut files = vec![(*name).to_owned()];
        if let Some(companion) = companion {
            files.push(with_companion(place, &top, stem, (name, companion))?);
        }
        files.sort_unstable();
        found.push(Candidate {
            format,
            main: (*name).to_owned(),
            files,
        });
    }
    // SentencePiece and others call their vocabularies so.
    let is_named_model = |candidate: &Candidate| candidate.main.ends_with(".model");
    if !found.iter().all(is_named_model) {
        found.retain(|candidate| !is_named_model(candidate));
    }
    Ok(found)
}

/// A model whose other files have names of their own: texts of Caffe, weights of BigDL.
fn to_convert(
    place: &str,
    top: &[&str],
    (name, end): (&str, &str),
) -> Result<Candidate, ModelError> {
    let mut files: Vec<String> = top.iter().map(|&file| file.to_owned()).collect();
    let mut format = Format::BigDl;
    if end == "caffemodel" {
        format = Format::Caffe;
        files.retain(|file| file == name || file.ends_with(".prototxt"));
        if files.len() < 2 {
            return Err(ModelError::HalfAModel {
                place: place.to_owned(),
                name: name.to_owned(),
                missing: "a *.prototxt".to_owned(),
            });
        }
    }
    files.sort_unstable();
    Ok(Candidate {
        format,
        main: name.to_owned(),
        files,
    })
}

/// The file of the same stem without which a model is half a model.
fn with_companion(
    place: &str,
    top: &[&str],
    stem: &str,
    (name, end): (&str, &str),
) -> Result<String, ModelError> {
    let companion = format!("{stem}.{end}");
    if top.contains(&companion.as_str()) {
        return Ok(companion);
    }
    Err(ModelError::HalfAModel {
        place: place.to_owned(),
        name: name.to_owned(),
        missing: companion,
    })
}

fn nothing(place: &str, names: &[String]) -> ModelError {
    let place = place.to_owned();
    for name in names {
        if let Some((_, what, to_do)) = NOT_SERVED.iter().find(|(end, ..)| name.ends_with(end)) {
            return ModelError::NotServed {
                place,
                name: name.clone(),
                what,
                to_do,
            };
        }
    }
    let present = match names {
        [] => "it is empty".to_owned(),
        [.., last] if names.len() == 1 => format!("there is only {last}"),
        [first, ..] => format!("there are {first} and {} other files", names.len() - 1),
    };
    ModelError::NoFile {
        place,
        present,
        expected: EXPECTED,
    }
}

impl Candidate {
    fn main_or_folder(&self) -> String {
        if self.main.is_empty() {
            "saved_model.pb".to_owned()
        } else {
            self.main.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(names: &[&str], asked: Option<EngineKind>) -> Result<Detected, ModelError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        detect("m/1", &names, asked)
    }

    fn check(names: &[&str], expected: (Format, EngineKind, &str)) {
        let found = look(names, None).unwrap();
        assert_eq!((found.format, found.kind, found.main.as_str()), expected);
    }

    fn complaint(names: &[&str], asked: Option<EngineKind>) -> String {
        look(names, asked).unwrap_err().to_string()
    }

    #[test]
    fn each_format_is_told_by_its_files() {
        use EngineKind::{Onnx, OpenVino, Torch};
        check(&["model.onnx"], (Format::Onnx, Onnx, "model.onnx"));
        check(
            &["net.onnx", "weights.bin", "labels.txt"],
            (Format::Onnx, Onnx, "net.onnx"),
        );
        check(&["a.xml", "a.bin"], (Format::OpenVinoIr, OpenVino, "a.xml"));
        let saved = [
            "saved_model.pb",
            "fingerprint.pb",
            "variables/variables.index",
        ];
        check(&saved, (Format::SavedModel, OpenVino, ""));
        let frozen = ["frozen_inference_graph.pb", "graph_meta.json"];
        check(
            &frozen,
            (Format::FrozenGraph, OpenVino, "frozen_inference_graph.pb"),
        );
        check(&["m.tflite"], (Format::TfLite, OpenVino, "m.tflite"));
        check(
            &["m.pdmodel", "m.pdiparams"],
            (Format::Paddle, OpenVino, "m.pdmodel"),
        );
        check(&["m.pt"], (Format::TorchScript, Torch, "m.pt"));
        check(&["m.pth"], (Format::TorchScript, Torch, "m.pth"));
        check(
            &["deploy.prototxt", "n.caffemodel"],
            (Format::Caffe, Onnx, "n.caffemodel"),
        );
        check(&["m.bigdl", "weights"], (Format::BigDl, Onnx, "m.bigdl"));
        check(&["b.model"], (Format::BigDl, Onnx, "b.model"));
        check(
            &["model.onnx", "tokenizer.model"],
            (Format::Onnx, Onnx, "model.onnx"),
        );
    }

    #[test]
    fn the_files_of_the_model_are_told_from_others() {
        let files = |names: &[&str]| look(names, None).unwrap().files;
        assert_eq!(files(&["a.bin", "a.xml", "labels.txt"]), ["a.bin", "a.xml"]);
        let saved = ["README", "assets/vocab", "saved_model.pb", "variables/v"];
        assert_eq!(
            files(&saved),
            ["assets/vocab", "saved_model.pb", "variables/v"]
        );
    }

    #[test]
    fn several_models_in_one_folder_are_refused_by_name() {
        for names in [
            &["a.onnx", "b.onnx"][..],
            &["a.onnx", "a.pt"],
            &["saved_model.pb", "variables/v", "frozen.pb"],
            &["a.xml", "a.bin", "b.tflite"],
        ] {
            let error = complaint(names, None);
            assert!(error.contains("only one model is allowed"), "{error}");
        }
        assert!(complaint(&["a.onnx", "b.pt"], None).contains("a.onnx and b.pt"));
    }

    #[test]
    fn an_engine_that_is_asked_for_goes_before_the_usual_one() {
        let found = look(&["a.onnx"], Some(EngineKind::OpenVino)).unwrap();
        assert_eq!(found.kind, EngineKind::OpenVino);
        let found = look(&["a.onnx", "a.pt"], Some(EngineKind::Torch)).unwrap();
        assert_eq!(found.main, "a.pt");
        let error = complaint(&["a.onnx"], Some(EngineKind::Torch));
        assert!(
            error.contains("torch") && error.contains("onnx, openvino"),
            "{error}"
        );
    }

    #[test]
    fn nothing_and_half_a_model_say_what_is_expected() {
        assert!(complaint(&[], None).contains("it is empty"));
        let error = complaint(&["weights.bin"], None);
        assert!(
            error.contains("only weights.bin") && error.contains("model.onnx"),
            "{error}"
        );
        assert!(complaint(&["a", "b"], None).contains("1 other"));
        assert!(complaint(&["a.xml", "b.bin"], None).contains("a.bin"));
        assert!(complaint(&["a.pdmodel"], None).contains("a.pdiparams"));
        assert!(complaint(&["a.caffemodel"], None).contains("a *.prototxt"));
    }

    #[test]
    fn models_that_are_not_served_are_recognised() {
        for (name, what) in [("deploy.prototxt", "Caffe"), ("k.h5", "Keras")] {
            let error = complaint(&[name], None);
            assert!(
                error.contains(what) && error.contains("not served"),
                "{error}"
            );
        }
    }
}
