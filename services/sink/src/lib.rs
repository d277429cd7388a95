//! The sink: reads results from Kafka and writes them to files and tables, exactly once.
//!
//! A pipeline is a consumer group that reads topics of results, and a writer that makes batches
//! of them durable together with the progress: in the name of a file, in a table of the same
//! transaction. Where to go on is read from there; the offsets committed to Kafka are for tools
//! that show lag. This crate knows nothing of models and engines.

mod app;
mod batch;
mod batcher;
mod check;
mod claimed;
mod destinations;
mod equipment;
mod fetching;
mod handover;
mod letters;
mod metrics;
mod pipeline;
mod projection;
mod reloading;
mod row;
mod settings;
mod settler;
mod share;
#[cfg(test)]
mod testing;

pub use app::App;
pub use check::check;
pub use destinations::{
    Destination, FileFormat, FilesSettings, ParquetSettings, PartitionKey, RegistrySettings,
    Secret, ServerSettings, SqliteSettings, TopicFormat, TopicSettings, WriteMode,
};
pub use settings::{
    ColumnSettings, PipelineSettings, Renamed, RollSettings, Settings, TensorForm, TopForm,
    TopSettings, Topics,
};
