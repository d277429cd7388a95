//! Whole models: the golden files that BigDL wrote, the same bytes damaged, and models that must be refused.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message;

use super::messages::{Array, Attr, AttrValue, Module, NameAttrList};
use super::{BigDlFiles, convert, convert_bigdl};
use crate::error::{ConvertError, Problem};
use crate::onnx::{Dim, Shape};

/// The error with what caused it.
fn told(error: &ConvertError) -> String {
    let cause = std::error::Error::source(error);
    cause.map_or(error.to_string(), |cause| format!("{error}: {cause}"))
}

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/convert/bigdl/golden")
}

/// Shapes of the inputs of a golden folder, out of the headers of their NumPy files.
fn shapes(folder: &Path) -> Vec<Shape> {
    let mut shapes = Vec::new();
    while let Ok(bytes) = fs::read(folder.join(format!("input{}.npy", shapes.len()))) {
        let header = String::from_utf8_lossy(&bytes[..128]).into_owned();
        let sizes = header
            .split("'shape': (")
            .nth(1)
            .unwrap()
            .split(')')
            .next()
            .unwrap();
        let sizes = sizes.split(',').filter(|it| !it.trim().is_empty());
        let row = sizes
            .skip(1)
            .map(|it| Dim::Fixed(it.trim().parse().unwrap()));
        shapes.push(Shape(std::iter::once(Dim::Batch).chain(row).collect()));
    }
    shapes
}

#[test]
fn every_golden_file_converts_and_tells_its_layers() {
    let mut count = 0;
    for folder in fs::read_dir(golden()).unwrap() {
        let folder = folder.unwrap().path();
        let converted = convert(&folder, &shapes(&folder))
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        assert!(!converted.report.layers.is_empty(), "{}", folder.display());
        count += 1;
    }
    assert!(count > 150, "{count} golden files");
}

#[test]
fn networks_of_the_model_zoo_need_no_shapes() {
    for (name, input) in [
        ("lenet5", "[N, 1, 28, 28]"),
        ("lenet5_graph", "[N, 1, 28, 28]"),
        ("vgg_narrow", "[N, 3, ?, ?]"),
        ("inception_v1_narrow", "[N, 3, ?, ?]"),
        ("resnet_cifar10_shared", "[N, 3, ?, ?]"),
        ("autoencoder", "[N, 784]"),
        ("lstm_text", "[N, ?, 10]"),
        ("keras_lenet", "[N, 14, 14, 1]"),
        ("recurrent_both_ways", "[N, ?, 5]"),
    ] {
        let converted = convert(&golden().join(name), &[]).unwrap();
        assert_eq!(converted.report.inputs[0].shape, input, "{name}");
    }
}

/// Numbers that are the same in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

#[test]
fn damaged_files_are_refused_or_converted_but_never_panic() {
    let mut random = Random(9);
    for name in [
        "convolution_same",
        "pooling_average_ceil",
        "graph_edges",
        "recurrent_lstm",
        "keras_text",
        "quantized",
        "shape_transpose",
        "dense_maxout",
        "table_join",
        "lookup_norm",
        "batch_normalization_spatial",
        "convolution_full",
    ] {
        let folder = golden().join(name);
        let model = fs::read(folder.join("model.bigdl")).unwrap();
        let shapes = shapes(&folder);
        for round in 0..300 {
            let mut damaged = model.clone();
            for _ in 0..=random.below(4) {
                let at = random.below(damaged.len());
                damaged[at] = u8::try_from(random.below(256)).unwrap();
            }
            damaged.truncate(if round % 3 == 0 {
                random.below(damaged.len())
            } else {
                damaged.len()
            });
            let given = BigDlFiles {
                name,
                model: &damaged,
                weights: None,
            };
            let _ = convert_bigdl(given, if round % 2 == 0 { &shapes } else { &[] });
        }
    }
}

#[test]
fn weights_of_their_own_are_found_by_how_they_begin_and_missed_by_name() {
    let beside = golden().join("weights_beside");
    let report = convert(&beside, &[]).unwrap().report;
    assert_eq!(report.files, ["model.bigdl", "model.bin"]);
    let folder = tempfile::tempdir().unwrap();
    fs::copy(beside.join("model.bigdl"), folder.path().join("my.model")).unwrap();
    let message = convert(folder.path(), &[]).unwrap_err();
    let message = told(&message);
    assert!(
        message.contains("my.model")
            && message.contains("SpatialConvolution")
            && message.contains("beside"),
        "{message}"
    );
    fs::copy(beside.join("model.bin"), folder.path().join("anything")).unwrap();
    assert!(convert(folder.path(), &[]).is_ok());
}

fn module(kind: &str, parts: Vec<Module>) -> Module {
    Module {
        module_type: format!("com.intel.analytics.bigdl.nn.{kind}"),
        name_postfix: "1a2b".to_owned(),
        sub_modules: parts,
        ..Module::default()
    }
}

fn converted(module: &Module) -> Result<(), ConvertError> {
    let bytes = module.encode_to_vec();
    let given = BigDlFiles {
        name: "x.model",
        model: &bytes,
        weights: None,
    };
    convert_bigdl(given, &[Shape::rows_of(&[3, 4])]).map(|_| ())
}

#[test]
fn a_layer_that_is_not_known_is_named() {
    for kind in ["RoiPooling", "tf.Tanh", "mkldnn.Linear"] {
        let message = converted(&module(
            "Sequential",
            vec![module("Tanh", vec![]), module(kind, vec![])],
        ))
        .unwrap_err();
        let message = told(&message);
        let class = kind.rsplit('.').next().unwrap();
        assert!(
            message.contains("x.model")
                && message.contains(&format!("{class}1a2b"))
                && message.contains("not known"),
            "{message}"
        );
    }
}

#[test]
fn what_is_no_model_is_said_to_be_none() {
    for bytes in [&b""[..], b"PK\x03\x04 a zip file", &[0xff; 40]] {
        let error = convert_bigdl(
            BigDlFiles {
                name: "x.model",
                model: bytes,
                weights: None,
            },
            &[],
        )
        .unwrap_err();
        assert!(matches!(error, ConvertError::Syntax { .. }), "{error}");
    }
}

#[test]
fn tables_of_tables_do_not_go_on_forever() {
    let mut mapped = module("Identity", vec![]);
    let mut doubled = Vec::new();
    for _ in 0..40 {
        doubled.push(module("ConcatTable", vec![module("Identity", vec![]); 2]));
        mapped = module("MapTable", vec![mapped]);
    }
    assert!(
        converted(&module("Sequential", doubled.clone())).is_err(),
        "2^40 outputs"
    );
    doubled.push(mapped);
    assert!(
        converted(&module("Sequential", doubled)).is_err(),
        "2^40 visits"
    );
}

fn node(name: &str, before: &[&str]) -> Module {
    Module {
        name: name.to_owned(),
        pre_modules: before.iter().map(|&it| it.to_owned()).collect(),
        ..module("Identity", vec![])
    }
}

fn names(all: &[&str]) -> Attr {
    let text = all.iter().map(|&it| it.to_owned()).collect();
    Attr {
        value: Some(AttrValue::Array(Box::new(Array {
            text,
            ..Array::default()
        }))),
    }
}

fn graph(nodes: Vec<Module>, output: &str) -> Module {
    let mut graph = module("StaticGraph", nodes);
    graph.attr.insert("inputNames".to_owned(), names(&["a"]));
    graph
        .attr
        .insert("outputNames".to_owned(), names(&[output]));
    graph
}

#[test]
fn graphs_with_loops_or_with_edges_that_the_file_lost_are_refused() {
    assert!(converted(&graph(vec![node("a", &[]), node("b", &["a"])], "b")).is_ok());
    assert!(
        converted(&graph(
            vec![node("a", &[]), node("b", &["a", "c"]), node("c", &["b"])],
            "c"
        ))
        .is_err()
    );
    assert!(converted(&graph(vec![node("a", &[])], "nobody")).is_err());
    let mut lost = graph(vec![node("a", &[]), node("b", &["a", "a"])], "b");
    let index = Attr {
        value: Some(AttrValue::Int32(2)),
    };
    let edges = NameAttrList {
        attr: HashMap::from([("a".to_owned(), index)]),
    };
    lost.attr.insert(
        "b_edges".to_owned(),
        Attr {
            value: Some(AttrValue::Named(Box::new(edges))),
        },
    );
    let error = converted(&lost).unwrap_err();
    assert!(
        matches!(
            error,
            ConvertError::Layer {
                problem: Problem::Unsupported(_),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn layers_that_would_mix_rows_are_refused() {
    let mut select = module("Select", vec![]);
    select.attr.insert(
        "dimension".to_owned(),
        Attr {
            value: Some(AttrValue::Int32(1)),
        },
    );
    select.attr.insert(
        "index".to_owned(),
        Attr {
            value: Some(AttrValue::Int32(1)),
        },
    );
    let error = converted(&select).unwrap_err();
    assert!(
        matches!(
            error,
            ConvertError::Layer {
                problem: Problem::MixesRows(_),
                ..
            }
        ),
        "{error}"
    );
}
