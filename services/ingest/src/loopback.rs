//! Ingest alone, without Kafka and infer: for measuring what it costs by itself.

use millrace_wire::avro::ModelDescriptor;
use millrace_wire::headers::ReplyTo;

use crate::App;
use crate::front::clock::unix_ms;

impl App {
    /// From now on this ingest serves `model` by itself: every request is
    /// answered at once with its own inputs, and nothing is sent to Kafka.
    ///
    /// # Errors
    /// A descriptor that no models topic may hold.
    #[doc(hidden)]
    pub fn loop_back(&self, model: &ModelDescriptor) -> anyhow::Result<()> {
        let front = self.front();
        let (key, value) = (model.key(), model.encode()?);
        front
            .catalog
            .apply(Some(key.as_bytes()), Some(&value), unix_ms())?;
        front.line.loop_back();
        front.line.open(ReplyTo {
            topic: front.topics.replies(),
            partition: 0,
        });
        Ok(())
    }
}
