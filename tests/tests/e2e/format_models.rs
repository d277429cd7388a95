//! Repositories of models in many formats, and questions to them.

use std::fs;
use std::path::{Path, PathBuf};

use arrow::buffer::Buffer;
use e2e::{Feed, Infer, Line, Process, Tap, header, project_path};
use millrace_wire::{DType, Limits, Record, Tensor, encode_tensors};

/// A repository in the line's own folder, with these models of `tests/formats`.
pub(crate) fn repository(line: &Line, names: &[&str]) -> PathBuf {
    let folder = line.dir().join("models");
    for name in names {
        let source = project_path("tests/formats").join(name);
        if source.exists() {
            copy(&source, &folder.join(name));
        }
    }
    if names.contains(&"digits_onnx") {
        copy_digits(&folder);
    }
    folder
}

/// The digits network as it stands in `models`.
pub(crate) fn copy_digits(folder: &Path) {
    let file = project_path("models/digits/1/model.onnx");
    copy(&file, &folder.join("digits_onnx/1/model.onnx"));
}

/// A file, or a folder with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::create_dir_all(to.parent().expect("a folder")).expect("the folder is ours");
        fs::copy(from, to).expect("the file can be read");
        return;
    }
    for entry in fs::read_dir(from).expect("the folder is in the project") {
        let entry = entry.expect("an entry");
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// An infer process that serves these models.
pub(crate) fn serve(line: &Line, folder: &Path, names: &[&str]) -> Process {
    line.infer(Infer {
        models: folder.to_str().expect("UTF-8"),
        names,
        max_rows: 32,
        ..Infer::default()
    })
}

/// The answer to one record.
pub(crate) fn ask(line: &Line, model: &str, inputs: &[Tensor]) -> Vec<Tensor> {
    let results = Tap::open(line, &format!("results.{model}"));
    let feed = Feed::new(line, &format!("requests.{model}"));
    let record = encode_tensors(inputs).expect("tensors encode");
    feed.send(None, Some(record), &[("mr-id", "asked")]);
    feed.flush();
    let answers = results.wait_for(1);
    assert_eq!(
        header(&answers[0], "mr-status"),
        Some("OK"),
        "{:?}",
        header(&answers[0], "mr-error")
    );
    let value = answers[0].value.clone().expect("a value");
    let record = Record::decode(value, &Limits::default()).expect("results decode");
    let columns = 0..record.columns().len();
    columns
        .map(|column| record.tensor(column).expect("a dense tensor"))
        .collect()
}

/// A tensor of numbers.
pub(crate) fn numbers<T: arrow::datatypes::ArrowNativeType>(
    name: &str,
    dtype: DType,
    shape: &[usize],
    values: &[T],
) -> Tensor {
    let data = Buffer::from_slice_ref(values);
    Tensor::fixed(name, dtype, shape.to_vec(), data).expect("the shape fits")
}
