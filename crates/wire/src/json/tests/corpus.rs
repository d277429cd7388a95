//! The models of the corpus of bad inputs, and the check of its rows.

use super::*;

/// The corpus's models by their input.
pub(super) fn x() -> Signature {
    single(DType::Float32, &[4])
}

pub(super) fn i() -> Signature {
    signature(vec![input("i", DType::Int32, &[2])])
}

pub(super) fn s() -> Signature {
    signature(vec![input("s", DType::String, &[])])
}

pub(super) fn scalar(dtype: DType) -> Signature {
    single(dtype, &[])
}

pub(super) fn two() -> Signature {
    signature(vec![
        input("a", DType::Float32, &[]),
        input("b", DType::Float32, &[]),
    ])
}

/// A signature and the bodies that it must refuse with a sentence holding the fragment.
pub(super) type Row = (&'static str, Signature, Vec<&'static [u8]>, &'static str);

#[track_caller]
pub(super) fn check(rows: Vec<Row>) {
    for (id, signature, bodies, fragment) in rows {
        for body in bodies {
            let sentence = refuse(body, &signature).to_string();
            let shown = String::from_utf8_lossy(body);
            assert!(
                sentence.contains(fragment),
                "{id} {shown}: {sentence:?} lacks {fragment:?}"
            );
        }
    }
}
