//! What can be set of a table, in whatever database.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

use super::address::{Address, AddressError};
use super::plan::{Mode, Plan, TableName};
use crate::settings::{PipelineSettings, TopForm, invalid};

/// A table on a database server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// `postgresql://user:password@host/database` or `mysql://…`; TLS by `sslmode` and `sslrootcert`.
    pub url: Option<Secret>,
    /// A file that holds the URL, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// The table, or `schema.table`.
    #[serde(default = "default_table")]
    pub table: String,
    /// What happens to a row that is there already.
    #[serde(default)]
    pub mode: WriteMode,
    /// The columns by which an upsert finds the row to replace.
    #[serde(default)]
    pub key: Vec<String>,
    /// Whether a missing table is made.
    #[serde(default = "yes")]
    pub create: bool,
    /// Whether columns are added for outputs that have none. Types are never changed.
    #[serde(default = "yes")]
    pub evolve: bool,
    /// Whether new columns for lists of floats are vectors of pgvector; PostgreSQL only.
    #[serde(default)]
    pub vectors: bool,
}

/// What all tables have in common.
pub(crate) struct TableSettings<'a> {
    pub(crate) table: &'a str,
    pub(crate) mode: WriteMode,
    pub(crate) key: &'a [String],
    pub(crate) create: bool,
    pub(crate) evolve: bool,
    pub(crate) vectors: bool,
}

/// What happens to a row that is there already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WriteMode {
    /// Every result is a row of its own.
    #[default]
    Insert,
    /// The newest result of a key replaces the others.
    Upsert,
}

/// A text that is never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"…\"")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

pub(crate) fn default_table() -> String {
    "results".to_owned()
}

pub(crate) fn yes() -> bool {
    true
}

impl ServerSettings {
    pub(crate) fn table(&self) -> TableSettings<'_> {
        TableSettings {
            table: &self.table,
            mode: self.mode,
            key: &self.key,
            create: self.create,
            evolve: self.evolve,
            vectors: self.vectors,
        }
    }

    pub(crate) fn address(&self, schemes: &[&'static str]) -> Result<Address, AddressError> {
        let url = self.url.as_ref().map(|secret| secret.0.as_str());
        Address::resolve(url, self.url_file.as_deref(), schemes)
    }

    /// What no two pipelines may share, in words and without the password.
    pub(crate) fn place(&self) -> String {
        let host = match (&self.url, &self.url_file) {
            (Some(Secret(url)), _) => {
                let address = url.split('?').next().unwrap_or_default();
                let host = address.rsplit(['@', '/']).take(2).collect::<Vec<_>>();
                host.join(" at ")
            }
            (None, file) => {
                let file = file.as_deref().unwrap_or(Path::new(""));
                format!("the database of {}", file.display())
            }
        };
        format!("table {} of {host}", self.table)
    }

    pub(crate) fn validate(
        &self,
        key: &str,
        schemes: &[&'static str],
    ) -> Result<(), InvalidSetting> {
        match self.address(schemes) {
            // The file may come later than the settings; then the start says so.
            Ok(_) | Err(AddressError::File(..)) => self.table().validate(key),
            Err(error) => invalid(key, "url", format!("cannot be used: {error}")),
        }
    }
}

impl TableSettings<'_> {
    pub(crate) fn validate(&self, key: &str) -> Result<(), InvalidSetting> {
        if TableName::parse(self.table).is_none() {
            let problem = format!("is {:?}; use table or schema.table", self.table);
            return invalid(key, "table", problem);
        }
        match (self.mode, self.key) {
            (WriteMode::Upsert, []) => invalid(key, "key", "is empty; an upsert needs columns"),
            (WriteMode::Insert, [_, ..]) => {
                invalid(key, "key", "is set, and only mode = \"upsert\" uses it")
            }
            _ => Ok(()),
        }
    }

    /// The table as a pipeline wants it.
    ///
    /// # Errors
    /// The name is none; [`Self::validate`] says it earlier and better.
    pub(crate) fn plan(&self, pipeline: &PipelineSettings) -> anyhow::Result<Plan> {
        let top = pipeline.top.as_ref();
        let table = TableName::parse(self.table);
        Ok(Plan {
            pipeline: pipeline.name.clone(),
            table: table.with_context(|| format!("{:?} is no name of a table", self.table))?,
            mode: match self.mode {
                WriteMode::Insert => Mode::Insert,
                WriteMode::Upsert => Mode::Upsert {
                    key: self.key.to_vec(),
                },
            },
            create: self.create,
            evolve: self.evolve,
            vectors: self.vectors,
            repeats_places: top.is_some_and(|top| top.into == TopForm::Rows),
        })
    }
}
