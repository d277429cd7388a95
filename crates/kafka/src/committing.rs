//! Committing what is finished, and taking note of the answer.

use rdkafka::error::{KafkaError, KafkaResult};
use tracing::warn;

use crate::committer::Offsets;
use crate::error::Error;
use crate::failure::{self, Failure};
use crate::group::Committing;
use crate::intake::Intake;
use crate::member::Member;

impl<I: Intake> Member<I> {
    /// Begins to commit what is finished, unless a commit is under way.
    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        let offsets = self.partitions.uncommitted();
        if self.settings.committing == Committing::Transactions {
            self.partitions.mark_committed(&offsets);
            return Ok(());
        }
        if offsets.is_empty() || !self.committer.is_idle() {
            return Ok(());
        }
        self.committer
            .request(offsets)
            .map_err(|source| self.commit_error(source))
    }

    pub(crate) fn take_commit_result(&mut self) -> Result<(), Error> {
        let Some((offsets, result)) = self.committer.result() else {
            return Ok(());
        };
        self.note_commit(&offsets, &result);
        match result {
            Err(error)
                if self.stop_at.is_none() && failure::classify(&error) != Failure::Transient =>
            {
                Err(self.commit_error(error))
            }
            _ => Ok(()),
        }
    }

    fn note_commit(&mut self, offsets: &Offsets, result: &KafkaResult<()>) {
        match result {
            Ok(()) => {
                self.metrics.count_commit("ok");
                self.partitions.mark_committed(offsets);
            }
            Err(error) => {
                let failure = failure::classify(error).name();
                self.metrics.count_commit(failure);
                warn!(group = %self.settings.group, failure, %error, "commit failed");
            }
        }
    }

    fn commit_error(&self, source: KafkaError) -> Error {
        let what = format!("committing offsets of group {}", self.settings.group);
        Error::kafka(what, source)
    }
}
