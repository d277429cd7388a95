//! What an error of PostgreSQL means: wait, give the record up, or stop. Decided by SQLSTATE.

use anyhow::anyhow;
use tokio_postgres::error::DbError;

use super::elements::Unfit;
use crate::destinations::WriteError;
use crate::destinations::table::rejected;

/// A refusal may quote a whole row.
const LONGEST_SENTENCE: usize = 600;

pub(super) fn classify(error: tokio_postgres::Error) -> WriteError {
    let Some(refusal) = error.as_db_error() else {
        return match is_about_certificates(&error) {
            true => WriteError::Fatal(error.into()),
            // The connection broke, or never came to be.
            false => WriteError::Transient(error.into()),
        };
    };
    let code = refusal.code().code();
    match code.get(..2).unwrap_or_default() {
        // Bad data, a constraint, a limit of the program, a trigger's RAISE, a view's check.
        "22" | "23" | "54" | "P0" | "44" => rejected(sentence(refusal)),
        // Connections, resources, operators, the system below, conflicts of transactions.
        "08" | "53" | "57" | "58" | "40" => WriteError::Transient(anyhow!(sentence(refusal))),
        // A lock that somebody holds; a server that just became a replica.
        _ if matches!(code, "55P03" | "25006" | "55006") => {
            WriteError::Transient(anyhow!(sentence(refusal)))
        }
        // A table or column that has gone while we ran, a right taken away.
        "42" => WriteError::Fatal(anyhow!(
            "{}; was the table changed while the sink ran? start the sink again",
            sentence(refusal)
        )),
        _ => WriteError::Fatal(anyhow!(sentence(refusal))),
    }
}

/// Whether the error is that somebody holds a lock.
pub(super) fn is_locked(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code() == "55P03")
}

/// The name of the constraint, if a row was refused because it is there already.
pub(super) fn duplicate_of(error: &tokio_postgres::Error) -> Option<&str> {
    let refusal = error.as_db_error()?;
    (refusal.code().code() == "23505")
        .then(|| refusal.constraint())
        .flatten()
}

pub(super) fn unfit(error: &Unfit) -> WriteError {
    rejected(error.to_string())
}

/// The database's own words, with what it adds to them.
fn sentence(refusal: &DbError) -> String {
    let mut text = refusal.message().to_owned();
    for addition in [refusal.detail(), refusal.where_()].into_iter().flatten() {
        text.push_str("; ");
        text.push_str(addition);
    }
    text.push_str(&format!(" (PostgreSQL {})", refusal.code().code()));
    if text.chars().count() > LONGEST_SENTENCE {
        text = text.chars().take(LONGEST_SENTENCE).chain(['…']).collect();
    }
    text
}

fn is_about_certificates(error: &tokio_postgres::Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        let wrapped = error
            .downcast_ref::<std::io::Error>()
            .and_then(std::io::Error::get_ref);
        if error.is::<rustls::Error>() || wrapped.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        cause = error.source();
    }
    false
}
