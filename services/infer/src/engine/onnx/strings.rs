//! String tensors for ONNX Runtime, byte for byte.
//!
//! `ort`'s own constructor goes through C strings and refuses text that holds U+0000
//! (<https://github.com/pykeio/ort>, `Tensor::from_string_array`), so the elements are written into ONNX Runtime's
//! buffers here. Other unsafe code is in `engine/openvino`.
#![allow(unsafe_code)]

use std::ffi::c_char;
use std::ptr;

use millrace_wire::VariableData;
use ort::AsPointer;
use ort::memory::Allocator;
use ort::value::{DynTensor, TensorElementType};

/// A string tensor that owns copies of `elements`; there is one for each place of `shape`.
pub(super) fn string_tensor(shape: &[usize], elements: &VariableData) -> ort::Result<DynTensor> {
    let places: usize = shape.iter().product();
    if places != elements.len() {
        return Err(ort::Error::new(format!(
            "{} strings for shape {shape:?}",
            elements.len()
        )));
    }
    let mut tensor = DynTensor::new(&Allocator::default(), TensorElementType::String, shape)?;
    for (index, element) in elements.iter().enumerate() {
        let mut buffer: *mut c_char = ptr::null_mut();
        // SAFETY: `tensor` is a live string tensor of ours alone, and `index` is below its number of elements, as
        // checked above; `buffer` is a valid place for the answer. The status is owned by `result_from_status`.
        unsafe {
            let status = (ort::api().GetResizedStringTensorElementBuffer)(
                tensor.ptr_mut(),
                index,
                element.len(),
                &raw mut buffer,
            );
            ort::Error::result_from_status(status)?;
        }
        if element.is_empty() {
            continue;
        }
        if buffer.is_null() {
            return Err(ort::Error::new("ONNX Runtime gave no buffer for a string"));
        }
        // SAFETY: ONNX Runtime has just resized this element to `element.len()` bytes and answered where they lie; they
        // stay there until the tensor is changed or dropped, and they cannot overlap with our own memory.
        unsafe { ptr::copy_nonoverlapping(element.as_ptr(), buffer.cast::<u8>(), element.len()) };
    }
    Ok(tensor)
}
