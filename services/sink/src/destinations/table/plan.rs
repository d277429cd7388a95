//! What a pipeline wants of its table, and the columns that every table has.

use std::fmt;

use arrow::datatypes::{DataType, Field, Schema};

use super::names::{self, Rules};
use super::rejected;
use crate::destinations::WriteError;

/// Where a row comes from; together they name it for good.
pub(crate) const PLACE: [&str; 4] = ["topic", "partition", "offset", "row"];

/// A table as the settings want it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// Names the rows of this pipeline in the progress table.
    pub(crate) pipeline: String,
    pub(crate) table: TableName,
    pub(crate) mode: Mode,
    /// Whether a missing table is made.
    pub(crate) create: bool,
    /// Whether columns are added for outputs that have none.
    pub(crate) evolve: bool,
    /// Whether new columns for lists of floats are vectors of pgvector.
    pub(crate) vectors: bool,
    /// Whether an instance becomes several rows, which then share their place.
    pub(crate) repeats_places: bool,
}

/// What happens to a row that is there already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Every result is a row of its own.
    Insert,
    /// The newest result of a key replaces the others.
    Upsert { key: Vec<String> },
}

/// A table, in a schema or database of its own if that is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableName {
    pub(crate) schema: Option<String>,
    pub(crate) name: String,
}

impl TableName {
    /// `table` or `schema.table`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        let (schema, name) = match parts.as_slice() {
            [name] => (None, *name),
            [schema, name] => (Some((*schema).to_owned()), *name),
            _ => return None,
        };
        let usable = |part: &str| !part.is_empty() && part.len() <= 63 && !part.contains('\0');
        let all = usable(name) && schema.as_deref().is_none_or(usable);
        all.then(|| Self {
            schema,
            name: name.to_owned(),
        })
    }

    /// Another table beside this one.
    pub(crate) fn beside(&self, name: &str) -> Self {
        Self {
            schema: self.schema.clone(),
            name: name.to_owned(),
        }
    }

    /// As SQL, each part in the given quotes.
    pub(crate) fn quoted(&self, mark: char) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema, mark), quoted(&self.name, mark)),
            None => quoted(&self.name, mark),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(formatter, "{schema}.{}", self.name),
            None => formatter.write_str(&self.name),
        }
    }
}

/// An identifier of SQL: between marks, with the marks inside it doubled.
pub(crate) fn quoted(name: &str, mark: char) -> String {
    let doubled = name.replace(mark, &format!("{mark}{mark}"));
    format!("{mark}{doubled}{mark}")
}

/// The identifiers, separated by commas.
pub(crate) fn quoted_list<'a>(names: impl IntoIterator<Item = &'a str>, mark: char) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| quoted(name, mark)).collect();
    quoted.join(", ")
}

impl Plan {
    /// The columns that tell rows apart: the key of an upsert, else the place; none if even that does not.
    pub(crate) fn identity(&self) -> Vec<&str> {
        match &self.mode {
            Mode::Insert if self.repeats_places => Vec::new(),
            Mode::Insert => PLACE.to_vec(),
            Mode::Upsert { key } => key.iter().map(String::as_str).collect(),
        }
    }

    /// The names of the columns of a batch, and which of them the table lacks.
    ///
    /// # Errors
    /// Columns are missing and may not be added.
    pub(crate) fn match_columns(
        &self,
        schema: &Schema,
        rules: &Rules,
        known: &Known<'_>,
    ) -> Result<(Vec<String>, Vec<usize>), WriteError> {
        let names = names::column_names(schema, rules);
        let is_missing = |index: &usize| !(known.has)(&names[*index]);
        let missing: Vec<usize> = (0..names.len()).filter(is_missing).collect();
        if let (Some(&first), false) = (missing.first(), self.evolve || known.has_no_output) {
            return Err(rejected(format!(
                "table {} has no column {:?}, and evolve is off",
                self.table, names[first]
            )));
        }
        Ok((names, missing))
    }
}

/// What is known of the columns of the table.
pub(crate) struct Known<'a> {
    pub(crate) has: &'a dyn Fn(&str) -> bool,
    /// The table was made by us and has met no outputs yet: the first ones shape it.
    pub(crate) has_no_output: bool,
}

/// The sentence for a field that its column cannot hold.
pub(crate) fn other_type(plan: &Plan, column: &str, has: &str, field: &Field) -> WriteError {
    rejected(format!(
        "column {column:?} of table {} is {has}, the result has {}",
        plan.table,
        describe(field.data_type())
    ))
}

/// An Arrow type in a few words: `Float32`, `lists of lists of Int64`.
pub(crate) fn describe(data_type: &DataType) -> String {
    let (leaf, rank) = super::lists::leaf_and_rank(data_type);
    format!("{}{leaf}", "lists of ".repeat(rank))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_may_have_a_schema_and_are_quoted() {
        let name = TableName::parse("my data.\"results\"; DROP").unwrap();
        assert_eq!(name.quoted('"'), "\"my data\".\"\"\"results\"\"; DROP\"");
        assert_eq!(
            TableName::parse("results").unwrap().quoted('`'),
            "`results`"
        );
        assert!(
            ["", ".t", "a.b.c", "a\0"]
                .iter()
                .all(|name| TableName::parse(name).is_none())
        );
    }
}
