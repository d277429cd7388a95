//! A new API key: 256 random bits, of which only the SHA-256 is kept.

use std::io::{self, Write};

use anyhow::ensure;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::ValueEnum;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::output::Output;

/// Makes a leaked key recognisable to those who search for them.
const PREFIX: &str = "mr_";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Who will use it: 1 to 64 visible ASCII characters, shown in logs
    name: String,
    /// Models it is for, separated by commas; * stands for any letters
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "*",
        value_name = "PATTERNS"
    )]
    models: Vec<String>,
    /// What it allows, separated by commas
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["predict", "read"])]
    rights: Vec<Right>,
}

#[derive(Clone, Copy, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Right {
    /// Ask for predictions, and fetch their results
    Predict,
    /// See models, their state and signature
    Read,
    /// Load and unload models
    Control,
}

/// One entry of the file, and the key that it stands for.
#[derive(Serialize)]
struct NewKey<'a> {
    key: String,
    name: &'a str,
    sha256: String,
    models: &'a [String],
    rights: &'a [Right],
}

pub(super) fn run(args: &Args, output: Output) -> anyhow::Result<()> {
    let name = &args.name;
    let is_name = (1..=64).contains(&name.len()) && name.bytes().all(|it| it.is_ascii_graphic());
    ensure!(
        is_name,
        "name {name:?} must be 1 to 64 visible ASCII characters"
    );
    let key = format!(
        "{PREFIX}{}",
        URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
    );
    let made = NewKey {
        sha256: hex(&Sha256::digest(key.as_bytes())),
        key,
        name,
        models: &args.models,
        rights: &args.rights,
    };
    let mut out = io::stdout().lock();
    match output {
        Output::Json => writeln!(out, "{}", serde_json::to_string_pretty(&made)?)?,
        Output::Text => out.write_all(text(&made)?.as_bytes())?,
    }
    Ok(())
}

/// The key, and its entry as TOML; JSON's texts and lists are TOML's too.
fn text(made: &NewKey<'_>) -> serde_json::Result<String> {
    Ok(format!(
        "{}\n\n\
         # The line above is the key: give it to the caller, it is kept nowhere.\n\
         # Add what follows to the file that access.api_keys names.\n\
         [[keys]]\nname = {}\nsha256 = {}\nmodels = {}\nrights = {}\n",
        made.key,
        serde_json::to_string(made.name)?,
        serde_json::to_string(&made.sha256)?,
        serde_json::to_string(made.models)?,
        serde_json::to_string(made.rights)?,
    ))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_names_the_key_by_its_digest_only() {
        let key = "mr_secret".to_owned();
        let made = NewKey {
            sha256: hex(&Sha256::digest(key.as_bytes())),
            key,
            name: "checkout",
            models: &["fraud-*".to_owned()],
            rights: &[Right::Predict],
        };
        let text = text(&made).unwrap();
        let (first, entry) = text.split_once('\n').unwrap();
        assert_eq!(first, "mr_secret");
        assert!(!entry.contains("mr_secret"));
        assert!(entry.contains(r#"models = ["fraud-*"]"#), "{entry}");
        assert!(entry.contains(r#"rights = ["predict"]"#), "{entry}");
        // What `printf mr_secret | sha256sum` prints.
        let digest = "159739cf09bc51e57bb7e7ecb5aa22d440cd25cd83f2aee69c77bb3c31124fbd";
        assert!(entry.contains(digest), "{entry}");
    }
}
