//! Reads requests from Kafka, runs them through models in batches, and writes results back.
//!
//! This crate knows models and batches. It knows nothing of HTTP or JSON, of Arrow's and Avro's bytes (that is
//! `millrace-wire`) or of offsets and rebalances (that is `millrace-kafka`).

mod app;
mod batch;
mod descriptors;
mod engine;
mod fatal;
mod images;
mod lifecycle;
pub mod metrics;
mod models;
mod output;
mod pipeline;
mod repository;
mod sabotage;
mod safety;
mod settings;
mod startup;
mod topics;
mod try_model;

pub use app::App;
#[cfg(feature = "torch")]
pub use engine::TorchEngine;
pub use engine::{
    Engine, EngineError, EngineKind, Libraries, LoadError, ModelFiles, OnnxEngine, OnnxLibrary,
    OpenVinoEngine, OpenVinoLibrary,
};
pub use images::{Elements, Format, ImageError, ImageOptionsError, Row, Steps};
pub use repository::{Channels, Filter, ImageOptions, Layout, Orientation, ResizeTo};
pub use settings::{
    BatchSettings, BulkSettings, ConsumerSettings, DeadLetterSettings, Delivery, EngineSettings,
    ImageSettings, ModelSettings, OnnxSettings, OpenVinoHint, OpenVinoSettings, Optimization,
    ProducerSettings, Provider, Settings, StateSettings, TopicSettings, TransactionSettings,
};
pub use try_model::{TryModel, try_model};
