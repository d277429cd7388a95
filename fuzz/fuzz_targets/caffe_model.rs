//! Any bytes as the two files of a Caffe model: its text, a zero byte, its weights. What is taken becomes ONNX.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_convert::{CaffeFiles, convert_caffe};

fuzz_target!(|data: &[u8]| {
    let end = data.iter().position(|&byte| byte == 0).unwrap_or(data.len());
    let converted = convert_caffe(CaffeFiles {
        net_name: "deploy.prototxt".to_owned(),
        net: String::from_utf8_lossy(&data[..end]).into_owned(),
        weights_name: "weights.caffemodel".to_owned(),
        weights: data.get(end + 1..).unwrap_or_default().to_vec(),
    });
    if let Ok(converted) = converted {
        assert!(!converted.report.outputs.is_empty());
    }
});
