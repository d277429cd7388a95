//! A library of operators that end the process, compiled for a test.

use std::mem::offset_of;
use std::path::{Path, PathBuf};
use std::process::Command;

use ort::sys::OrtApi;

use crate::line::project_path;

/// Compiles `tests/custom_ops/fatal.c` into `folder`.
///
/// # Panics
/// When there is no C compiler.
pub fn fatal_operators(folder: &Path) -> PathBuf {
    let functions = [
        (
            "CREATE_CUSTOM_OP_DOMAIN",
            offset_of!(OrtApi, CreateCustomOpDomain),
        ),
        (
            "CUSTOM_OP_DOMAIN_ADD",
            offset_of!(OrtApi, CustomOpDomain_Add),
        ),
        (
            "ADD_CUSTOM_OP_DOMAIN",
            offset_of!(OrtApi, AddCustomOpDomain),
        ),
        (
            "KERNEL_CONTEXT_GET_INPUT",
            offset_of!(OrtApi, KernelContext_GetInput),
        ),
        (
            "KERNEL_CONTEXT_GET_OUTPUT",
            offset_of!(OrtApi, KernelContext_GetOutput),
        ),
        (
            "GET_TENSOR_TYPE_AND_SHAPE",
            offset_of!(OrtApi, GetTensorTypeAndShape),
        ),
        (
            "GET_DIMENSIONS_COUNT",
            offset_of!(OrtApi, GetDimensionsCount),
        ),
        ("GET_DIMENSIONS", offset_of!(OrtApi, GetDimensions)),
        (
            "GET_TENSOR_SHAPE_ELEMENT_COUNT",
            offset_of!(OrtApi, GetTensorShapeElementCount),
        ),
        (
            "RELEASE_TENSOR_TYPE_AND_SHAPE_INFO",
            offset_of!(OrtApi, ReleaseTensorTypeAndShapeInfo),
        ),
        (
            "GET_TENSOR_MUTABLE_DATA",
            offset_of!(OrtApi, GetTensorMutableData),
        ),
    ];
    let library = folder.join("libfatal.so");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library);
    compiler.arg(format!("-DAPI_VERSION={}", ort::MINOR_VERSION));
    for (name, offset) in functions {
        compiler.arg(format!("-D{name}={offset}"));
    }
    let output = compiler
        .arg(project_path("tests/custom_ops/fatal.c"))
        .output();
    let output = output.expect("there is a C compiler: Rust needs one to link");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cc: {complaint}");
    library
}
