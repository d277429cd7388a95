//! Execution providers: what `engine.providers` names, registered in its order.

use ort::ep::{CUDA, ExecutionProvider, TensorRT};
use ort::session::builder::SessionBuilder;

use crate::engine::LoadError;
use crate::settings::Provider;

/// Registers the providers; the processor takes what they cannot compute, as it always does.
///
/// # Errors
/// [`LoadError::Provider`] names the first that the library was built without, or whose own libraries are missing.
pub(super) fn register(
    mut builder: SessionBuilder,
    providers: &[Provider],
) -> Result<SessionBuilder, LoadError> {
    for provider in providers {
        let outcome = match provider {
            Provider::Cpu => Ok(()),
            Provider::Cuda => add(&CUDA::default(), &mut builder),
            Provider::TensorRt => add(&TensorRT::default(), &mut builder),
        };
        outcome.map_err(|source| LoadError::Provider {
            provider: provider.name(),
            source: Box::new(source),
        })?;
    }
    Ok(builder)
}

fn add<P: ExecutionProvider>(provider: &P, builder: &mut SessionBuilder) -> ort::Result<()> {
    if !P::is_available()? {
        return Err(ort::Error::new(format!("{} is not in it", P::NAME)));
    }
    provider.register(builder)
}
