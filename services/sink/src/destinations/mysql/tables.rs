//! The tables in MySQL and MariaDB: made, checked, and widened when outputs grow.

use std::collections::HashMap;

use anyhow::anyhow;
use arrow::datatypes::{Field, Schema};
use mysql::Conn;
use mysql::prelude::Queryable;

use super::errors::{classify, is_column_there};
use super::types::{self, ColumnType, Use};
use crate::destinations::WriteError;
use crate::destinations::table::names::Rules;
use crate::destinations::table::plan::{self, Known, Mode, Plan, quoted, quoted_list};
use crate::destinations::table::progress::PROGRESS;
use crate::destinations::table::rejected;

/// 64 characters are allowed; this many bytes are never more.
pub(super) const RULES: Rules = Rules {
    longest_bytes: 64,
    folds_case: true,
    reserved: &[],
    astral: false,
};

/// The table as the database knows it.
pub(super) struct Layout {
    /// By their names in lower case.
    columns: HashMap<String, ColumnType>,
    unique: Vec<Vec<String>>,
}

/// Reads what there is; `None` if there is no such table.
pub(super) fn inspect(connection: &mut Conn, plan: &Plan) -> Result<Option<Layout>, WriteError> {
    let (schema, table) = (&plan.table.schema, &plan.table.name);
    let columns: Vec<(String, String, String)> = connection
        .exec(
            "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE FROM information_schema.COLUMNS
             WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ?",
            (schema, table),
        )
        .map_err(classify)?;
    if columns.is_empty() {
        return Ok(None);
    }
    let safe: Option<String> = connection
        .exec_first(
            "SELECT e.TRANSACTIONS FROM information_schema.TABLES t
             JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
             WHERE t.TABLE_SCHEMA = COALESCE(?, DATABASE()) AND t.TABLE_NAME = ?",
            (schema, table),
        )
        .map_err(classify)?;
    if safe.as_deref() == Some("NO") {
        return Err(fatal(
            plan,
            "has an engine without transactions; change it: ALTER TABLE … ENGINE = InnoDB",
        ));
    }
    let parts: Vec<(String, String)> = connection
        .exec(
            "SELECT INDEX_NAME, COLUMN_NAME FROM information_schema.STATISTICS
             WHERE TABLE_SCHEMA = COALESCE(?, DATABASE()) AND TABLE_NAME = ? AND NON_UNIQUE = 0",
            (schema, table),
        )
        .map_err(classify)?;
    let mut unique: HashMap<String, Vec<String>> = HashMap::new();
    for (index, column) in parts {
        unique.entry(index).or_default().push(column.to_lowercase());
    }
    let column = |(name, data_type, full): (String, String, String)| {
        let unsigned = full.contains("unsigned");
        let name_of_type = data_type.to_lowercase();
        (
            name.to_lowercase(),
            ColumnType {
                name: name_of_type,
                unsigned,
            },
        )
    };
    Ok(Some(Layout {
        columns: columns.into_iter().map(column).collect(),
        unique: unique.into_values().collect(),
    }))
}

/// Makes the tables that are missing, if that is wanted, and checks those that are there.
///
/// # Errors
/// The table is missing and not to be made, or lacks a column, or has one of another type.
pub(super) fn prepare(
    connection: &mut Conn,
    plan: &Plan,
    fixed: &Schema,
) -> Result<Layout, WriteError> {
    let layout = match inspect(connection, plan)? {
        Some(layout) => layout,
        None => create(connection, plan, fixed)?,
    };
    check(&layout, plan, fixed)?;
    let progress = format!(
        "CREATE TABLE IF NOT EXISTS {} (
            pipeline VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
            topic VARCHAR(249) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
            `partition` INT NOT NULL,
            next_offset BIGINT NOT NULL,
            owner_epoch BIGINT NOT NULL,
            PRIMARY KEY (pipeline, topic, `partition`)
        ) ENGINE = InnoDB",
        plan.table.beside(PROGRESS).quoted('`')
    );
    connection.query_drop(progress).map_err(classify)?;
    Ok(layout)
}

/// Whether the table can take our rows, column by column.
pub(super) fn check(layout: &Layout, plan: &Plan, fixed: &Schema) -> Result<(), WriteError> {
    for field in fixed.fields() {
        let problem = match layout.columns.get(field.name()) {
            None => format!(
                "has no column {:?}; add it: ALTER TABLE {} ADD COLUMN {} {}",
                field.name(),
                plan.table.quoted('`'),
                quoted(field.name(), '`'),
                types::of_new_column(field, usage(plan, field.name())).unwrap_or_default()
            ),
            Some(column) if !types::fits(field, column) => format!(
                "has column {:?} of type {}, and the sink writes {} there",
                field.name(),
                column.name,
                plan::describe(field.data_type())
            ),
            Some(_) => continue,
        };
        return Err(fatal(plan, &problem));
    }
    let Mode::Upsert { key } = &plan.mode else {
        return Ok(());
    };
    if has_all(layout, key) && !layout.is_unique_over(key) {
        let problem = format!(
            "has no unique index over the key of the upsert; make it: ALTER TABLE {} ADD UNIQUE ({})",
            plan.table.quoted('`'),
            quoted_list(key.iter().map(String::as_str), '`')
        );
        return Err(fatal(plan, &problem));
    }
    Ok(())
}

/// The sentence for a table that is missing and not to be made.
pub(super) fn missing(plan: &Plan) -> WriteError {
    fatal(plan, "is not there, and create is off")
}

fn create(connection: &mut Conn, plan: &Plan, fixed: &Schema) -> Result<Layout, WriteError> {
    if !plan.create {
        return Err(missing(plan));
    }
    let mut lines = Vec::new();
    for field in fixed.fields() {
        let keyed = usage(plan, field.name());
        let type_name = types::of_new_column(field, keyed).ok_or_else(|| no_type(field))?;
        let not_null = match field.is_nullable() && keyed == Use::Value {
            true => "",
            false => " NOT NULL",
        };
        lines.push(format!(
            "{} {type_name}{not_null}",
            quoted(field.name(), '`')
        ));
    }
    let identity = plan.identity();
    let known = identity
        .iter()
        .all(|name| fixed.column_with_name(name).is_some());
    if known && !identity.is_empty() {
        lines.push(format!("PRIMARY KEY ({})", quoted_list(identity, '`')));
    }
    let statement = format!(
        "CREATE TABLE IF NOT EXISTS {} ({}) ENGINE = InnoDB ROW_FORMAT = DYNAMIC",
        plan.table.quoted('`'),
        lines.join(", ")
    );
    connection.query_drop(statement).map_err(classify)?;
    inspect(connection, plan)?.ok_or_else(|| missing(plan))
}

/// Finds the column of every field; adds those that are missing where that is wanted.
///
/// # Errors
/// [`WriteError::Rejected`] for a batch that the table cannot hold.
pub(super) fn fit(
    connection: &mut Conn,
    (plan, layout): (&Plan, &mut Layout),
    (fixed, schema): (&Schema, &Schema),
) -> Result<Vec<String>, WriteError> {
    let has_no_output = layout.columns.len() <= fixed.fields().len();
    let (names, missing) = {
        let has = |name: &str| layout.columns.contains_key(&RULES.fold(name));
        let known = Known {
            has: &has,
            has_no_output,
        };
        plan.match_columns(schema, &RULES, &known)?
    };
    for &index in &missing {
        add(connection, plan, (schema.field(index), &names[index]))?;
    }
    if !missing.is_empty() {
        *layout = inspect(connection, plan)?.ok_or_else(|| self::missing(plan))?;
        ensure_key(connection, plan, layout)?;
    }
    for (field, name) in schema.fields().iter().zip(&names) {
        let column = layout.columns.get(&RULES.fold(name));
        if !column.is_some_and(|column| types::fits(field, column)) {
            let found = column.map_or("missing", |column| &column.name);
            return Err(plan::other_type(plan, name, found, field));
        }
    }
    Ok(names)
}

fn add(
    connection: &mut Conn,
    plan: &Plan,
    (field, name): (&Field, &str),
) -> Result<(), WriteError> {
    let type_name = types::of_new_column(field, usage(plan, name)).ok_or_else(|| no_type(field))?;
    tracing::info!(table = %plan.table, column = name, "adding a column");
    let statement = format!(
        "ALTER TABLE {} ADD COLUMN {} {type_name}",
        plan.table.quoted('`'),
        quoted(name, '`')
    );
    match connection.query_drop(statement) {
        Err(error) if is_column_there(&error) => Ok(()),
        // Too many columns, or a name that no column can have: another record may do better.
        Err(mysql::Error::MySqlError(refusal))
            if matches!(refusal.code, 1117 | 1118 | 1166 | 1059) =>
        {
            Err(rejected(format!(
                "{} (error {})",
                refusal.message, refusal.code
            )))
        }
        other => other.map_err(classify),
    }
}

/// A key may name outputs, which have columns only now.
fn ensure_key(connection: &mut Conn, plan: &Plan, layout: &mut Layout) -> Result<(), WriteError> {
    let Mode::Upsert { key } = &plan.mode else {
        return Ok(());
    };
    if !has_all(layout, key) || layout.is_unique_over(key) {
        return Ok(());
    }
    let statement = format!(
        "ALTER TABLE {} ADD UNIQUE ({})",
        plan.table.quoted('`'),
        quoted_list(key.iter().map(String::as_str), '`')
    );
    connection.query_drop(statement).map_err(classify)?;
    *layout = inspect(connection, plan)?.ok_or_else(|| missing(plan))?;
    Ok(())
}

fn usage(plan: &Plan, name: &str) -> Use {
    match name == "topic" || plan.identity().contains(&name) {
        true => Use::Key,
        false => Use::Value,
    }
}

fn has_all(layout: &Layout, key: &[String]) -> bool {
    key.iter()
        .all(|column| layout.columns.contains_key(&RULES.fold(column)))
}

impl Layout {
    /// Whether there is a unique index over exactly these columns.
    pub(super) fn is_unique_over<S: AsRef<str>>(&self, columns: &[S]) -> bool {
        let mut wanted: Vec<String> = columns
            .iter()
            .map(|name| RULES.fold(name.as_ref()))
            .collect();
        wanted.sort_unstable();
        self.unique.iter().any(|found| {
            let mut found = found.clone();
            found.sort_unstable();
            found == wanted
        })
    }
}

fn no_type(field: &Field) -> WriteError {
    rejected(format!(
        "output {:?} is of type {}, which MySQL has no column for",
        field.name(),
        field.data_type()
    ))
}

fn fatal(plan: &Plan, problem: &str) -> WriteError {
    WriteError::Fatal(anyhow!("table {} {problem}", plan.table))
}
