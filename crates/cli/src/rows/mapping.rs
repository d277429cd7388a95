//! Which columns of a file feed which input of the model.

use std::str::FromStr;

use anyhow::bail;
use millrace_wire::{Signature, Tensor, TensorSpec};

/// `INPUT=COLUMN`, or `INPUT=FIRST,SECOND,…`: one column per element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    input: String,
    columns: Vec<String>,
}

impl FromStr for Mapping {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected INPUT=COLUMN or INPUT=FIRST,SECOND,…".to_owned();
        let (input, columns) = text.split_once('=').ok_or_else(expected)?;
        let columns: Vec<String> = columns.split(',').map(str::to_owned).collect();
        if input.is_empty() || columns.iter().any(String::is_empty) {
            return Err(expected());
        }
        Ok(Self {
            input: input.to_owned(),
            columns,
        })
    }
}

/// An input and the columns that feed it.
#[derive(Clone, Debug)]
pub(super) struct Feed {
    pub(super) spec: TensorSpec,
    pub(super) source: FeedSource,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FeedSource {
    /// A column whose values are rows of the tensor.
    Column(usize),
    /// A column of single values per element of a row.
    Elements(Vec<usize>),
}

impl Feed {
    /// The input as it is read: a list of elements where they come one by one.
    pub(super) fn read_as(&self) -> TensorSpec {
        match &self.source {
            FeedSource::Column(_) => self.spec.clone(),
            FeedSource::Elements(columns) => TensorSpec {
                shape: vec![None, Some(columns.len())],
                ..self.spec.clone()
            },
        }
    }

    /// What was read, in the shape of the input.
    ///
    /// # Errors
    /// The elements are not as many as the input takes, as a sentence.
    pub(super) fn shaped(&self, tensor: Tensor) -> Result<Tensor, String> {
        let tensor = match (&self.source, row_shape(&self.spec)) {
            (FeedSource::Elements(_), Some(dimensions)) => {
                let mut shape = vec![tensor.rows()];
                shape.extend(dimensions);
                tensor.reshaped(shape).map_err(|error| error.to_string())?
            }
            _ => tensor,
        };
        let fits = self.spec.check(tensor.dtype(), tensor.shape());
        fits.map_err(|error| error.to_string())?;
        Ok(tensor)
    }

    pub(super) fn columns(&self) -> &[usize] {
        match &self.source {
            FeedSource::Column(column) => std::slice::from_ref(column),
            FeedSource::Elements(columns) => columns,
        }
    }
}

/// The dimensions of a row where all of them are fixed.
pub(super) fn row_shape(spec: &TensorSpec) -> Option<Vec<usize>> {
    spec.shape.iter().skip(1).copied().collect()
}

/// A type and a shape as in `FP32[-1,8,8]`.
pub(super) fn described(spec: &TensorSpec) -> String {
    let size = |size: &Option<usize>| size.map_or("-1".to_owned(), |size| size.to_string());
    let sizes: Vec<String> = spec.shape.iter().map(size).collect();
    format!("{}[{}]", spec.dtype, sizes.join(","))
}

/// Finds the columns of every input: those that `mappings` name, else the column of its name, else
/// columns called `NAME_0`, `NAME_1`, … for its elements.
///
/// # Errors
/// An input without a column, or a name that is none; the sentence says what to do.
pub(super) fn resolve(
    signature: &Signature,
    mappings: &[Mapping],
    present: &[String],
) -> anyhow::Result<Vec<Feed>> {
    for mapping in mappings {
        let known = |spec: &TensorSpec| spec.name == mapping.input;
        if !signature.inputs.iter().any(known) {
            let names: Vec<&str> = signature
                .inputs
                .iter()
                .map(|spec| spec.name.as_str())
                .collect();
            bail!(
                "--map: the model has no input {}; its inputs are {}",
                mapping.input,
                names.join(", ")
            );
        }
    }
    let feed = |spec: &TensorSpec| {
        let source = source_of(spec, mappings, present)?;
        let spec = spec.clone();
        Ok(Feed { spec, source })
    };
    signature.inputs.iter().map(feed).collect()
}

fn source_of(
    spec: &TensorSpec,
    mappings: &[Mapping],
    present: &[String],
) -> anyhow::Result<FeedSource> {
    let find = |name: &str| present.iter().position(|known| known == name);
    if let Some(mapping) = mappings.iter().find(|mapping| mapping.input == spec.name) {
        let mut columns = Vec::new();
        for name in &mapping.columns {
            let Some(column) = find(name) else {
                bail!(
                    "--map: there is no column {name}; there are {}",
                    some(present)
                );
            };
            columns.push(column);
        }
        return Ok(match columns.as_slice() {
            [column] => FeedSource::Column(*column),
            _ => FeedSource::Elements(columns),
        });
    }
    if let Some(column) = find(&spec.name) {
        return Ok(FeedSource::Column(column));
    }
    let count = row_shape(spec).map(|sizes| sizes.iter().product::<usize>());
    if let Some(count @ 2..=65_536) = count {
        let element = |index| find(&format!("{}_{index}", spec.name));
        if let Some(columns) = (0..count).map(element).collect() {
            return Ok(FeedSource::Elements(columns));
        }
    }
    bail!(
        "no column for input {name}, which is {}; there are {}. Say --map {name}=COLUMN, or \
         {name}=FIRST,SECOND,… for a column per element",
        described(spec),
        some(present),
        name = spec.name,
    )
}

/// The first few names.
fn some(names: &[String]) -> String {
    const MOST: usize = 12;
    let shown = names[..names.len().min(MOST)].join(", ");
    match names.len() {
        0 => "no columns".to_owned(),
        1..=MOST => shown,
        more => format!("{shown} and {} more", more - MOST),
    }
}

#[cfg(test)]
mod tests {
    use millrace_wire::DType;

    use super::*;

    fn signature() -> Signature {
        Signature {
            inputs: vec![TensorSpec {
                name: "x".to_owned(),
                dtype: DType::Float32,
                shape: vec![None, Some(2)],
            }],
            outputs: Vec::new(),
        }
    }

    fn resolved(columns: &[&str], mappings: &[&str]) -> Result<FeedSource, String> {
        let columns: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
        let mappings: Vec<Mapping> = mappings.iter().map(|text| text.parse().unwrap()).collect();
        let feeds = resolve(&signature(), &mappings, &columns);
        feeds
            .map(|mut feeds| feeds.remove(0).source)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_input_is_fed_by_its_name_its_elements_or_by_a_mapping() {
        assert_eq!(resolved(&["id", "x"], &[]), Ok(FeedSource::Column(1)));
        let elements = Ok(FeedSource::Elements(vec![1, 0]));
        assert_eq!(resolved(&["x_1", "x_0"], &[]), elements);
        assert_eq!(resolved(&["b", "a"], &["x=a,b"]), elements);
        assert_eq!(resolved(&["a", "x"], &["x=a"]), Ok(FeedSource::Column(0)));
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let sentence = resolved(&["a", "b"], &[]).unwrap_err();
        assert!(
            sentence.contains("input x, which is FP32[-1,2]"),
            "{sentence}"
        );
        assert!(sentence.contains("there are a, b"), "{sentence}");
        assert!(sentence.contains("--map x=COLUMN"), "{sentence}");
        let sentence = resolved(&["a"], &["x=c"]).unwrap_err();
        assert!(sentence.contains("no column c; there are a"), "{sentence}");
        let sentence = resolved(&["a"], &["y=a"]).unwrap_err();
        assert!(
            sentence.contains("no input y; its inputs are x"),
            "{sentence}"
        );
    }
}
