//! One pipeline: topics of results in, rows of a chosen form, one destination out.

use std::collections::BTreeSet;
use std::time::Duration;

use millrace_boot::InvalidSetting;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::{invalid, is_topic_part};
use crate::batch::Roll;
use crate::destinations::Destination;
use crate::projection::fixed;

const LONGEST_OUTAGE: Duration = Duration::from_secs(120);

/// More rows or columns of each result would be the results themselves.
const LARGEST_TOP: usize = 1000;

/// One pipeline: topics of results in, one destination out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PipelineSettings {
    /// Names the consumer group, the progress in a database, and the metrics.
    pub name: String,
    /// Models whose results are read.
    #[serde(default)]
    pub models: Vec<String>,
    /// Further topics of results, by their full names.
    #[serde(default)]
    pub topics: Vec<String>,
    /// Reads all topics whose names match, also those that come later: a regular expression that
    /// begins with `^`, such as `^millrace\.results\.`.
    pub pattern: Option<String>,
    /// The outputs to write, and under which names; all of them if empty.
    #[serde(default)]
    pub columns: Vec<ColumnSettings>,
    /// What becomes of tensors; a single value per row is always a column.
    #[serde(default)]
    pub tensors: TensorForm,
    /// Writes the largest values of an output, with their indices.
    pub top: Option<TopSettings>,
    /// Where rows go.
    pub destination: Destination,
    /// When a file or a transaction is closed.
    #[serde(default)]
    pub roll: RollSettings,
    /// Bytes of records read and not yet written; also bounds the size of a file.
    #[serde(default = "default_in_flight_bytes")]
    pub max_in_flight_bytes: usize,
    /// Records read and not yet written.
    #[serde(default = "default_in_flight_records")]
    pub max_in_flight_records: usize,
    /// How long a full disk or a locked database is waited for before the process gives up.
    #[serde(default = "default_outage", with = "humantime_serde")]
    pub max_outage: Duration,
}

/// An output to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ColumnSettings {
    /// Under its own name.
    Named(String),
    /// Under another name.
    Renamed(Renamed),
}

/// An output and its name in the destination.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Renamed {
    /// The name of the model's output.
    pub name: String,
    /// The name of the column.
    pub r#as: String,
}

/// What becomes of an output with more than one value per row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TensorForm {
    /// Lists, one within another, of any length.
    #[default]
    Array,
    /// Text.
    Json,
    /// One column per element, `scores_0`, `scores_1`, …; the shape must be the same in all rows.
    Columns,
}

/// The largest values of an output: written instead of it, unless `columns` names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopSettings {
    /// The name of the model's output.
    pub column: String,
    /// How many.
    pub n: usize,
    /// Beside each other or below each other.
    #[serde(default, rename = "as")]
    pub into: TopForm,
}

/// How the largest values are laid out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TopForm {
    /// `scores_top1_index`, `scores_top1_value`, `scores_top2_index`, …
    #[default]
    Columns,
    /// A row each, with `rank` (from 1), `scores_index` and `scores_value`.
    Rows,
}

/// A batch is closed at the first of these; what is left out follows the destination.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RollSettings {
    /// Rows in a file or transaction; 100,000 for files, 5,000 for tables.
    pub rows: Option<usize>,
    /// Bytes of records in a file or transaction; 64 MiB for files, 16 MiB for tables.
    pub bytes: Option<usize>,
    /// Age of the oldest record that is waiting; 30 s for files, 200 ms for tables.
    #[serde(with = "humantime_serde")]
    pub age: Option<Duration>,
}

impl ColumnSettings {
    /// The name of the model's output.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Renamed(renamed) => &renamed.name,
        }
    }

    /// The name of the column.
    pub(crate) fn written_as(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::Renamed(renamed) => &renamed.r#as,
        }
    }
}

fn default_in_flight_bytes() -> usize {
    128 << 20
}

fn default_in_flight_records() -> usize {
    200_000
}

fn default_outage() -> Duration {
    Duration::from_secs(60)
}

impl PipelineSettings {
    /// All topics that the pipeline reads.
    pub(crate) fn all_topics(&self, prefix: &str) -> Vec<String> {
        let results = |model: &String| format!("{prefix}.results.{model}");
        let mut topics: BTreeSet<String> = self.models.iter().map(results).collect();
        topics.extend(self.topics.iter().cloned());
        topics.into_iter().collect()
    }

    /// Whether the topic is one of those that the pipeline reads.
    pub(super) fn reads(&self, topic: &str, prefix: &str) -> bool {
        let pattern = self.pattern.as_ref().map(|pattern| Regex::new(pattern));
        self.all_topics(prefix).iter().any(|read| read == topic)
            || matches!(pattern, Some(Ok(pattern)) if pattern.is_match(topic))
    }

    pub(crate) fn roll(&self) -> Roll {
        let default = self.destination.roll();
        Roll {
            rows: self.roll.rows.unwrap_or(default.rows),
            size_bytes: self.roll.bytes.unwrap_or(default.size_bytes),
            age: self.roll.age.unwrap_or(default.age),
        }
    }

    /// The first broken rule; `key` is that of the pipeline.
    pub(super) fn validate(&self, key: &str) -> Result<(), InvalidSetting> {
        if !is_plain(&self.name) {
            let problem = format!("is {:?}; use letters, digits, '-' and '_'", self.name);
            return invalid(key, "name", problem);
        }
        self.validate_topics(key)?;
        self.validate_columns(key)?;
        self.destination.validate(&format!("{key}.destination"))?;
        let roll = self.roll();
        for (field, value) in [
            ("roll.rows", roll.rows),
            ("roll.bytes", roll.size_bytes),
            ("max_in_flight_bytes", self.max_in_flight_bytes),
            ("max_in_flight_records", self.max_in_flight_records),
        ] {
            if value == 0 {
                return invalid(key, field, "is 0; it must be at least 1");
            }
        }
        if self.max_outage > LONGEST_OUTAGE {
            let problem = "is more than 2min; the broker would expel us";
            return invalid(key, "max_outage", problem);
        }
        Ok(())
    }

    fn validate_topics(&self, key: &str) -> Result<(), InvalidSetting> {
        for (field, names) in [("models", &self.models), ("topics", &self.topics)] {
            if let Some(name) = names.iter().find(|name| !is_topic_part(name)) {
                let problem = format!("has {name:?}; use letters, digits, '.', '-' and '_'");
                return invalid(key, field, problem);
            }
        }
        match &self.pattern {
            Some(pattern) if !pattern.starts_with('^') => {
                let problem = format!("is {pattern:?}; it must begin with '^'");
                return invalid(key, "pattern", problem);
            }
            Some(pattern) => {
                if let Err(error) = Regex::new(pattern) {
                    let problem = format!("is no regular expression: {error}");
                    return invalid(key, "pattern", problem);
                }
            }
            None if self.models.is_empty() && self.topics.is_empty() => {
                let problem = "is empty; name a model, a topic in `topics`, or a `pattern`";
                return invalid(key, "models", problem);
            }
            None => {}
        }
        Ok(())
    }

    fn validate_columns(&self, key: &str) -> Result<(), InvalidSetting> {
        let mut names = BTreeSet::new();
        for column in &self.columns {
            let name = column.written_as();
            if name.is_empty() || column.name().is_empty() {
                return invalid(key, "columns", "has an empty name");
            }
            if matches!(column, ColumnSettings::Renamed(_)) && fixed::is_taken(name) {
                let problem = format!("writes {name:?}, which is a column of every row already");
                return invalid(key, "columns", problem);
            }
            if !names.insert(name.to_ascii_lowercase()) {
                return invalid(key, "columns", format!("writes {name:?} twice"));
            }
        }
        match &self.top {
            Some(top) if top.n == 0 || top.n > LARGEST_TOP => {
                let problem = format!("is {}; it must be from 1 to {LARGEST_TOP}", top.n);
                invalid(key, "top.n", problem)
            }
            _ => Ok(()),
        }
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    !name.is_empty() && name.len() <= 64 && name.bytes().all(plain)
}
