//! OpenVINO's C functions with owners for what they hand out. Everything unsafe about
//! OpenVINO is in this file and `request.rs`.
//!
//! `openvino-sys` is used rather than the crate `openvino` above it, whose tensors always own their memory: each row would
//! be copied once more (<https://github.com/intel/openvino-rs/pull/125>).
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, NulError, c_char};
use std::ptr;

use openvino_sys as ov;

use super::request::InferRequest;

/// What OpenVINO says went wrong.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct OpenVinoError {
    /// The status that came back.
    pub(super) refused: bool,
    message: String,
}

impl From<NulError> for OpenVinoError {
    fn from(error: NulError) -> Self {
        Self {
            refused: true,
            message: error.to_string(),
        }
    }
}

/// Turns a status into a result; OpenVINO keeps the sentence of the calling thread's last failure.
pub(super) fn check(status: ov::ov_status_e) -> Result<(), OpenVinoError> {
    if status == ov::ov_status_e::OK {
        return Ok(());
    }
    // SAFETY: the library is loaded, since it answered a status; both texts are valid until this thread's next call.
    let text = unsafe {
        let last = ov::ov_get_last_err_msg();
        let text = if last.is_null() || *last == 0 {
            ov::ov_get_error_info(status)
        } else {
            last
        };
        CStr::from_ptr(text).to_string_lossy().into_owned()
    };
    Err(OpenVinoError {
        refused: status == ov::ov_status_e::PARAMETER_MISMATCH,
        message: tidy(&text),
    })
}

/// The sentences of OpenVINO's error without the source lines around them.
fn tidy(text: &str) -> String {
    let is_place = |line: &&str| {
        let line = line.trim();
        !(line.is_empty() || line.starts_with("Exception from src") || line.starts_with("Check '"))
    };
    let said: Vec<&str> = text.lines().filter(is_place).map(str::trim).collect();
    if said.is_empty() {
        text.trim().to_owned()
    } else {
        said.join("; ")
    }
}

/// OpenVINO with its plugins; one per engine, so that no engine's properties are another's.
#[derive(Debug)]
pub(super) struct Core(*mut ov::ov_core_t);

impl Core {
    /// The library must have been loaded.
    pub(super) fn new() -> Result<Self, OpenVinoError> {
        let mut core = ptr::null_mut();
        // SAFETY: the place for the answer is valid.
        check(unsafe { ov::ov_core_create(&raw mut core) })?;
        let core = Self(core);
        // A mapped file that is cut short while it is served would end the process.
        // SAFETY: the handle is live; no device means OpenVINO itself; the texts are C strings.
        check(unsafe {
            ov::ov_core_set_property(core.0, ptr::null(), c"ENABLE_MMAP".as_ptr(), c"NO".as_ptr())
        })?;
        Ok(core)
    }

    /// Reads a model by whichever frontend knows it.
    pub(super) fn read(&self, file: &str) -> Result<Model, OpenVinoError> {
        let file = CString::new(file)?;
        let mut model = ptr::null_mut();
        // SAFETY: the handle is live and the text a C string; without a second path, weights lie beside the file.
        check(unsafe {
            ov::ov_core_read_model(self.0, file.as_ptr(), ptr::null(), &raw mut model)
        })?;
        Ok(Model(model))
    }

    /// Makes a model ready to run on `device`.
    pub(super) fn compile(
        &self,
        model: &Model,
        device: &str,
        properties: &[(&CStr, String)],
    ) -> Result<CompiledModel, OpenVinoError> {
        let device = CString::new(device)?;
        let mut values = Vec::with_capacity(properties.len());
        for (_, value) in properties {
            values.push(CString::new(value.as_str())?);
        }
        let pairs: Vec<ov::ov_property_t> = properties
            .iter()
            .zip(&values)
            .map(|((key, _), value)| ov::ov_property_t {
                key: key.as_ptr(),
                value: value.as_ptr().cast(),
            })
            .collect();
        let mut compiled = ptr::null_mut();
        // SAFETY: both handles are live, and the texts behind `pairs` are until the call returns.
        check(unsafe {
            ov::ov_core_compile_model_props(
                self.0,
                model.0,
                device.as_ptr(),
                pairs.len(),
                pairs.as_ptr(),
                &raw mut compiled,
            )
        })?;
        Ok(CompiledModel(compiled))
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // SAFETY: ours alone, and freed once.
        unsafe { ov::ov_core_free(self.0) }
    }
}

// SAFETY: OpenVINO's objects may be used from any thread, one at a time; none is cloned or shared.
unsafe impl Send for Core {}

/// A model that was read.
#[derive(Debug)]
pub(super) struct Model(*mut ov::ov_model_t);

impl Drop for Model {
    fn drop(&mut self) {
        // SAFETY: ours alone, and freed once.
        unsafe { ov::ov_model_free(self.0) }
    }
}

/// An input or output.
#[derive(Debug)]
pub(super) struct Port {
    /// One of its names, `None` if it has none.
    pub(super) name: Option<String>,
    /// OpenVINO's number of the element type.
    pub(super) element: u32,
    /// Its dimensions, or `None` when not even their number is known.
    pub(super) shape: Option<Vec<Option<usize>>>,
}

/// A model that is ready for a device.
#[derive(Debug)]
pub(super) struct CompiledModel(*mut ov::ov_compiled_model_t);

// SAFETY: as for `Core`.
unsafe impl Send for CompiledModel {}

impl CompiledModel {
    pub(super) fn inputs(&self) -> Result<Vec<Port>, OpenVinoError> {
        let mut count = 0;
        // SAFETY: the handle is live.
        check(unsafe { ov::ov_compiled_model_inputs_size(self.0, &raw mut count) })?;
        (0..count)
            .map(|index| {
                let mut port = ptr::null_mut();
                // SAFETY: the handle is live and the index below the count.
                check(unsafe {
                    ov::ov_compiled_model_input_by_index(self.0, index, &raw mut port)
                })?;
                describe(PortHandle(port))
            })
            .collect()
    }

    pub(super) fn outputs(&self) -> Result<Vec<Port>, OpenVinoError> {
        let mut count = 0;
        // SAFETY: the handle is live.
        check(unsafe { ov::ov_compiled_model_outputs_size(self.0, &raw mut count) })?;
        (0..count)
            .map(|index| {
                let mut port = ptr::null_mut();
                // SAFETY: the handle is live and the index below the count.
                check(unsafe {
                    ov::ov_compiled_model_output_by_index(self.0, index, &raw mut port)
                })?;
                describe(PortHandle(port))
            })
            .collect()
    }

    pub(super) fn request(&self) -> Result<InferRequest, OpenVinoError> {
        let mut request = ptr::null_mut();
        // SAFETY: the handle is live; the request keeps what it needs of the model.
        check(unsafe { ov::ov_compiled_model_create_infer_request(self.0, &raw mut request) })?;
        Ok(InferRequest::own(request))
    }
}

impl Drop for CompiledModel {
    fn drop(&mut self) {
        // SAFETY: ours alone, and freed once.
        unsafe { ov::ov_compiled_model_free(self.0) }
    }
}

struct PortHandle(*mut ov::ov_output_const_port_t);

impl Drop for PortHandle {
    fn drop(&mut self) {
        // SAFETY: ours alone, and freed once.
        unsafe { ov::ov_output_const_port_free(self.0) }
    }
}

fn describe(port: PortHandle) -> Result<Port, OpenVinoError> {
    let mut element = 0u32;
    // SAFETY: the handle is live; the type is a number of 32 bits, read as such since a newer library may know more types
    // than the enumeration has.
    check(unsafe { ov::ov_port_get_element_type(port.0, (&raw mut element).cast()) })?;
    let mut shape = ov::ov_partial_shape_t {
        rank: ov::ov_rank_t { min: 0, max: 0 },
        dims: ptr::null_mut(),
    };
    // SAFETY: the handle is live.
    check(unsafe { ov::ov_port_get_partial_shape(port.0, &raw mut shape) })?;
    let dimensions = (shape.rank.min == shape.rank.max).then(|| {
        let count = usize::try_from(shape.rank.max).unwrap_or(0);
        (0..count)
            // SAFETY: a shape of fixed rank has as many dimensions.
            .map(|index| unsafe { *shape.dims.add(index) })
            .map(|size| {
                let fixed = size.min == size.max;
                fixed.then(|| usize::try_from(size.max).ok()).flatten()
            })
            .collect()
    });
    // SAFETY: OpenVINO allocated the dimensions, and they are freed once.
    unsafe { ov::ov_partial_shape_free(&raw mut shape) };
    Ok(Port {
        name: name_of(&port),
        element,
        shape: dimensions,
    })
}

fn name_of(port: &PortHandle) -> Option<String> {
    let mut name: *mut c_char = ptr::null_mut();
    // SAFETY: the handle is live.
    check(unsafe { ov::ov_port_get_any_name(port.0, &raw mut name) }).ok()?;
    // SAFETY: after success this is a C string that is ours to free, once.
    unsafe {
        let text = CStr::from_ptr(name).to_string_lossy().into_owned();
        ov::ov_free(name);
        Some(text)
    }
}
