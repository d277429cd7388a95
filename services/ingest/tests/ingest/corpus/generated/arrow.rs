//! Arrow bodies: truncated at every byte.

use millrace_wire::{DType, Tensor, encode_tensors};

use crate::client::request;

const INFER: &str = "/v2/models/m/infer";
const ARROW: &str = "Content-Type: application/vnd.apache.arrow.stream";

/// The requests of a row of H53 to H63.
pub(super) fn requests(name: &str) -> Option<Vec<Vec<u8>>> {
    match name {
        "H54-truncated-anywhere" => Some(truncated()),
        _ => None,
    }
}

/// A good message for `m`, cut off before every one of its bytes.
fn truncated() -> Vec<Vec<u8>> {
    let values = vec![1.0_f32, 2.0, 3.0, 4.0];
    let row = Tensor::fixed("x", DType::Float32, vec![1, 4], values.into()).unwrap();
    let message = encode_tensors(&[row]).unwrap();
    let cut = |length: usize| request("POST", INFER, &[ARROW], &message[..length]);
    (0..message.len()).map(cut).collect()
}
