//! What can be set of a SQLite table.

use std::path::PathBuf;

use millrace_boot::InvalidSetting;
use serde::{Deserialize, Serialize};

use crate::destinations::table::settings::{TableSettings, WriteMode, default_table, yes};
use crate::settings::invalid;

/// A table in a SQLite database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqliteSettings {
    /// The database file; made if it is not there.
    pub path: PathBuf,
    /// The table.
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
}

impl SqliteSettings {
    pub(crate) fn table(&self) -> TableSettings<'_> {
        TableSettings {
            table: &self.table,
            mode: self.mode,
            key: &self.key,
            create: self.create,
            evolve: self.evolve,
            vectors: false,
        }
    }

    pub(crate) fn place(&self) -> String {
        let path = self.path.display();
        match self.table == default_table() {
            true => format!("the SQLite database {path}"),
            false => format!("table {} of the SQLite database {path}", self.table),
        }
    }

    pub(crate) fn validate(&self, key: &str) -> Result<(), InvalidSetting> {
        if self.path.as_os_str().is_empty() {
            return invalid(key, "path", "is empty; name a database file");
        }
        if self.table.contains('.') {
            let problem = format!("is {:?}; SQLite has no schemas", self.table);
            return invalid(key, "table", problem);
        }
        self.table().validate(key)
    }
}
