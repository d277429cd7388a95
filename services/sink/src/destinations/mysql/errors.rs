//! What an error of MySQL or MariaDB means: wait, give the record up, or stop. Decided by its number.

use anyhow::anyhow;
use mysql::error::{DriverError, Error};

use crate::destinations::WriteError;
use crate::destinations::table::rejected;

pub(super) fn classify(error: Error) -> WriteError {
    let refusal = match error {
        Error::MySqlError(refusal) => refusal,
        // A packet larger than the server takes: a row, or too many of them.
        Error::CodecError(error) => return rejected(error.to_string()),
        Error::TlsError(_)
        | Error::UrlError(_)
        | Error::DriverError(DriverError::TlsNotSupported | DriverError::UnknownAuthPlugin(_)) => {
            return WriteError::Fatal(error.into());
        }
        other => return WriteError::Transient(other.into()),
    };
    let sentence = format!("{} (error {})", refusal.message, refusal.code);
    match refusal.code {
        // Null, duplicate, range, truncation, foreign key, check, JSON, packet, row size, trigger.
        1048 | 1062 | 1118 | 1153 | 1216 | 1264 | 1265 | 1292 | 1364 | 1366 | 1367 | 1406
        | 1416 | 1452 | 1526 | 1586 | 1644 | 1690 | 3140 | 3141 | 3156 | 3819 | 4025 | 22007 => {
            rejected(sentence)
        }
        // Wrong user, database, table, column, right, or statement.
        1044 | 1045 | 1049 | 1051 | 1054 | 1064 | 1072 | 1109 | 1142 | 1143 | 1146 | 1170
        | 1227 | 1698 => WriteError::Fatal(anyhow!(sentence)),
        // Full, locked, stopping, too many connections, a replica: all of these pass.
        _ => WriteError::Transient(anyhow!(sentence)),
    }
}

/// The key that was hit, if a row was refused because it is there already.
pub(super) fn is_duplicate(error: &Error) -> bool {
    matches!(error, Error::MySqlError(refusal) if matches!(refusal.code, 1062 | 1586))
}

/// Whether a column could not be added because another sink has just done so.
pub(super) fn is_column_there(error: &Error) -> bool {
    matches!(error, Error::MySqlError(refusal) if refusal.code == 1060)
}
