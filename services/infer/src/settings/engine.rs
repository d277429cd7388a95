//! How engines compute, and where their libraries are.

use std::path::{Path, PathBuf};
use std::time::Duration;

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

use super::at_least;

/// How engines compute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineSettings {
    /// Path of `libonnxruntime.so`, the same as `engine.onnx.library`, which goes before it.
    pub library: Option<PathBuf>,
    /// Threads that compute one batch. For large models the number of cores, for small ones 1.
    pub threads: usize,
    /// Batches computed at the same time; each has a session and a copy of the weights.
    pub instances: usize,
    /// What computes, the first that can: the others take what it cannot. ONNX Runtime only.
    pub providers: Vec<Provider>,
    /// A run that takes longer hangs: the process ends, and the records that were running are tried apart afterwards.
    #[serde(with = "humantime_serde")]
    pub max_run_time: Duration,
    /// The same for loading a model version.
    #[serde(with = "humantime_serde")]
    pub max_load_time: Duration,
    /// Memory for the process in which records and loads are tried that may have ended this one. Without it, three
    /// quarters of the machine's, or of the container's.
    pub max_trial_bytes: Option<u64>,
    /// ONNX Runtime.
    pub onnx: OnnxSettings,
    /// OpenVINO.
    pub openvino: OpenVinoSettings,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            library: None,
            threads: 1,
            instances: 1,
            providers: vec![Provider::Cpu],
            max_run_time: Duration::from_secs(10 * 60),
            max_load_time: Duration::from_secs(60 * 60),
            max_trial_bytes: None,
            onnx: OnnxSettings::default(),
            openvino: OpenVinoSettings::default(),
        }
    }
}

/// An execution provider of ONNX Runtime. All but `cpu` need a library that was built with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    /// The processor.
    Cpu,
    /// NVIDIA's CUDA and cuDNN.
    Cuda,
    /// NVIDIA's TensorRT.
    TensorRt,
}

impl Provider {
    /// The name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::TensorRt => "tensorrt",
        }
    }
}

/// What only ONNX Runtime knows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OnnxSettings {
    /// Path of `libonnxruntime.so`; without it the one beside the program is taken, then the system loader's.
    pub library: Option<PathBuf>,
    /// Libraries of operators that models may use, for every model. Only here and never in a model's own `model.toml`:
    /// whoever may add a model must not add native code.
    pub custom_ops: Vec<PathBuf>,
    /// How much the graph is rewritten when a model is loaded.
    pub optimization: Optimization,
    /// Whether threads without work spin. Faster where the cores have nothing else to do; here they poll, encode and
    /// send.
    pub spinning: bool,
}

/// How much ONNX Runtime rewrites a graph.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimization {
    /// Not at all.
    Disabled,
    /// Constants and what is not needed.
    Basic,
    /// Also fusions of nodes.
    Extended,
    /// Also layouts.
    #[default]
    All,
}

/// What only OpenVINO knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenVinoSettings {
    /// Path of `libopenvino_c.so`; without it the one beside the program is taken, then one that is installed.
    pub library: Option<PathBuf>,
    /// The device, as OpenVINO names it.
    pub device: String,
    /// What OpenVINO tunes for.
    pub hint: OpenVinoHint,
    /// What it computes floats with: `f32`, or `bf16` and `f16` where the processor is faster with them, which changes
    /// answers in the third digit.
    pub precision: String,
    /// Streams of one instance; 1 when not set, since every instance runs one batch at a time.
    pub streams: Option<usize>,
}

impl Default for OpenVinoSettings {
    fn default() -> Self {
        Self {
            library: None,
            device: "CPU".to_owned(),
            hint: OpenVinoHint::default(),
            precision: "f32".to_owned(),
            streams: None,
        }
    }
}

/// OpenVINO's performance hint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpenVinoHint {
    /// One batch as fast as can be.
    #[default]
    Latency,
    /// Many batches at once.
    Throughput,
}

impl EngineSettings {
    /// Path of `libonnxruntime.so`, from whichever of its two keys is set.
    pub fn onnx_library(&self) -> Option<&Path> {
        self.onnx.library.as_deref().or(self.library.as_deref())
    }

    /// The first value that cannot be; `section` is where it stands.
    pub(crate) fn validate(&self, section: &str) -> Result<(), InvalidSetting> {
        at_least(&format!("{section}.threads"), self.threads, 1)?;
        at_least(&format!("{section}.instances"), self.instances, 1)?;
        if let Some(streams) = self.openvino.streams {
            at_least(&format!("{section}.openvino.streams"), streams, 1)?;
        }
        for (name, limit) in [
            ("max_run_time", self.max_run_time),
            ("max_load_time", self.max_load_time),
        ] {
            if limit < Duration::from_millis(100) {
                let key = format!("{section}.{name}");
                return Err(InvalidSetting::new(key, "must be at least 100ms"));
            }
        }
        if self.providers.is_empty() {
            let key = format!("{section}.providers");
            return Err(InvalidSetting::new(key, "is empty; the least is [\"cpu\"]"));
        }
        Ok(())
    }
}
