//! Tensors to records and back. Each thread remembers the schema of the record
//! before, which most often is that of the next: schemas cost more than a few
//! numbers do.

use std::cell::RefCell;

use millrace_wire::{
    ColumnParts, DecodeError, Decoder, EncodeError, Encoder, Limits, Record, SparseTensor, Tensor,
    TensorSlice,
};

thread_local! {
    static ENCODER: RefCell<Encoder> = RefCell::default();
    static DECODER: RefCell<Option<(Limits, Decoder)>> = const { RefCell::new(None) };
}

/// Encodes whole tensors under their own names as one record.
///
/// # Errors
/// As [`Encoder::encode`].
pub(crate) fn encode(tensors: &[Tensor]) -> Result<Vec<u8>, EncodeError> {
    encode_inputs(tensors, &[])
}

/// The same, with sparse tensors beside the others.
///
/// # Errors
/// As [`Encoder::encode_with_sparse`].
pub(crate) fn encode_inputs(
    tensors: &[Tensor],
    sparse: &[SparseTensor],
) -> Result<Vec<u8>, EncodeError> {
    let columns: Vec<_> = tensors.iter().map(whole).collect();
    ENCODER.with_borrow_mut(|encoder| encoder.encode_with_sparse(&columns, sparse))
}

fn whole(tensor: &Tensor) -> ColumnParts<'_> {
    let rows = 0..tensor.rows();
    ColumnParts {
        name: tensor.name(),
        parts: vec![TensorSlice { tensor, rows }],
    }
}

/// Checks a record against `limits`, the same ones every time.
///
/// # Errors
/// As [`Decoder::decode`].
pub(crate) fn decode(payload: Vec<u8>, limits: &Limits) -> Result<Record, DecodeError> {
    DECODER.with_borrow_mut(|decoder| {
        if decoder.as_ref().is_none_or(|(known, _)| known != limits) {
            *decoder = Some((limits.clone(), Decoder::new(limits.clone())));
        }
        let (_, decoder) = decoder.as_mut().expect("it was set just now");
        decoder.decode(payload)
    })
}
