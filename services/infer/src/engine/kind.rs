//! The engines there are.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What runs a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineKind {
    /// ONNX Runtime: ONNX files.
    Onnx,
    /// OpenVINO: its own IR, TensorFlow, TFLite and Paddle files, and ONNX files when asked to.
    OpenVino,
    /// libtorch: TorchScript files.
    Torch,
}

impl EngineKind {
    /// Every engine, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Onnx, Self::OpenVino, Self::Torch];

    /// The engine of this name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// The name in settings and descriptors.
    pub fn name(self) -> &'static str {
        match self {
            Self::Onnx => "onnx",
            Self::OpenVino => "openvino",
            Self::Torch => "torch",
        }
    }

    /// The file name of its shared library.
    pub fn library_name(self) -> &'static str {
        match self {
            Self::Onnx => "libonnxruntime.so",
            Self::OpenVino => "libopenvino_c.so",
            Self::Torch => "libtorch_cpu.so",
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
