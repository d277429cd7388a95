//! The subcommand by which this program tries a model version or a record in a process of its own.

use anyhow::Context as _;

use crate::engine::Libraries;
use crate::models;
use crate::repository::Repository;
use crate::safety;
use crate::settings::Settings;

/// What is to be tried.
#[derive(Debug, Clone, PartialEq, Eq, clap::Args)]
pub struct TryModel {
    /// The model's name
    #[arg(long)]
    pub model: String,
    /// Its version
    #[arg(long)]
    pub version: i64,
    /// Memory that this process may take for data
    #[arg(long)]
    pub memory_bytes: u64,
}

/// Loads one version of a model, then runs inputs from standard input and writes the outputs to standard output.
///
/// # Errors
/// When the process that started this one has ended.
pub fn try_model(settings: &Settings, tried: &TryModel) -> anyhow::Result<()> {
    safety::serve(tried.memory_bytes, || {
        let repository = Repository::open(settings)?;
        let found = repository.scan()?;
        let model = found.iter().find(|found| found.name == tried.model);
        let version = model.and_then(|found| found.find(tried.version));
        let source = repository.fetch(
            &tried.model,
            version.context("the version is not there any more")?,
        )?;
        models::load_one(&source, &Libraries::new(&settings.engine))
    })
}
