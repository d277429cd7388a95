//! The table of results in PostgreSQL: made, checked, and widened when outputs grow.

use std::collections::HashMap;

use anyhow::anyhow;
use arrow::datatypes::{Field, Schema};
use tokio_postgres::Client;

use super::errors::classify;
use super::progress;
use super::session::patient;
use super::types::{self, Form};
use crate::destinations::WriteError;
use crate::destinations::table::names::Rules;
use crate::destinations::table::plan::{self, Known, Mode, Plan, quoted, quoted_list};
use crate::destinations::table::rejected;

/// A longer name is cut off by the server without an error; the others are columns that every table has.
pub(super) const RULES: Rules = Rules {
    longest_bytes: 63,
    folds_case: false,
    reserved: &["tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"],
    astral: true,
};

/// Any number will do: sinks that make or change tables do so one after the other.
const DDL_LOCK: &str = "BEGIN; SELECT pg_advisory_xact_lock(5502187461)";

/// The table as the database knows it.
pub(super) struct Layout {
    /// Name in `pg_type` of each column's type.
    columns: HashMap<String, String>,
    /// Sets of columns that are unique, and the constraint's name.
    unique: Vec<(Vec<String>, String)>,
}

/// How the columns of one schema are written.
pub(super) struct Columns {
    pub(super) names: Vec<String>,
    pub(super) forms: Vec<Form>,
}

/// Reads what there is; `None` if there is no such table.
pub(super) async fn inspect(client: &Client, plan: &Plan) -> Result<Option<Layout>, WriteError> {
    let table = plan.table.quoted('"');
    let columns = "SELECT a.attname::text, t.typname::text
         FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attrelid = to_regclass($1) AND a.attnum > 0 AND NOT a.attisdropped";
    let rows = patient(client.query(columns, &[&table])).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let mut layout = Layout {
        columns: HashMap::new(),
        unique: Vec::new(),
    };
    for row in rows {
        let name = row.try_get(0).map_err(classify)?;
        let type_name = row.try_get(1).map_err(classify)?;
        layout.columns.insert(name, type_name);
    }
    let unique = "SELECT c.relname::text, array_agg(a.attname::text ORDER BY a.attname)
         FROM pg_index i
         JOIN pg_class c ON c.oid = i.indexrelid
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)
         WHERE i.indrelid = to_regclass($1) AND i.indisunique AND i.indpred IS NULL
           AND i.indexprs IS NULL
         GROUP BY c.relname";
    for row in patient(client.query(unique, &[&table])).await? {
        let name = row.try_get(0).map_err(classify)?;
        let columns = row.try_get(1).map_err(classify)?;
        layout.unique.push((columns, name));
    }
    Ok(Some(layout))
}

/// Makes the tables that are missing, if that is wanted, and checks those that are there.
///
/// # Errors
/// The table is missing and not to be made, or lacks a column, or has one of another type.
pub(super) async fn prepare(
    client: &Client,
    plan: &Plan,
    fixed: &Schema,
) -> Result<Layout, WriteError> {
    let layout = match inspect(client, plan).await? {
        Some(layout) => layout,
        None => create(client, plan, fixed).await?,
    };
    check(&layout, plan, fixed)?;
    check_vectors(client, plan).await?;
    let known = "SELECT to_regclass($1) IS NOT NULL";
    let progress = progress::table(plan);
    let there: bool = patient(client.query_one_scalar(known, &[&progress])).await?;
    if !there {
        define(client, &progress::create(plan)).await?;
    }
    Ok(layout)
}

/// Whether the table can take our rows, column by column.
pub(super) fn check(layout: &Layout, plan: &Plan, fixed: &Schema) -> Result<(), WriteError> {
    for field in fixed.fields() {
        let problem = match layout.columns.get(field.name()) {
            None => format!(
                "has no column {:?}; add it: ALTER TABLE {} ADD COLUMN {} {}",
                field.name(),
                plan.table.quoted('"'),
                quoted(field.name(), '"'),
                types::of_new_column(field, false).unwrap_or_default()
            ),
            Some(type_name) if types::form(field, type_name).is_none() => format!(
                "has column {:?} of type {type_name}, and the sink writes {} there",
                field.name(),
                plan::describe(field.data_type())
            ),
            Some(_) => continue,
        };
        return Err(fatal(plan, &problem));
    }
    let Mode::Upsert { key } = &plan.mode else {
        return Ok(());
    };
    let there = key.iter().all(|column| layout.columns.contains_key(column));
    if there && layout.unique_over(key).is_none() {
        let problem = format!(
            "has no unique index over the key of the upsert; make it: CREATE UNIQUE INDEX ON {} ({})",
            plan.table.quoted('"'),
            quoted_list(key.iter().map(String::as_str), '"')
        );
        return Err(fatal(plan, &problem));
    }
    Ok(())
}

/// Whether the database has the type that new columns are to have.
pub(super) async fn check_vectors(client: &Client, plan: &Plan) -> Result<(), WriteError> {
    let known = "SELECT to_regtype('vector') IS NOT NULL";
    if !plan.vectors || patient(client.query_one_scalar(known, &[])).await? {
        return Ok(());
    }
    Err(fatal(
        plan,
        "is to have vectors, and the database has no such type; run CREATE EXTENSION vector in it",
    ))
}

/// The sentence for a table that is missing and not to be made.
pub(super) fn missing(plan: &Plan) -> WriteError {
    fatal(plan, "is not there, and create is off")
}

async fn create(client: &Client, plan: &Plan, fixed: &Schema) -> Result<Layout, WriteError> {
    if !plan.create {
        return Err(missing(plan));
    }
    let mut lines = Vec::new();
    for field in fixed.fields() {
        let not_null = if field.is_nullable() { "" } else { " NOT NULL" };
        let type_name = types::of_new_column(field, false).ok_or_else(|| no_type(field))?;
        lines.push(format!(
            "{} {type_name}{not_null}",
            quoted(field.name(), '"')
        ));
    }
    let identity = plan.identity();
    let known = identity
        .iter()
        .all(|name| fixed.column_with_name(name).is_some());
    if known && !identity.is_empty() {
        lines.push(format!("PRIMARY KEY ({})", quoted_list(identity, '"')));
    }
    let statement = format!(
        "CREATE TABLE IF NOT EXISTS {} ({})",
        plan.table.quoted('"'),
        lines.join(", ")
    );
    define(client, &statement).await?;
    inspect(client, plan).await?.ok_or_else(|| missing(plan))
}

/// Finds the column of every field; adds those that are missing where that is wanted.
///
/// # Errors
/// [`WriteError::Rejected`] for a batch that the table cannot hold.
pub(super) async fn fit(
    client: &Client,
    (plan, layout): (&Plan, &mut Layout),
    (fixed, schema): (&Schema, &Schema),
) -> Result<Columns, WriteError> {
    let has_no_output = layout.columns.len() <= fixed.fields().len();
    let (names, missing) = {
        let has = |name: &str| layout.columns.contains_key(name);
        let known = Known {
            has: &has,
            has_no_output,
        };
        plan.match_columns(schema, &RULES, &known)?
    };
    if !missing.is_empty() {
        add(client, plan, (schema, &names, &missing)).await?;
        *layout = inspect(client, plan)
            .await?
            .ok_or_else(|| self::missing(plan))?;
        ensure_key(client, plan, layout).await?;
    }
    let mut forms = Vec::with_capacity(names.len());
    for (field, name) in schema.fields().iter().zip(&names) {
        let found = layout.columns.get(name).map_or("missing", String::as_str);
        let form = types::form(field, found);
        forms.push(form.ok_or_else(|| plan::other_type(plan, name, found, field))?);
    }
    Ok(Columns { names, forms })
}

async fn add(
    client: &Client,
    plan: &Plan,
    (schema, names, missing): (&Schema, &[String], &[usize]),
) -> Result<(), WriteError> {
    let mut additions = Vec::new();
    for &index in missing {
        let field = schema.field(index);
        let type_name = types::of_new_column(field, plan.vectors).ok_or_else(|| no_type(field))?;
        let name = quoted(&names[index], '"');
        additions.push(format!("ADD COLUMN IF NOT EXISTS {name} {type_name}"));
    }
    let table = plan.table.quoted('"');
    tracing::info!(table = %plan.table, columns = ?missing.iter().map(|&index| &names[index]).collect::<Vec<_>>(), "adding columns");
    define(
        client,
        &format!("ALTER TABLE {table} {}", additions.join(", ")),
    )
    .await
}

/// A key may name outputs, which have columns only now.
async fn ensure_key(client: &Client, plan: &Plan, layout: &mut Layout) -> Result<(), WriteError> {
    let Mode::Upsert { key } = &plan.mode else {
        return Ok(());
    };
    let there = key.iter().all(|column| layout.columns.contains_key(column));
    if !there || layout.unique_over(key).is_some() {
        return Ok(());
    }
    let statement = format!(
        "CREATE UNIQUE INDEX ON {} ({})",
        plan.table.quoted('"'),
        quoted_list(key.iter().map(String::as_str), '"')
    );
    define(client, &statement).await?;
    *layout = inspect(client, plan).await?.ok_or_else(|| missing(plan))?;
    Ok(())
}

/// Runs a statement that makes or changes a table, one sink at a time.
async fn define(client: &Client, statement: &str) -> Result<(), WriteError> {
    let done = patient(client.batch_execute(&format!("{DDL_LOCK}; {statement}; COMMIT"))).await;
    if done.is_err() {
        patient(client.batch_execute("ROLLBACK")).await?;
    }
    done
}

impl Layout {
    /// The name of the constraint that makes these columns unique together.
    pub(super) fn unique_over<S: AsRef<str>>(&self, columns: &[S]) -> Option<&str> {
        let mut wanted: Vec<&str> = columns.iter().map(AsRef::as_ref).collect();
        wanted.sort_unstable();
        self.unique
            .iter()
            .find(|(found, _)| {
                let mut found: Vec<&str> = found.iter().map(String::as_str).collect();
                found.sort_unstable();
                found == wanted
            })
            .map(|(_, name)| name.as_str())
    }
}

fn no_type(field: &Field) -> WriteError {
    rejected(format!(
        "output {:?} is of type {}, which PostgreSQL has no column for",
        field.name(),
        field.data_type()
    ))
}

fn fatal(plan: &Plan, problem: &str) -> WriteError {
    WriteError::Fatal(anyhow!("table {} {problem}", plan.table))
}
