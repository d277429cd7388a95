//! The element types a tensor can have, and their names in the protocols we speak.

use std::fmt;
use std::str::FromStr;

/// The type of one tensor element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DType {
    /// True or false; one byte of 0 or 1 in a [`crate::Tensor`], one bit in Arrow.
    Bool,
    /// Signed, 1 byte.
    Int8,
    /// Signed, 2 bytes.
    Int16,
    /// Signed, 4 bytes.
    Int32,
    /// Signed, 8 bytes.
    Int64,
    /// Unsigned, 1 byte.
    Uint8,
    /// Unsigned, 2 bytes.
    Uint16,
    /// Unsigned, 4 bytes.
    Uint32,
    /// Unsigned, 8 bytes.
    Uint64,
    /// IEEE 754 half precision, 2 bytes.
    Float16,
    /// The upper half of a [`DType::Float32`], 2 bytes.
    Bfloat16,
    /// IEEE 754 single precision, 4 bytes.
    Float32,
    /// IEEE 754 double precision, 8 bytes.
    Float64,
    /// UTF-8 text of any length.
    String,
    /// Bytes of any length.
    Bytes,
}

impl DType {
    /// Every type, in the order of declaration.
    pub const ALL: [Self; 15] = [
        Self::Bool,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Float16,
        Self::Bfloat16,
        Self::Float32,
        Self::Float64,
        Self::String,
        Self::Bytes,
    ];

    /// The name in the Open Inference Protocol; `STRING` is ours for UTF-8 text, `BYTES` is binary.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Float16 => "FP16",
            Self::Bfloat16 => "BF16",
            Self::Float32 => "FP32",
            Self::Float64 => "FP64",
            Self::String => "STRING",
            Self::Bytes => "BYTES",
        }
    }

    /// The name in TensorFlow's `DataType`, which has one type for text and binary.
    pub fn tensorflow_name(self) -> &'static str {
        match self {
            Self::Bool => "DT_BOOL",
            Self::Int8 => "DT_INT8",
            Self::Int16 => "DT_INT16",
            Self::Int32 => "DT_INT32",
            Self::Int64 => "DT_INT64",
            Self::Uint8 => "DT_UINT8",
            Self::Uint16 => "DT_UINT16",
            Self::Uint32 => "DT_UINT32",
            Self::Uint64 => "DT_UINT64",
            Self::Float16 => "DT_HALF",
            Self::Bfloat16 => "DT_BFLOAT16",
            Self::Float32 => "DT_FLOAT",
            Self::Float64 => "DT_DOUBLE",
            Self::String | Self::Bytes => "DT_STRING",
        }
    }

    /// Bytes per element in a [`crate::Tensor`]; `None` for `String` and `Bytes`.
    pub fn element_size_bytes(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Int8 | Self::Uint8 => Some(1),
            Self::Int16 | Self::Uint16 | Self::Float16 | Self::Bfloat16 => Some(2),
            Self::Int32 | Self::Uint32 | Self::Float32 => Some(4),
            Self::Int64 | Self::Uint64 | Self::Float64 => Some(8),
            Self::String | Self::Bytes => None,
        }
    }
}

impl fmt::Display for DType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no element type of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown dtype {name:?}")]
pub struct UnknownDType {
    /// The name, shortened to 64 bytes.
    name: String,
}

impl FromStr for DType {
    type Err = UnknownDType;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        for dtype in Self::ALL {
            if dtype.name() == name {
                return Ok(dtype);
            }
        }
        Err(UnknownDType {
            name: crate::quote::shortened(name).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_reads_back_as_its_type() {
        for dtype in DType::ALL {
            assert_eq!(dtype.to_string().parse::<DType>(), Ok(dtype));
        }
    }

    #[test]
    fn an_unknown_name_is_refused_and_shortened() {
        let error = "FLOAT".repeat(100).parse::<DType>().unwrap_err();
        assert!(error.to_string().len() < 100, "{error}");
        assert!("fp32".parse::<DType>().is_err());
    }
}
