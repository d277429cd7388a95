//! Giving records to the producer, and what to do when it does not take them.

use std::time::Duration;

use millrace_kafka::{DeliveryError, Failure, OutRecord, SendError};

use super::Results;

/// How long one attempt waits for room in the producer; attempts go on until the producer stops.
const ROOM_DEADLINE: Duration = Duration::from_secs(1);

impl Results {
    /// Gives a record to the producer, waiting for room.
    ///
    /// # Errors
    /// Only if this record can never be sent, with the reason. When nothing can be sent any more, the process is
    /// stopping: the callback is dropped and with it the ticket, so that the offset stays.
    pub(super) fn post<F>(&self, record: OutRecord, on_delivery: F) -> Result<(), String>
    where
        F: FnOnce(Result<(), DeliveryError>) + Send + 'static,
    {
        let callback = move |delivery: Result<_, DeliveryError>| on_delivery(delivery.map(drop));
        self.drafts.check_size(&record)?;
        let mut attempt = self.producer.send_blocking(record, callback, ROOM_DEADLINE);
        while let Err(not_sent) = attempt {
            let not_sent = *not_sent;
            attempt = match not_sent.reason {
                SendError::Busy => self.producer.send_blocking(
                    not_sent.record,
                    not_sent.on_delivery,
                    ROOM_DEADLINE,
                ),
                SendError::TooLarge { .. }
                | SendError::Refused {
                    failure: Failure::Poison,
                    ..
                } => {
                    return Err(not_sent.reason.to_string());
                }
                SendError::Stopping => return Ok(()),
                SendError::Refused { .. } | SendError::Fatal(_) => {
                    self.fatal().report(
                        anyhow::Error::new(not_sent.reason).context("a result cannot be sent"),
                    );
                    return Ok(());
                }
            };
        }
        Ok(())
    }

    /// The producer retries for as long as it runs, so this is its end, or an error that it cannot get over.
    pub(super) fn undelivered(&self, error: DeliveryError) {
        if error.failure != Failure::Transient {
            self.fatal().report(anyhow::Error::new(error));
        }
    }

    pub(super) fn unsendable(&self, what: &str, reason: &str) {
        self.fatal()
            .report(anyhow::anyhow!("{what} cannot be sent: {reason}"));
    }
}
