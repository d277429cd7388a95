//! Weights in a `*.caffemodel`: which layer has which, found without decoding anything else.

use std::collections::HashMap;
use std::ops::Range;

use prost::Message;

use crate::error::{LayerResult, Problem};

const MAX_LAYERS: usize = 50_000;
const MAX_BLOBS: usize = 200_000;
const MAX_RANK: usize = 32;

/// Field numbers of Caffe's messages.
const NET_LAYER: u64 = 100;
const NET_LAYERS: u64 = 2;
const LAYER: Fields = Fields { name: 1, blobs: 7 };
/// The message that the file format had before, of which there are many files.
const LAYER_V1: Fields = Fields { name: 4, blobs: 6 };

struct Fields {
    name: u64,
    blobs: u64,
}

/// The weights of all layers, still in the bytes of the file.
#[derive(Debug, Default)]
pub(super) struct Weights {
    file: Vec<u8>,
    layers: HashMap<String, Vec<Range<usize>>>,
}

/// One blob as the file has it.
#[derive(Clone, PartialEq, Message)]
struct BlobProto {
    #[prost(int64, optional, tag = "1")]
    num: Option<i64>,
    #[prost(int64, optional, tag = "2")]
    channels: Option<i64>,
    #[prost(int64, optional, tag = "3")]
    height: Option<i64>,
    #[prost(int64, optional, tag = "4")]
    width: Option<i64>,
    #[prost(float, repeated, tag = "5")]
    data: Vec<f32>,
    #[prost(message, optional, tag = "7")]
    shape: Option<BlobShape>,
    #[prost(double, repeated, tag = "8")]
    double_data: Vec<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct BlobShape {
    #[prost(int64, repeated, tag = "1")]
    dim: Vec<i64>,
}

impl Weights {
    /// Finds the weights in a file.
    ///
    /// # Errors
    ///
    /// A sentence, if it is not a message of Caffe or has absurdly many layers.
    pub(super) fn find(file: Vec<u8>) -> Result<Self, String> {
        let mut layers = HashMap::new();
        let (mut count, mut blobs) = (0, 0);
        for field in Walk::over(&file, 0..file.len()) {
            let (number, range) = field?;
            let fields = match number {
                NET_LAYER => LAYER,
                NET_LAYERS => LAYER_V1,
                _ => continue,
            };
            let Some(range) = range else { continue };
            let (name, found) = layer(&file, range, &fields)?;
            count += 1;
            blobs += found.len();
            if count > MAX_LAYERS || blobs > MAX_BLOBS {
                return Err(format!(
                    "there are more than {MAX_LAYERS} layers or {MAX_BLOBS} blobs"
                ));
            }
            // Caffe copies layer after layer, so the last one stays.
            if !found.is_empty() {
                layers.insert(name, found);
            }
        }
        Ok(Self { file, layers })
    }

    /// One blob of a layer, which must have these sizes; old files write four of them, with ones
    /// before those that count.
    pub(super) fn blob(&self, layer: &str, index: usize, sizes: &[u64]) -> LayerResult<Vec<f32>> {
        let (found, values) = self.any_blob(layer, index)?;
        let plain = |sizes: &[u64]| {
            sizes
                .iter()
                .copied()
                .skip_while(|&size| size == 1)
                .collect::<Vec<_>>()
        };
        if plain(&found) != plain(sizes) {
            return Err(Problem::Weights(format!(
                "blob {index} of its weights has shape {found:?}, and {sizes:?} is needed"
            )));
        }
        Ok(values)
    }

    /// One blob of a layer, with its sizes as they stand there.
    pub(super) fn any_blob(&self, layer: &str, index: usize) -> LayerResult<(Vec<u64>, Vec<f32>)> {
        let broken = |what: &str| Problem::Weights(format!("blob {index} of its weights {what}"));
        let blobs = self.layers.get(layer).ok_or_else(|| {
            Problem::Weights("the *.caffemodel has no weights for a layer of this name".to_owned())
        })?;
        let range = blobs
            .get(index)
            .ok_or_else(|| broken("is not in the *.caffemodel"))?;
        let blob = BlobProto::decode(&self.file[range.clone()]).map_err(|_| broken("is broken"))?;
        let sizes = sizes(&blob).ok_or_else(|| broken("has a size that is negative or absurd"))?;
        let values = match blob.data.is_empty() {
            false => blob.data,
            true => blob
                .double_data
                .iter()
                .map(|&value| narrowed(value))
                .collect(),
        };
        let count = sizes
            .iter()
            .try_fold(1_u64, |count, &size| count.checked_mul(size));
        if count != u64::try_from(values.len()).ok() {
            return Err(broken(&format!(
                "has {} values and shape {sizes:?}",
                values.len()
            )));
        }
        Ok((sizes, values))
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "float32 is what Caffe computes with"
)]
fn narrowed(value: f64) -> f32 {
    value as f32
}

fn sizes(blob: &BlobProto) -> Option<Vec<u64>> {
    let old = [blob.num, blob.channels, blob.height, blob.width];
    let dims = match &blob.shape {
        Some(shape) => shape.dim.clone(),
        None if old.iter().any(Option::is_some) => {
            old.iter().map(|size| size.unwrap_or(0)).collect()
        }
        None => Vec::new(),
    };
    if dims.len() > MAX_RANK {
        return None;
    }
    dims.into_iter()
        .map(|size| u64::try_from(size).ok())
        .collect()
}

/// Name of a layer and where its blobs are.
fn layer(
    file: &[u8],
    range: Range<usize>,
    fields: &Fields,
) -> Result<(String, Vec<Range<usize>>), String> {
    let (mut name, mut blobs) = (String::new(), Vec::new());
    for field in Walk::over(file, range) {
        match field? {
            (number, Some(range)) if number == fields.name => {
                String::from_utf8_lossy(&file[range])
                    .into_owned()
                    .clone_into(&mut name);
            }
            (number, Some(range)) if number == fields.blobs => blobs.push(range),
            _ => {}
        }
        if blobs.len() > MAX_BLOBS {
            return Err(format!("a layer has more than {MAX_BLOBS} blobs"));
        }
    }
    Ok((name, blobs))
}

/// The fields of one message, with the range of those that have a length.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Walk<'a> {
    fn over(bytes: &'a [u8], range: Range<usize>) -> Self {
        Self {
            bytes,
            at: range.start,
            end: range.end,
        }
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = *self.bytes[..self.end].get(self.at)?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// Goes over so many bytes.
    fn skip(&mut self, length: u64) -> Option<Range<usize>> {
        let end = self.at.checked_add(usize::try_from(length).ok()?)?;
        let range = self.at..end;
        self.at = end;
        (end <= self.end).then_some(range)
    }

    fn field(&mut self) -> Option<(u64, Option<Range<usize>>)> {
        let key = self.varint()?;
        let range = match key & 7 {
            0 => self.varint().map(|_| None)?,
            1 => self.skip(8).map(|_| None)?,
            2 => {
                let length = self.varint()?;
                Some(self.skip(length)?)
            }
            5 => self.skip(4).map(|_| None)?,
            _ => return None,
        };
        Some((key >> 3, range))
    }
}

impl Iterator for Walk<'_> {
    type Item = Result<(u64, Option<Range<usize>>), String>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.end {
            return None;
        }
        let start = self.at;
        let field = self.field();
        if field.is_none() {
            self.at = self.end;
        }
        Some(
            field.ok_or_else(|| {
                format!("it is not a message of Caffe, or it is cut off: byte {start}")
            }),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A field with a length.
    fn field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        prost::encoding::encode_varint(u64::from(number) << 3 | 2, &mut bytes);
        prost::encoding::encode_varint(content.len() as u64, &mut bytes);
        bytes.extend_from_slice(content);
        bytes
    }

    fn old_blob(sizes: [i64; 4], data: Vec<f32>) -> Vec<u8> {
        let [num, channels, height, width] = sizes.map(Some);
        let blob = BlobProto {
            num,
            channels,
            height,
            width,
            data,
            ..BlobProto::default()
        };
        blob.encode_to_vec()
    }

    #[test]
    fn both_forms_of_layers_and_of_shapes_are_found() {
        let blob = BlobProto {
            shape: Some(BlobShape { dim: vec![2] }),
            double_data: vec![1.0, 2.0],
            ..BlobProto::default()
        };
        let new = [field(1, b"new"), field(7, &blob.encode_to_vec())].concat();
        let old = [
            field(4, b"old"),
            field(6, &old_blob([1, 1, 1, 2], vec![3.0, 4.0])),
        ]
        .concat();
        let file = [field(100, &new), field(2, &old), field(9, b"unknown")].concat();
        let weights = Weights::find(file).unwrap();
        assert_eq!(weights.blob("new", 0, &[2]).unwrap(), [1.0, 2.0]);
        assert_eq!(weights.blob("old", 0, &[2]).unwrap(), [3.0, 4.0]);
        assert!(weights.blob("old", 0, &[3]).is_err());
        assert!(weights.blob("old", 1, &[2]).is_err());
        assert!(weights.blob("none", 0, &[2]).is_err());
    }

    #[test]
    fn a_blob_whose_shape_does_not_hold_its_values_is_refused() {
        for sizes in [[1, 1, 1, 3], [1, 1, 1, -2], [i64::MAX, i64::MAX, 4, 2]] {
            let old = [field(4, b"l"), field(6, &old_blob(sizes, vec![1.0, 2.0]))].concat();
            let weights = Weights::find(field(2, &old)).unwrap();
            assert!(weights.any_blob("l", 0).is_err(), "{sizes:?}");
        }
    }

    #[test]
    fn a_file_that_is_cut_off_is_refused() {
        let file = field(100, &field(1, b"name"));
        for end in 1..file.len() {
            assert!(Weights::find(file[..end].to_vec()).is_err(), "{end}");
        }
        assert!(Weights::find(vec![0xff; 20]).is_err());
    }
}
