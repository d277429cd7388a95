//! What a job is: runs that find parts of another one must not go on with them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Args;
use super::input::fingerprint;
use crate::served::{Choice, Served};

/// Changes when parts are written in another way.
const FORMAT: u32 = 1;

const SIGNATURE: &str = "the model's signature";

/// All that the output depends on; written beside the parts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Job {
    format: u32,
    /// 128 random bits; the ids of all records begin with it.
    pub(super) id: String,
    pub(super) model: String,
    /// The version that answers, from the first row to the last.
    pub(super) version: i64,
    pub(super) rows_per_record: usize,
    /// What must be the same, by what it is called in sentences.
    settings: BTreeMap<String, String>,
}

impl Job {
    /// A job as this command line describes it.
    pub(super) fn new(
        args: &Args,
        served: &Served,
        rows_per_record: usize,
    ) -> anyhow::Result<Self> {
        let mut settings = settings(args)?;
        let signature = digest(&format!("{:?}", served.signature));
        settings.insert(SIGNATURE.to_owned(), signature);
        Ok(Self {
            format: FORMAT,
            id: format!("{:032x}", rand::random::<u128>()),
            model: served.model.clone(),
            version: served.version,
            rows_per_record,
            settings,
        })
    }

    /// Whether this command line means this job, as far as that is known without asking the line.
    ///
    /// # Errors
    /// As those of [`Self::check_same`].
    pub(super) fn check_meant(&self, args: &Args, folder: &Path) -> anyhow::Result<()> {
        let mut settings = settings(args)?;
        let signature = self.settings.get(SIGNATURE).cloned();
        settings.insert(SIGNATURE.to_owned(), signature.unwrap_or_default());
        let meant = Self {
            model: args.model.name.clone(),
            version: match args.model.choice {
                Choice::Version(version) => version,
                Choice::Newest | Choice::Label(_) => self.version,
            },
            rows_per_record: args
                .rows_per_record
                .map_or(self.rows_per_record, usize::from),
            format: FORMAT,
            id: self.id.clone(),
            settings,
        };
        self.check_same(&meant, folder)
    }

    /// Whether parts of this job are parts of `other`, too.
    ///
    /// # Errors
    /// They are not; the sentence says what differs and what to do.
    pub(super) fn check_same(&self, other: &Self, folder: &Path) -> anyhow::Result<()> {
        let mut differing: Vec<String> = Vec::new();
        if self.format != other.format {
            differing.push("this tool writes parts in another way".to_owned());
        }
        if (&self.model, self.version) != (&other.model, other.version) {
            differing.push(format!(
                "the model was {} version {}, now it is {} version {}",
                self.model, self.version, other.model, other.version
            ));
        }
        if self.rows_per_record != other.rows_per_record {
            differing.push(format!(
                "--rows-per-record was {}, now it is {}",
                self.rows_per_record, other.rows_per_record
            ));
        }
        for (name, value) in &self.settings {
            if other.settings.get(name) != Some(value) {
                differing.push(format!("{name} has changed"));
            }
        }
        if differing.is_empty() {
            return Ok(());
        }
        bail!(
            "{} holds rows of another run: {}. Give what that run was given to go on with it, or --restart to throw its rows away",
            folder.display(),
            differing.join("; ")
        )
    }
}

/// What flags and input say, by what it is called in sentences.
fn settings(args: &Args) -> anyhow::Result<BTreeMap<String, String>> {
    let settings = [
        ("the input", fingerprint(&args.input)?),
        (
            "--input-format, --map, or what is done with images",
            digest(&format!("{:?}", args.rows)),
        ),
        ("--keep", args.keep.join(",")),
        ("--output-prefix", args.output_prefix.clone()),
        ("--error-column", args.error_column.clone()),
        ("the format of --out", extension(&args.out)),
    ];
    Ok(settings
        .map(|(name, value)| (name.to_owned(), value))
        .into())
}

fn extension(path: &Path) -> String {
    path.extension()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase()
}

fn digest(text: &str) -> String {
    let bytes = Sha256::digest(text);
    bytes
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job() -> Job {
        Job {
            format: FORMAT,
            id: "0".to_owned(),
            model: "digits".to_owned(),
            version: 1,
            rows_per_record: 256,
            settings: [("the input".to_owned(), "a".to_owned())].into(),
        }
    }

    #[test]
    fn only_the_same_job_goes_on() {
        let folder = Path::new("out.parquet.parts");
        let again = Job {
            id: "1".to_owned(),
            ..job()
        };
        job().check_same(&again, folder).unwrap();
        let newer = Job {
            version: 2,
            settings: [("the input".to_owned(), "b".to_owned())].into(),
            ..job()
        };
        let sentence = job().check_same(&newer, folder).unwrap_err().to_string();
        for part in [
            "digits version 1, now it is digits version 2",
            "the input has changed",
            "--restart",
        ] {
            assert!(sentence.contains(part), "{sentence}");
        }
    }
}
