//! How a transaction can fail, and what is known then.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::error::Error;
use crate::failure::{self, Failure};

/// Why a transaction was not committed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TransactionError {
    /// The partitions are another member's now. Nothing was written.
    #[error("the partitions are no longer this member's")]
    Fenced,
    /// The record at `index` can never be written. Nothing was written.
    #[error("the record was refused: {source}{}", failure::advice_suffix(.source))]
    Refused {
        /// Which of the transaction's records.
        index: usize,
        /// What the broker or librdkafka says.
        #[source]
        source: KafkaError,
    },
    /// Nothing was written; the same transaction may succeed later.
    #[error("the transaction was aborted: {0}")]
    Aborted(#[source] Error),
    /// Whether it was committed is not known: settle it
    /// ([`crate::Transactions::renew`]), then read the group's committed
    /// offset ([`crate::Membership::committed`]) before going on.
    #[error("nobody knows whether the transaction was committed: {0}")]
    Unknown(#[source] Error),
    /// Another writer has taken the name. Whether it was committed is not known,
    /// and trying again would take the name back, without end.
    #[error("another process writes under the same name; give each its own: {0}")]
    Usurped(#[source] Error),
    /// Nothing was written, and trying again does not help.
    #[error(transparent)]
    Fatal(Error),
}

/// The broker's words for a member that no longer is one.
const FENCING: [Code; 3] = [
    Code::IllegalGeneration,
    Code::UnknownMemberId,
    Code::FencedInstanceId,
];

/// Codes after which a new producer would fail in the same way.
const FINAL: [Code; 5] = [
    Code::TransactionalIdAuthorizationFailed,
    Code::GroupAuthorizationFailed,
    Code::TopicAuthorizationFailed,
    Code::ClusterAuthorizationFailed,
    Code::InvalidTransactionTimeout,
];

impl TransactionError {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::Refused { .. } => "refused",
            Self::Aborted(_) => "aborted",
            Self::Unknown(_) => "unknown",
            Self::Usurped(_) => "usurped",
            Self::Fatal(_) => "fatal",
        }
    }

    /// The same, of a writer that another one has ended by beginning under its
    /// name.
    pub(crate) fn of_usurped(self) -> Self {
        match self {
            Self::Aborted(error) | Self::Unknown(error) => Self::Usurped(error),
            other => other,
        }
    }

    /// The meaning of an error of any step before the commit.
    pub(crate) fn before_commit(what: &'static str, source: KafkaError) -> Self {
        match source.rdkafka_error_code() {
            Some(code) if FENCING.contains(&code) => Self::Fenced,
            Some(code) if FINAL.contains(&code) => Self::Fatal(Error::kafka(what, source)),
            _ => Self::Aborted(Error::kafka(what, source)),
        }
    }

    /// The meaning of a record's delivery error.
    pub(crate) fn of_record(index: usize, source: KafkaError) -> Self {
        match failure::classify(&source) {
            Failure::Poison => Self::Refused { index, source },
            _ => Self::before_commit("writing in a transaction", source),
        }
    }
}
