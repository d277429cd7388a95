//! Where the numbers of tensors lie: storages that several tensors may share, in the model's file or in one beside it.

use std::collections::HashMap;

use super::messages::{AttrValue, Module, Storage, Tensor};
use crate::error::{LayerResult, Problem};
use crate::onnx::Shape;

const QUANTIZED: i32 = 1;

/// Numbers of all tensors, by the ids of their storages.
#[derive(Debug, Default)]
pub(crate) struct Storages {
    pub(super) dense: HashMap<i32, Vec<f32>>,
    pub(super) quantized: HashMap<i32, Quantized>,
}

/// Rows of bytes; 127 stands for the largest magnitude of its row.
#[derive(Debug)]
pub(super) struct Quantized {
    pub(super) bytes: Vec<u8>,
    /// Largest values of the rows, then smallest ones, then sums.
    pub(super) ranges: Vec<f32>,
}

/// Sizes and numbers of one tensor, row by row.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Weights {
    pub(crate) sizes: Vec<u64>,
    pub(crate) values: Vec<f32>,
}

impl Storages {
    /// Takes the numbers out of a model's file.
    pub(crate) fn of(module: &mut Module) -> Self {
        let mut all = Self::default();
        all.take_module(module);
        all
    }

    fn take_module(&mut self, module: &mut Module) {
        for tensor in module.parameters.iter_mut() {
            self.take(tensor);
        }
        for tensor in [&mut module.weight, &mut module.bias].into_iter().flatten() {
            self.take(tensor);
        }
        for attr in module.attr.values_mut() {
            self.take_attribute(&mut attr.value);
        }
        for part in &mut module.sub_modules {
            self.take_module(part);
        }
    }

    fn take_attribute(&mut self, value: &mut Option<AttrValue>) {
        match value {
            Some(AttrValue::Tensor(tensor)) => self.take(tensor),
            Some(AttrValue::Array(array)) => {
                for tensor in &mut array.tensor {
                    self.take(tensor);
                }
            }
            Some(AttrValue::Module(module)) => self.take_module(module),
            Some(AttrValue::Named(named)) => {
                for attr in named.attr.values_mut() {
                    self.take_attribute(&mut attr.value);
                }
            }
            _ => {}
        }
    }

    fn take(&mut self, tensor: &mut Tensor) {
        let Some(storage) = &mut tensor.storage else {
            return;
        };
        let id = storage.id;
        if tensor.tensor_type == QUANTIZED {
            if !storage.bytes_data.is_empty() {
                let bytes = storage.bytes_data.swap_remove(0);
                let ranges = std::mem::take(&mut storage.float_data);
                self.quantized.insert(id, Quantized { bytes, ranges });
            }
        } else if let Some(values) = numbers(storage) {
            self.dense.insert(id, values);
        }
    }

    /// The numbers of a tensor, row by row; quantized ones become what they stand for.
    ///
    /// # Errors
    ///
    /// If its storage is not there or is too short for it.
    pub(crate) fn weights(&self, tensor: &Tensor) -> LayerResult<Weights> {
        let sizes = sizes(tensor)?;
        let shape = Shape::fixed(&sizes);
        let count = fits(shape.count(0..sizes.len())?)?;
        let id = tensor.storage.as_ref().map(|it| it.id);
        let id = id.ok_or_else(|| Problem::Weights("a tensor has no storage".to_owned()))?;
        if tensor.tensor_type == QUANTIZED {
            let values = self.dequantized(id, (&sizes, count))?;
            return Ok(Weights { sizes, values });
        }
        let storage = self.dense.get(&id).ok_or_else(|| {
            Problem::Weights(
                "its weights are not in this file; if they were saved to a file of their own, it must lie beside".to_owned(),
            )
        })?;
        let values = gather(storage, tensor, (&sizes, count))?;
        Ok(Weights { sizes, values })
    }

    fn dequantized(&self, id: i32, (sizes, count): (&[u64], usize)) -> LayerResult<Vec<f32>> {
        let missing = || Problem::Weights("quantized weights are missing or too short".to_owned());
        let storage = self.quantized.get(&id).ok_or_else(missing)?;
        let rows = match sizes {
            [] | [_] => 1,
            [rows, ..] => fits(*rows)?,
        };
        let width = count.checked_div(rows).ok_or_else(missing)?;
        let bytes = storage.bytes.get(..count).ok_or_else(missing)?;
        let ranges = storage
            .ranges
            .get(..rows.saturating_mul(2))
            .ok_or_else(missing)?;
        let mut values = Vec::with_capacity(count);
        for (row, bytes) in bytes.chunks(width.max(1)).enumerate() {
            let largest = ranges.get(row).ok_or_else(missing)?.abs();
            let smallest = ranges.get(rows + row).ok_or_else(missing)?.abs();
            let scale = largest.max(smallest);
            values.extend(
                bytes
                    .iter()
                    .map(|byte| f32::from(byte.cast_signed()) / 127.0 * scale),
            );
        }
        Ok(values)
    }
}

/// The numbers that a storage brings with it.
#[expect(clippy::cast_possible_truncation, reason = "weights are float32 here")]
fn numbers(storage: &mut Storage) -> Option<Vec<f32>> {
    if !storage.float_data.is_empty() {
        return Some(std::mem::take(&mut storage.float_data));
    }
    let doubles = std::mem::take(&mut storage.double_data);
    (!doubles.is_empty()).then(|| doubles.into_iter().map(|it| it as f32).collect())
}

fn sizes(tensor: &Tensor) -> LayerResult<Vec<u64>> {
    let sizes: Result<_, _> = tensor
        .size
        .iter()
        .map(|&size| u64::try_from(size))
        .collect();
    sizes.map_err(|_| Problem::Weights(format!("a tensor has sizes {:?}", tensor.size)))
}

fn fits(count: u64) -> LayerResult<usize> {
    usize::try_from(count).map_err(|_| Problem::Weights(format!("{count} weights are too many")))
}

/// Elements of a tensor in their order, through its strides.
fn gather(
    storage: &[f32],
    tensor: &Tensor,
    (sizes, count): (&[u64], usize),
) -> LayerResult<Vec<f32>> {
    let short = || {
        Problem::Weights(format!(
            "a tensor {sizes:?} does not fit in its storage of {}",
            storage.len()
        ))
    };
    let start = usize::try_from(tensor.offset.max(1) - 1).map_err(|_| short())?;
    let strides: Result<Vec<usize>, _> = tensor
        .stride
        .iter()
        .map(|&it| usize::try_from(it))
        .collect();
    let strides = strides.map_err(|_| short())?;
    if count == 0 {
        return Ok(Vec::new());
    }
    if strides == packed(sizes) {
        let end = start.checked_add(count).ok_or_else(short)?;
        return storage
            .get(start..end)
            .map(<[f32]>::to_vec)
            .ok_or_else(short);
    }
    if strides.len() != sizes.len() || count > storage.len() {
        return Err(short());
    }
    let mut values = Vec::with_capacity(count);
    for position in 0..count {
        let (mut rest, mut at) = (position, start);
        for (&size, &stride) in sizes.iter().zip(&strides).rev() {
            let size = fits(size)?;
            at = stride
                .checked_mul(rest % size)
                .and_then(|it| at.checked_add(it))
                .ok_or_else(short)?;
            rest /= size;
        }
        values.push(*storage.get(at).ok_or_else(short)?);
    }
    Ok(values)
}

fn packed(sizes: &[u64]) -> Vec<usize> {
    let mut strides = vec![1_usize; sizes.len()];
    for axis in (1..sizes.len()).rev() {
        let size = usize::try_from(sizes[axis]).unwrap_or(usize::MAX);
        strides[axis - 1] = strides[axis].saturating_mul(size);
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(size: &[i32], stride: &[i32], offset: i32) -> Tensor {
        Tensor {
            size: size.to_vec(),
            stride: stride.to_vec(),
            offset,
            storage: Some(Storage {
                id: 7,
                ..Storage::default()
            }),
            tensor_type: 0,
        }
    }

    fn six() -> Storages {
        let mut all = Storages::default();
        all.dense.insert(7, vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        all
    }

    #[test]
    fn tensors_share_a_storage_by_offset_and_stride() {
        let all = six();
        assert_eq!(
            all.weights(&tensor(&[2, 2], &[2, 1], 3)).unwrap().values,
            [2.0, 3.0, 4.0, 5.0]
        );
        assert_eq!(
            all.weights(&tensor(&[3, 2], &[1, 3], 1)).unwrap().values,
            [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
        );
    }

    #[test]
    fn tensors_outside_their_storage_are_refused() {
        let all = six();
        for bad in [
            tensor(&[7], &[1], 1),
            tensor(&[2], &[1], 6),
            tensor(&[2, 3], &[3, 100], 1),
            tensor(&[-1], &[1], 1),
            tensor(&[i32::MAX, i32::MAX], &[1, 1], 1),
            tensor(&[3], &[-1], 3),
            tensor(&[2, 2], &[2], 1),
        ] {
            assert!(all.weights(&bad).is_err(), "{bad:?}");
        }
        let mut elsewhere = tensor(&[2], &[1], 1);
        elsewhere.storage.as_mut().unwrap().id = 8;
        assert!(all.weights(&elsewhere).is_err());
    }

    #[test]
    fn quantized_rows_stand_for_parts_of_their_largest_magnitude() {
        let mut all = Storages::default();
        let bytes = vec![127, 0, 129, 127];
        all.quantized.insert(
            7,
            Quantized {
                bytes,
                ranges: vec![2.0, 1.0, -1.0, -4.0, 0.0, 0.0],
            },
        );
        let mut quantized = tensor(&[2, 2], &[2, 1], 0);
        quantized.tensor_type = QUANTIZED;
        assert_eq!(
            all.weights(&quantized).unwrap().values,
            [2.0, 0.0, -4.0, 4.0]
        );
    }
}
