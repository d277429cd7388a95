//! Any bytes as a BigDL model, with and without a file of weights; what converts is ONNX that tells its inputs.
#![no_main]

use libfuzzer_sys::fuzz_target;
use millrace_convert::{BigDlFiles, convert_bigdl};

fuzz_target!(|data: &[u8]| {
    // The first two bytes say how much of the rest is the model.
    let (model, weights) = match data {
        [high, low, rest @ ..] => {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            rest.split_at_checked(length).map_or((data, None), |(model, weights)| (model, Some(weights)))
        }
        _ => (data, None),
    };
    for (model, weights) in [(model, weights), (data, None)] {
        let given = BigDlFiles { name: "fuzzed.bigdl", model, weights };
        if let Ok(converted) = convert_bigdl(given, &[]) {
            assert!(!converted.onnx.is_empty() && !converted.report.inputs.is_empty());
        }
    }
});
