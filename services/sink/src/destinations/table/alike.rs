//! What every table must do, whatever the database: tests that each of them runs on its own.

use super::fixtures::{own, upsert, with_id, write};
use super::plan::{Plan, quoted};
use crate::destinations::{WriteError, Writer};
use crate::testing::{batch, record_with};

/// A database with a table `results`, for one test.
pub(crate) trait Database {
    /// The quotes of identifiers.
    const MARK: char;

    /// What the writers of most tests want.
    fn plan(&self) -> Plan;

    fn open(&self, plan: Plan) -> Box<dyn Writer>;

    /// Each row as text, its columns separated by bars.
    fn rows(&self, query: &str) -> Vec<String>;
}

fn check_rows(database: &impl Database, expected: &[&str]) {
    assert_eq!(database.rows("SELECT y FROM results ORDER BY y"), expected);
}

pub(crate) fn former_owner_writes_nothing(database: &impl Database) {
    let plan = || database.plan();
    let (mut former, mut next) = (database.open(plan()), database.open(plan()));
    write(&mut *former, vec![record_with(0, &[1.0])]);
    next.claim(&own()).unwrap();
    let rows = |value| batch(1, vec![record_with(1, &[value])]);
    let error = former.write(&rows(2.0)).unwrap_err();
    assert!(matches!(error, WriteError::Fenced(_)), "{error:?}");
    check_rows(database, &["1"]);
    next.write(&rows(3.0)).unwrap();
    check_rows(database, &["1", "3"]);
}

pub(crate) fn commit_that_seemed_to_fail_is_found_in_the_table(database: &impl Database) {
    let mut writer = database.open(database.plan());
    writer.claim(&own()).unwrap();
    let rows = batch(0, vec![record_with(0, &[1.0])]);
    writer.write(&rows).unwrap();
    writer.write(&rows).unwrap();
    check_rows(database, &["1"]);
}

pub(crate) fn renamed_pipeline_does_not_write_rows_twice(database: &impl Database) {
    let record = || vec![record_with(0, &[1.0])];
    write(&mut *database.open(database.plan()), record());
    let mut renamed = database.open(Plan {
        pipeline: "renamed".to_owned(),
        ..database.plan()
    });
    assert_eq!(renamed.claim(&own()).unwrap(), 0);
    let error = renamed.write(&batch(0, record())).unwrap_err();
    assert!(matches!(&error, WriteError::Fatal(cause) if cause.to_string().contains("renamed")));
    check_rows(database, &["1"]);
}

pub(crate) fn upsert_keeps_the_newest_result_of_each_key<D: Database>(database: &D) {
    let table = database.plan().table.to_string();
    let mut writer = database.open(upsert(&table, &["id"]));
    let records = vec![with_id(0, "a", 1), with_id(1, "b", 2), with_id(2, "a", 3)];
    write(&mut *writer, records);
    write(&mut *writer, vec![with_id(3, "b", 4)]);
    let offset = quoted("offset", D::MARK);
    let rows = database.rows(&format!("SELECT id, y, {offset} FROM results ORDER BY id"));
    assert_eq!(rows, ["a|3|2", "b|4|3"]);
}
