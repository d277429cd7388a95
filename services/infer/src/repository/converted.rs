//! Models that no engine reads become ONNX once, and lie in the cache under the hash of their files from then on.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use millrace_convert::onnx::{Dim, Shape};
use millrace_convert::{REVISION, convert_folder_as};
use millrace_wire::Signature;
use sha2::{Digest, Sha256};
use tracing::info;

use super::cache::{Cache, Cached};
use super::local::unreadable;
use super::{ModelError, digest, sums};

/// The model that was made, in the folder that it lies in.
pub(super) const MADE: &str = "converted.onnx";

/// Where converted models are kept.
#[derive(Debug)]
pub(super) struct Conversions {
    cache: Cache,
}

impl Conversions {
    pub(super) fn new(folder: &Path, limit_bytes: u64) -> Self {
        Self {
            cache: Cache::new(folder, limit_bytes),
        }
    }

    /// The model of this folder as ONNX: out of the cache if its files, whose hash is `sha256`, were converted before
    /// for these shapes.
    pub(super) fn kept(
        &self,
        (folder, sha256): (&Path, &str),
        shapes: &[Shape],
    ) -> Result<Cached, ModelError> {
        let key = format!("converted {REVISION}\n{sha256}\n{shapes:?}");
        let key = digest::hex(&Sha256::digest(key));
        if let Some(cached) = self.cache.get(&key)? {
            let (digests, _) = digest::all(&cached.folder, &[MADE.to_owned()])?;
            if digests == cached.sums {
                return Ok(cached);
            }
            drop(cached);
            self.cache.remove(&key)?;
        }
        let onnx = converted(folder, shapes)?;
        let size_bytes = u64::try_from(onnx.len()).unwrap_or(u64::MAX);
        self.cache.add(&key, size_bytes, |into| {
            write(into, &onnx)?;
            let mut sums = sums::Sums::new();
            sums.insert(MADE.to_owned(), Sha256::digest(&onnx).into());
            Ok(sums)
        })
    }
}

/// Converts the model of a folder into the same folder: what was encrypted is not left in a cache.
pub(super) fn beside(folder: &Path, shapes: &[Shape]) -> Result<PathBuf, ModelError> {
    write(folder, &converted(folder, shapes)?)
}

/// Shapes of the inputs that `model.toml` declares, the batch first; empty if it declares none.
pub(super) fn shapes(declared: Option<&Signature>) -> Vec<Shape> {
    let Some(signature) = declared else {
        return Vec::new();
    };
    let dim = |size: &Option<usize>| match size.map(u64::try_from) {
        Some(Ok(size)) => Dim::Fixed(size),
        _ => Dim::Open,
    };
    let shape = |sizes: &[Option<usize>]| {
        let row = sizes.iter().skip(1).map(dim);
        Shape(std::iter::once(Dim::Batch).chain(row).collect())
    };
    let inputs = signature.inputs.iter();
    inputs.map(|input| shape(&input.shape)).collect()
}

fn converted(folder: &Path, shapes: &[Shape]) -> Result<Vec<u8>, ModelError> {
    let converted = convert_folder_as(folder, shapes).map_err(|source| ModelError::Convert {
        place: folder.display().to_string(),
        source: Arc::new(source),
    })?;
    info!(
        folder = %folder.display(),
        layers = converted.report.layers.len(),
        bytes = converted.onnx.len(),
        "converted to ONNX"
    );
    Ok(converted.onnx)
}

fn write(folder: &Path, onnx: &[u8]) -> Result<PathBuf, ModelError> {
    let file = folder.join(MADE);
    fs::write(&file, onnx).map_err(unreadable(&file))?;
    Ok(file)
}
