//! The tables of the SQLite database: made, checked, and widened when outputs grow.

use std::collections::HashMap;

use anyhow::anyhow;
use arrow::datatypes::{DataType, Field, Schema};
use rusqlite::{Connection, Result};

use super::classify;
use crate::destinations::WriteError;
use crate::destinations::table::lists;
use crate::destinations::table::names::Rules;
use crate::destinations::table::plan::{self, Known, Mode, Plan, quoted, quoted_list};
use crate::destinations::table::rejected;

pub(super) const RULES: Rules = Rules {
    longest_bytes: 1_000,
    folds_case: true,
    reserved: &[],
    astral: true,
};

const PROGRESS: &str = "
CREATE TABLE IF NOT EXISTS millrace_progress (
    pipeline TEXT NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    owner_epoch INTEGER NOT NULL,
    PRIMARY KEY (pipeline, topic, partition)
)";

/// What columns were called when all outputs stood in one of them.
const FORMER_NAMES: [(&str, &str); 5] = [
    ("source_topic", "topic"),
    ("source_partition", "partition"),
    ("source_offset", "offset"),
    ("instance", "row"),
    ("recorded_at_unix_ms", "recorded_at"),
];

/// Declared types of the columns, by their names in lower case.
pub(super) struct Layout {
    columns: HashMap<String, String>,
}

/// Reads what there is; `None` if there is no such table.
pub(super) fn inspect(connection: &Connection, plan: &Plan) -> Result<Option<Layout>> {
    let mut query = connection.prepare_cached("SELECT name, type FROM pragma_table_info(?1)")?;
    let rows = query.query_map([&plan.table.name], |row| {
        let name: String = row.get(0)?;
        Ok((RULES.fold(&name), row.get(1)?))
    })?;
    let columns = rows.collect::<Result<HashMap<String, String>>>()?;
    Ok((!columns.is_empty()).then_some(Layout { columns }))
}

/// Makes the tables that are missing, if that is wanted, and checks those that are there.
///
/// # Errors
/// The table is missing and not to be made, or lacks a column, or has one of another type.
pub(super) fn prepare(
    connection: &Connection,
    plan: &Plan,
    fixed: &Schema,
) -> Result<(), WriteError> {
    connection.execute_batch(PROGRESS).map_err(classify)?;
    if inspect(connection, plan).map_err(classify)?.is_none() {
        if !plan.create {
            return Err(missing(plan));
        }
        connection
            .execute_batch(&create_statement(plan, fixed))
            .map_err(classify)?;
    }
    rename_former(connection, plan).map_err(classify)?;
    let layout = inspect(connection, plan).map_err(classify)?;
    check(&layout.ok_or_else(|| missing(plan))?, plan, fixed)
}

/// Whether the table can take our rows, column by column.
pub(super) fn check(layout: &Layout, plan: &Plan, fixed: &Schema) -> Result<(), WriteError> {
    for field in fixed.fields() {
        let problem = match layout.columns.get(field.name()) {
            // A table of the former form is renamed at the start.
            None if layout.is_former(field.name()) => continue,
            None => format!("has no column {:?}", field.name()),
            Some(declared) if !fits(field, declared) => format!(
                "has column {:?} of type {declared}, and the sink writes {} there",
                field.name(),
                plan::describe(field.data_type())
            ),
            Some(_) => continue,
        };
        return Err(fatal(plan, &problem));
    }
    Ok(())
}

impl Layout {
    fn is_former(&self, name: &str) -> bool {
        let former = FORMER_NAMES.iter().find(|(_, now)| *now == name);
        former.is_some_and(|(former, _)| self.columns.contains_key(*former))
    }
}

/// The sentence for a table that is missing and not to be made.
pub(super) fn missing(plan: &Plan) -> WriteError {
    fatal(plan, "is not there, and create is off")
}

/// Finds the column of every field; adds those that are missing where that is wanted. To be
/// called in a transaction.
///
/// # Errors
/// [`WriteError::Rejected`] for a batch that the table cannot hold.
pub(super) fn fit(
    connection: &Connection,
    plan: &Plan,
    (fixed, schema): (&Schema, &Schema),
) -> Result<Vec<String>, WriteError> {
    let layout = inspect(connection, plan).map_err(classify)?;
    let layout = layout.ok_or_else(|| missing(plan))?;
    let has = |name: &str| layout.columns.contains_key(&RULES.fold(name));
    let known = Known {
        has: &has,
        has_no_output: layout.columns.len() <= fixed.fields().len(),
    };
    let (names, missing) = plan.match_columns(schema, &RULES, &known)?;
    for &index in &missing {
        let field = schema.field(index);
        let declared = declaration(field).ok_or_else(|| no_type(field))?;
        let statement = format!(
            "ALTER TABLE {} ADD COLUMN {} {declared}",
            quoted(&plan.table.name, '"'),
            quoted(&names[index], '"')
        );
        // What is refused here is the name or the number of columns.
        let added = connection.execute_batch(&statement);
        added.map_err(|error| match classify(error) {
            WriteError::Fatal(cause) => rejected(cause.to_string()),
            other => other,
        })?;
    }
    ensure_key(connection, plan)?;
    for (field, name) in schema.fields().iter().zip(&names) {
        match layout.columns.get(&RULES.fold(name)) {
            Some(declared) if !fits(field, declared) => {
                return Err(plan::other_type(plan, name, declared, field));
            }
            _ => {}
        }
    }
    Ok(names)
}

/// The statement that inserts a row, or replaces that of the same key.
pub(super) fn insert_statement(plan: &Plan, names: &[String]) -> String {
    let columns = quoted_list(names.iter().map(String::as_str), '"');
    let marks = vec!["?"; names.len()].join(", ");
    let table = quoted(&plan.table.name, '"');
    let mut statement = format!("INSERT INTO {table} ({columns}) VALUES ({marks})");
    if let Mode::Upsert { key } = &plan.mode {
        let others = names.iter().filter(|name| !key.contains(name));
        let updates: Vec<String> = others
            .map(|name| format!("{0} = excluded.{0}", quoted(name, '"')))
            .collect();
        let key = quoted_list(key.iter().map(String::as_str), '"');
        statement.push_str(&format!(
            " ON CONFLICT ({key}) DO UPDATE SET {}",
            updates.join(", ")
        ));
    }
    statement
}

fn create_statement(plan: &Plan, fixed: &Schema) -> String {
    let line = |field: &Field| {
        let not_null = if field.is_nullable() { "" } else { " NOT NULL" };
        let declared = declaration(field).unwrap_or_default();
        format!("{} {declared}{not_null}", quoted(field.name(), '"'))
    };
    let mut lines: Vec<String> = fixed.fields().iter().map(|field| line(field)).collect();
    let identity = plan.identity();
    let known = identity
        .iter()
        .all(|name| fixed.column_with_name(name).is_some());
    if known && !identity.is_empty() {
        lines.push(format!("PRIMARY KEY ({})", quoted_list(identity, '"')));
    }
    let table = quoted(&plan.table.name, '"');
    format!("CREATE TABLE IF NOT EXISTS {table} ({})", lines.join(", "))
}

/// A key may name outputs, which have columns only now.
fn ensure_key(connection: &Connection, plan: &Plan) -> Result<(), WriteError> {
    let Mode::Upsert { key } = &plan.mode else {
        return Ok(());
    };
    let statement = format!(
        "CREATE UNIQUE INDEX IF NOT EXISTS {} ON {} ({})",
        quoted(&format!("{}_key_{}", plan.table.name, key.join("_")), '"'),
        quoted(&plan.table.name, '"'),
        quoted_list(key.iter().map(String::as_str), '"')
    );
    connection.execute_batch(&statement).map_err(classify)
}

fn rename_former(connection: &Connection, plan: &Plan) -> Result<()> {
    let layout = inspect(connection, plan)?;
    let is_former = |layout: &Layout| layout.columns.contains_key("source_topic");
    if !layout.as_ref().is_some_and(is_former) {
        return Ok(());
    }
    tracing::info!(table = %plan.table, "giving the columns of an earlier version their new names");
    let table = quoted(&plan.table.name, '"');
    let mut statements = String::from("BEGIN IMMEDIATE;");
    for (former, name) in FORMER_NAMES {
        let (former, name) = (quoted(former, '"'), quoted(name, '"'));
        statements.push_str(&format!(
            "ALTER TABLE {table} RENAME COLUMN {former} TO {name};"
        ));
    }
    let renamed = connection.execute_batch(&format!("{statements}COMMIT"));
    if renamed.is_err() {
        connection.execute_batch("ROLLBACK")?;
    }
    renamed
}

/// The declared type of a new column. It decides what SQLite converts: text never becomes a
/// number; a column of 64 unsigned bits has no type, so that nothing is rounded.
fn declaration(field: &Field) -> Option<&'static str> {
    Some(match field.data_type() {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32
        | DataType::Timestamp(..) => "INTEGER",
        DataType::UInt64 => "",
        DataType::Float16 | DataType::Float32 | DataType::Float64 => "REAL",
        DataType::Utf8 => "TEXT",
        DataType::Binary => "BLOB",
        data_type if lists::leaf_and_rank(data_type).1 > 0 => "JSON TEXT",
        _ => return None,
    })
}

/// Whether the column keeps all values of the field as they are (<https://sqlite.org/datatype3.html>).
fn fits(field: &Field, declared: &str) -> bool {
    let declared = declared.to_uppercase();
    let has = |part: &str| declared.contains(part);
    match declaration(field) {
        _ if declared.is_empty() => true,
        Some("INTEGER") => has("INT") || has("NUM") || has("BOOL") || has("DATE"),
        Some("REAL") => has("REAL") || has("FLOA") || has("DOUB"),
        Some("TEXT") => !has("JSON") && (has("TEXT") || has("CHAR") || has("CLOB")),
        Some("BLOB") => has("BLOB"),
        Some("JSON TEXT") => has("JSON"),
        _ => false,
    }
}

fn no_type(field: &Field) -> WriteError {
    rejected(format!(
        "output {:?} is of type {}, which SQLite has no value for",
        field.name(),
        field.data_type()
    ))
}

fn fatal(plan: &Plan, problem: &str) -> WriteError {
    WriteError::Fatal(anyhow!("table {} {problem}", plan.table))
}
