//! Reads a service's settings: its defaults, then a TOML file, then the environment, then `--set`.

mod error;
mod layers;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use config::Source;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use error::{InvalidSetting, SettingsError};
use layers::Layer;

/// The flags that every Millrace process has; `#[command(flatten)]` them into the service's own.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct CommonArgs {
    /// Read settings from this TOML file
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one setting, over the file and the environment; may be repeated
    #[arg(long, value_name = "KEY.PATH=VALUE")]
    pub set: Vec<String>,
    /// Read and check the settings, then exit
    #[arg(long)]
    pub check_config: bool,
    /// Ask the process that runs with these settings whether it is ready, then exit
    #[arg(long)]
    pub ready: bool,
}

/// Rules between settings, or of one setting, that its type does not express.
pub trait Validate {
    /// The first broken rule; the error names the key as it is written in the file.
    fn validate(&self) -> Result<(), InvalidSetting>;
}

/// Loads and validates settings.
///
/// Later sources win, key by key: `T::default()`, `args.config`, the environment, `args.set`. A list is replaced as a
/// whole. In the environment, `MILLRACE_BATCH__MAX_ROWS` is `batch.max_rows`; an empty variable counts as unset. In
/// variables and `--set`, a value for a list is `a,b` or TOML's `["a", "b"]`, a table is TOML's `{ a = 1 }`, and the
/// path goes on after a map of free keys: `--set kafka.options.sasl.username=me`,
/// `MILLRACE_KAFKA__OPTIONS__SASL__USERNAME=me`.
///
/// # Errors
/// An unreadable or malformed file, an unknown key, a value of the wrong type, a rule of `T::validate`. Each names the
/// key and where it was set; values that could be secrets are never quoted.
pub fn load<T>(args: &CommonArgs) -> Result<T, SettingsError>
where
    T: DeserializeOwned + Serialize + Default + Validate,
{
    load_with(args, std::env::vars_os())
}

/// What a process says to `--check-config` once [`load`] has succeeded.
///
/// # Errors
/// When standard output cannot be written.
pub fn confirm_valid(service: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{service}: the settings are valid")
}

fn load_with<T>(
    args: &CommonArgs,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<T, SettingsError>
where
    T: DeserializeOwned + Serialize + Default + Validate,
{
    let defaults = toml::Table::try_from(T::default()).map_err(SettingsError::Defaults)?;
    let mut layers = vec![Layer::defaults(&defaults)];
    if let Some(path) = &args.config {
        layers.push(Layer::file(path)?);
    }
    for (name, value) in environment {
        layers.extend(Layer::variable(&name, &value, &defaults)?);
    }
    for assignment in &args.set {
        layers.push(Layer::flag(assignment, &defaults)?);
    }
    let settings: T = merge(&layers)?;
    settings.validate()?;
    Ok(settings)
}

/// Reads the settings anew after each layer, so that an error can name the layer that brought it.
fn merge<T: DeserializeOwned + Default>(layers: &[Layer]) -> Result<T, SettingsError> {
    let mut merged = config::Value::from(config::Map::<String, config::Value>::new());
    let mut settings = T::default();
    for layer in layers {
        layer
            .collect_to(&mut merged)
            .and_then(|()| merged.clone().try_deserialize())
            .map(|read| settings = read)
            .map_err(|error| SettingsError::of_layer(error, &layer.origin))?;
    }
    Ok(settings)
}

#[cfg(test)]
mod tests;
