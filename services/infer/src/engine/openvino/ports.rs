//! OpenVINO's inputs and outputs as ours: names and element types.

use std::collections::BTreeSet;

use millrace_wire::{DType, TensorSpec};
use openvino_sys::ov_element_type_e as Element;

use super::native::Port;
use crate::engine::LoadError;

pub(super) fn specs(ports: &[Port], role: &str) -> Result<Vec<TensorSpec>, LoadError> {
    let mut specs = Vec::with_capacity(ports.len());
    for (port, name) in ports.iter().zip(names(ports, role)) {
        let Some(dtype) = dtype(port.element) else {
            return Err(LoadError::Type {
                name,
                given: element_name(port.element),
            });
        };
        specs.push(TensorSpec {
            name,
            dtype,
            shape: port.shape.clone().unwrap_or_default(),
        });
    }
    Ok(specs)
}

/// The ports' names without what TensorFlow adds to them, where they differ without it.
fn names(ports: &[Port], role: &str) -> Vec<String> {
    let named = |plain: fn(&str) -> &str| -> Vec<String> {
        let name = |(index, port): (usize, &Port)| {
            let given = port.name.as_deref();
            given.map_or_else(|| format!("{role}_{index}"), |name| plain(name).to_owned())
        };
        ports.iter().enumerate().map(name).collect()
    };
    let plain = named(plain_name);
    let different: BTreeSet<&String> = plain.iter().collect();
    if different.len() == plain.len() {
        plain
    } else {
        named(|name| name)
    }
}

/// TensorFlow calls the input `image` of a signature `serving_default_image:0`.
fn plain_name(name: &str) -> &str {
    let name = name.strip_suffix(":0").unwrap_or(name);
    name.strip_prefix("serving_default_").unwrap_or(name)
}

/// Our name for an element type, if records can hold it. OpenVINO's text cannot be read back through its C functions.
pub(super) fn dtype(element: u32) -> Option<DType> {
    const ALL: [DType; 13] = [
        DType::Bool,
        DType::Int8,
        DType::Int16,
        DType::Int32,
        DType::Int64,
        DType::Uint8,
        DType::Uint16,
        DType::Uint32,
        DType::Uint64,
        DType::Float16,
        DType::Bfloat16,
        DType::Float32,
        DType::Float64,
    ];
    ALL.into_iter()
        .find(|dtype| self::element(*dtype).is_some_and(|known| known as u32 == element))
}

pub(super) fn element(dtype: DType) -> Option<Element> {
    match dtype {
        DType::Bool => Some(Element::OV_BOOLEAN),
        DType::Int8 => Some(Element::I8),
        DType::Int16 => Some(Element::I16),
        DType::Int32 => Some(Element::I32),
        DType::Int64 => Some(Element::I64),
        DType::Uint8 => Some(Element::U8),
        DType::Uint16 => Some(Element::U16),
        DType::Uint32 => Some(Element::U32),
        DType::Uint64 => Some(Element::U64),
        DType::Float16 => Some(Element::F16),
        DType::Bfloat16 => Some(Element::BF16),
        DType::Float32 => Some(Element::F32),
        DType::Float64 => Some(Element::F64),
        DType::String | DType::Bytes => None,
    }
}

pub(super) fn element_name(element: u32) -> String {
    if element == Element::STRING as u32 {
        "string, which OpenVINO cannot give back (serve the ONNX file with ONNX Runtime)".to_owned()
    } else if element == Element::DYNAMIC as u32 {
        "value of no fixed type".to_owned()
    } else {
        format!("value of OpenVINO's element type {element}")
    }
}
