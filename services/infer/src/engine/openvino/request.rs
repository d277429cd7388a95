//! Runs of a compiled model, with inputs that OpenVINO reads where they lie.
#![allow(unsafe_code)]

use std::ptr;

use openvino_sys as ov;

use super::native::{OpenVinoError, check};

/// An input as it lies in our memory.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) element: ov::ov_element_type_e,
    pub(super) shape: &'a [usize],
    /// As long as shape and type say.
    pub(super) bytes: &'a [u8],
}

/// An output, copied.
#[derive(Debug)]
pub(super) struct Output<T> {
    pub(super) element: u32,
    pub(super) shape: Vec<usize>,
    pub(super) copy: T,
}

/// Runs a model, one batch at a time.
#[derive(Debug)]
pub(super) struct InferRequest(*mut ov::ov_infer_request_t);

// SAFETY: as for `native::Core`.
unsafe impl Send for InferRequest {}

impl InferRequest {
    /// Takes a live handle, which nobody else may use.
    pub(super) fn own(handle: *mut ov::ov_infer_request_t) -> Self {
        Self(handle)
    }

    /// Computes the outputs from all inputs, in order. OpenVINO reads them where they lie.
    pub(super) fn run(&mut self, inputs: &[View<'_>]) -> Result<(), OpenVinoError> {
        for (index, input) in inputs.iter().enumerate() {
            let mut dims: Vec<i64> = input
                .shape
                .iter()
                .map(|size| i64::try_from(*size).unwrap_or(i64::MAX))
                .collect();
            let shape = ov::ov_shape_t {
                rank: i64::try_from(dims.len()).unwrap_or(i64::MAX),
                dims: dims.as_mut_ptr(),
            };
            let mut tensor = ptr::null_mut();
            // SAFETY: the bytes are as many as type and shape say, and they outlive this function, after which the request
            // does not look at them before other inputs are set. OpenVINO does not write to inputs.
            check(unsafe {
                let bytes = input.bytes.as_ptr().cast_mut().cast();
                ov::ov_tensor_create_from_host_ptr(input.element, shape, bytes, &raw mut tensor)
            })?;
            let tensor = TensorHandle(tensor);
            // SAFETY: both handles are live; the request keeps a reference of its own.
            check(unsafe {
                ov::ov_infer_request_set_input_tensor_by_index(self.0, index, tensor.0)
            })?;
        }
        // SAFETY: the handle is live, and every input has been set.
        check(unsafe { ov::ov_infer_request_infer(self.0) })
    }

    /// Hands the bytes of an output to `copy`.
    pub(super) fn output<T>(
        &self,
        index: usize,
        copy: impl FnOnce(&[u8]) -> T,
    ) -> Result<Output<T>, OpenVinoError> {
        let mut tensor = ptr::null_mut();
        // SAFETY: the handle is live.
        check(unsafe {
            ov::ov_infer_request_get_output_tensor_by_index(self.0, index, &raw mut tensor)
        })?;
        let tensor = TensorHandle(tensor);
        let mut element = 0u32;
        // SAFETY: the handle is live; for the type see `describe`.
        check(unsafe { ov::ov_tensor_get_element_type(tensor.0, (&raw mut element).cast()) })?;
        let shape = shape_of(&tensor)?;
        let mut size_bytes = 0;
        // SAFETY: the handle is live.
        check(unsafe { ov::ov_tensor_get_byte_size(tensor.0, &raw mut size_bytes) })?;
        let mut data = ptr::null_mut();
        if size_bytes > 0 {
            // SAFETY: the handle is live.
            check(unsafe { ov::ov_tensor_data(tensor.0, &raw mut data) })?;
        }
        let bytes = if data.is_null() {
            &[]
        } else {
            // SAFETY: the tensor holds as many bytes, which nobody writes until the next run, and that needs `&mut self`.
            unsafe { std::slice::from_raw_parts(data.cast::<u8>(), size_bytes) }
        };
        Ok(Output {
            element,
            shape,
            copy: copy(bytes),
        })
    }
}

impl Drop for InferRequest {
    fn drop(&mut self) {
        // SAFETY: ours alone, and freed once.
        unsafe { ov::ov_infer_request_free(self.0) }
    }
}

struct TensorHandle(*mut ov::ov_tensor_t);

impl Drop for TensorHandle {
    fn drop(&mut self) {
        // SAFETY: ours alone, and freed once.
        unsafe { ov::ov_tensor_free(self.0) }
    }
}

fn shape_of(tensor: &TensorHandle) -> Result<Vec<usize>, OpenVinoError> {
    let mut shape = ov::ov_shape_t {
        rank: 0,
        dims: ptr::null_mut(),
    };
    // SAFETY: the handle is live.
    check(unsafe { ov::ov_tensor_get_shape(tensor.0, &raw mut shape) })?;
    let count = usize::try_from(shape.rank).unwrap_or(0);
    let dimensions = (0..count)
        // SAFETY: a shape has as many dimensions as its rank says.
        .map(|index| usize::try_from(unsafe { *shape.dims.add(index) }).unwrap_or(0))
        .collect();
    // SAFETY: OpenVINO allocated the dimensions, and they are freed once.
    check(unsafe { ov::ov_shape_free(&raw mut shape) })?;
    Ok(dimensions)
}
