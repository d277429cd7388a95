//! A model with fixed answers, seen through `[output]`.

use arrow::buffer::Buffer;
use millrace_wire::{DType, TensorSpec};

use super::*;

/// Answers the same outputs whatever comes in.
struct Fixed {
    signature: Signature,
    outputs: Vec<Tensor>,
}

impl Engine for Fixed {
    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn run(&mut self, _inputs: Vec<Tensor>) -> Result<Vec<Tensor>, EngineError> {
        Ok(self.outputs.clone())
    }
}

fn floats(name: &str, classes: usize, values: &[f32]) -> Tensor {
    let shape = vec![values.len() / classes, classes];
    Tensor::fixed(name, DType::Float32, shape, Buffer::from_slice_ref(values)).unwrap()
}

fn engine(outputs: Vec<Tensor>) -> Box<dyn Engine> {
    let spec = |tensor: &Tensor| TensorSpec {
        name: tensor.name().to_owned(),
        dtype: tensor.dtype(),
        shape: std::iter::once(None)
            .chain(tensor.row_shape().iter().map(|it| Some(*it)))
            .collect(),
    };
    let signature = Signature {
        inputs: Vec::new(),
        outputs: outputs.iter().map(spec).collect(),
    };
    Box::new(Fixed { signature, outputs })
}

/// The engine behind `[output]` of this text, with a file of three labels beside the model.
fn with(options: &str, outputs: Vec<Tensor>) -> Result<Box<dyn Engine>, String> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("three.txt"), "cat\ndog\nhorse\n").unwrap();
    let options: OutputOptions = toml::from_str(options).unwrap();
    postprocessed(engine(outputs), &options, folder.path()).map_err(|error| error.to_string())
}

/// The names of the outputs, as promised and as made.
fn run(options: &str, outputs: Vec<Tensor>) -> Vec<Tensor> {
    let mut engine = with(options, outputs).unwrap();
    let made = engine.run(Vec::new()).unwrap();
    let promised = &engine.signature().outputs;
    assert_eq!(promised.len(), made.len());
    for (spec, tensor) in promised.iter().zip(&made) {
        assert_eq!(
            (spec.name.as_str(), spec.dtype),
            (tensor.name(), tensor.dtype())
        );
        assert!(
            spec.check(tensor.dtype(), tensor.shape()).is_ok(),
            "{spec:?}"
        );
    }
    made
}

fn names(tensors: &[Tensor]) -> Vec<&str> {
    tensors.iter().map(Tensor::name).collect()
}

fn texts(tensor: &Tensor) -> Vec<String> {
    let elements = tensor.elements().unwrap();
    let text = |it: &[u8]| String::from_utf8(it.to_vec()).unwrap();
    elements.iter().map(text).collect()
}

#[test]
fn the_highest_scores_come_with_index_and_label_the_highest_first() {
    let scores = floats("s", 3, &[0.1, 0.7, 0.2, 0.5, 0.1, 0.4]);
    let made = run("filter = \"topN(2)\"\nlabels = \"three.txt\"", vec![scores]);
    assert_eq!(names(&made), ["s_indices", "s_scores", "s_labels"]);
    assert_eq!(made[0].shape(), [2, 2]);
    assert_eq!(made[0].typed::<i64>().unwrap(), [1, 2, 0, 2]);
    assert_eq!(made[1].typed::<f32>().unwrap(), [0.7, 0.2, 0.5, 0.4]);
    assert_eq!(texts(&made[2]), ["dog", "horse", "cat", "horse"]);
}

#[test]
fn of_equal_scores_the_lowest_index_comes_first() {
    let made = run("top_n = 3", vec![floats("s", 4, &[1.0, 2.0, 1.0, 2.0])]);
    assert_eq!(made[0].typed::<i64>().unwrap(), [1, 3, 0]);
    let many: Vec<f32> = (0..200u8).map(|it| f32::from(it % 3)).collect();
    let made = run("top_n = 5", vec![floats("s", 200, &many)]);
    assert_eq!(made[0].typed::<i64>().unwrap(), [2, 5, 8, 11, 14]);
}

#[test]
fn nan_is_never_among_the_highest_and_what_is_missing_is_minus_one() {
    let nan = f32::NAN;
    let made = run(
        "top_n = 2\nlabels = \"three.txt\"",
        vec![floats("s", 3, &[nan, 0.1, nan])],
    );
    assert_eq!(made[0].typed::<i64>().unwrap(), [1, -1]);
    assert_eq!(made[1].typed::<f32>().unwrap(), [0.1, 0.0]);
    assert_eq!(texts(&made[2]), ["dog", ""]);
    let infinite = [f32::NEG_INFINITY, nan, f32::INFINITY];
    let made = run("top_n = 3", vec![floats("s", 3, &infinite)]);
    assert_eq!(made[0].typed::<i64>().unwrap(), [2, 0, -1]);
}

#[test]
fn more_than_there_are_classes_are_all_classes() {
    let made = run("top_n = 9", vec![floats("s", 3, &[1.0, 3.0, 2.0])]);
    assert_eq!(made[0].shape(), [1, 3]);
    assert_eq!(made[0].typed::<i64>().unwrap(), [1, 2, 0]);
}

#[test]
fn scores_below_the_threshold_are_not_among_the_highest() {
    let made = run(
        "top_n = 2\nthreshold = 0.5",
        vec![floats("s", 3, &[0.5, 0.4, 0.3])],
    );
    assert_eq!(made[0].typed::<i64>().unwrap(), [0, -1]);
}

#[test]
fn a_threshold_alone_says_which_numbers_reach_it() {
    let made = run(
        "threshold = 0.5",
        vec![floats("s", 3, &[0.5, f32::NAN, 0.3])],
    );
    assert_eq!(names(&made), ["s", "s_above"]);
    assert_eq!(made[1].fixed_bytes().unwrap(), [1, 0, 0]);
}

#[test]
fn softmax_makes_probabilities_of_any_scores_and_keeps_the_type() {
    let made = run(
        "softmax = true",
        vec![floats("s", 2, &[0.0, 0.0, 1000.0, 0.0, f32::NAN, 1.0])],
    );
    let probabilities = made[0].typed::<f32>().unwrap();
    assert_eq!(probabilities[..4], [0.5, 0.5, 1.0, 0.0]);
    assert!(probabilities[4].is_nan() && probabilities[5].is_nan());
    let halves: Vec<half::f16> = [1.0, 2.0, 3.0].map(half::f16::from_f64).to_vec();
    let halves = Tensor::fixed("h", DType::Float16, vec![1, 3], Buffer::from_vec(halves)).unwrap();
    let made = run("softmax = true", vec![halves]);
    let sum: f64 = made[0]
        .typed::<half::f16>()
        .unwrap()
        .iter()
        .map(|it| f64::from(*it))
        .sum();
    assert!((sum - 1.0).abs() < 2e-3, "{sum}");
}

#[test]
fn several_outputs_are_treated_and_chosen_by_name() {
    let outputs = || {
        vec![
            floats("a", 3, &[1.0, 2.0, 3.0]),
            floats("b", 2, &[4.0, 5.0]),
        ]
    };
    let made = run("[a]\ntop_n = 1", outputs());
    assert_eq!(names(&made), ["a_indices", "a_scores", "b"]);
    let made = run(
        "select = [\"b\", \"a_indices\", \"a\"]\n[a]\ntop_n = 1",
        outputs(),
    );
    assert_eq!(names(&made), ["b", "a_indices", "a"]);
    assert_eq!(made[2].typed::<f32>().unwrap(), [1.0, 2.0, 3.0]);
}

#[test]
fn options_that_do_not_fit_the_model_say_why() {
    let outputs = || {
        vec![
            floats("a", 3, &[1.0, 2.0, 3.0]),
            floats("b", 2, &[4.0, 5.0]),
        ]
    };
    let label = |shape| {
        let data = Buffer::from_vec(vec![1i64; 3]);
        vec![Tensor::fixed("y", DType::Int64, shape, data).unwrap()]
    };
    for (options, outputs, expected) in [
        ("top_n = 2", outputs(), "[output.<name>]"),
        ("[c]\ntop_n = 2", outputs(), "there are a, b"),
        (
            "select = [\"c\"]\n[a]\ntop_n = 1",
            outputs(),
            "there are a, a_indices, a_scores, b",
        ),
        (
            "[b]\ntop_n = 1\nlabels = \"three.txt\"",
            outputs(),
            "3 lines, and the output has 2 classes",
        ),
        (
            "[b]\ntop_n = 1\nlabels = \"none.txt\"",
            outputs(),
            "none.txt",
        ),
        (
            "top_n = 2",
            label(vec![3]),
            "output.y.top_n needs rows of numbers",
        ),
        (
            "softmax = true",
            label(vec![1, 3]),
            "output.y.softmax needs rows of decimal",
        ),
    ] {
        let error = with(options, outputs).err().expect(options);
        assert!(error.contains(expected), "{options}: {error}");
    }
}
