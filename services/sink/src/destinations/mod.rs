//! Where rows can go. Each kind of destination is a folder here, behind [`Writer`].

mod files;
mod identity;
mod mysql;
mod postgres;
mod sqlite;
mod table;
mod topic;
mod writer;

use std::time::Duration;

use millrace_boot::InvalidSetting;
use millrace_kafka::{Cluster, Committing};
use serde::{Deserialize, Serialize};

pub use files::{FileFormat, FilesSettings, ParquetSettings, PartitionKey};
pub use sqlite::SqliteSettings;
pub use table::settings::{Secret, ServerSettings, WriteMode};
pub use topic::{RegistrySettings, TopicFormat, TopicSettings};
pub(crate) use writer::{WriteError, Writer, Written};

use crate::batch::Roll;
use crate::settings::PipelineSettings;
use files::FilesWriter;
use mysql::MysqlWriter;
use postgres::PostgresWriter;
use sqlite::SqliteWriter;
use topic::TopicWriter;

/// A kind of destination and its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Destination {
    /// A folder of files.
    Files(FilesSettings),
    /// A table in a SQLite database.
    Sqlite(SqliteSettings),
    /// A table in PostgreSQL.
    Postgres(ServerSettings),
    /// A table in MySQL or MariaDB.
    Mysql(ServerSettings),
    /// A Kafka topic.
    Topic(TopicSettings),
}

/// What a destination may need to know beside its pipeline's settings.
pub(crate) struct Surroundings<'a> {
    /// The pipeline's consumer group.
    pub(crate) group: &'a str,
    /// The name of this process among its replicas, if it has a lasting one.
    pub(crate) instance: Option<&'a str>,
    /// The cluster that the pipeline reads from.
    pub(crate) cluster: &'a Cluster,
    pub(crate) kafka_metrics: &'a millrace_kafka::Metrics,
}

/// Opens the destination of a pipeline; progress in it is kept under the name of the pipeline.
pub(crate) fn open(
    pipeline: &PipelineSettings,
    around: &Surroundings<'_>,
) -> anyhow::Result<Box<dyn Writer>> {
    Ok(match &pipeline.destination {
        Destination::Files(settings) => Box::new(FilesWriter::open(settings)?),
        Destination::Sqlite(settings) => {
            let plan = settings.table().plan(pipeline)?;
            Box::new(SqliteWriter::open(&settings.path, plan)?)
        }
        Destination::Postgres(settings) => {
            let plan = settings.table().plan(pipeline)?;
            Box::new(PostgresWriter::open(settings, plan)?)
        }
        Destination::Mysql(settings) => {
            let plan = settings.table().plan(pipeline)?;
            Box::new(MysqlWriter::open(settings, plan)?)
        }
        Destination::Topic(settings) => Box::new(TopicWriter::open(settings, around)?),
    })
}

/// Looks whether the destination can be used, and changes nothing; a sentence of what was found.
///
/// # Errors
/// What the operator must mend.
pub(crate) fn check(pipeline: &PipelineSettings, cluster: &Cluster) -> anyhow::Result<String> {
    match &pipeline.destination {
        Destination::Files(_) => Ok(format!(
            "{} is opened at the start",
            pipeline.destination.place()
        )),
        Destination::Sqlite(settings) => {
            SqliteWriter::check(&settings.path, &settings.table().plan(pipeline)?)
        }
        Destination::Postgres(settings) => {
            PostgresWriter::check(settings, settings.table().plan(pipeline)?)
        }
        Destination::Mysql(settings) => {
            MysqlWriter::check(settings, settings.table().plan(pipeline)?)
        }
        Destination::Topic(settings) => TopicWriter::check(settings, cluster),
    }
}

impl Destination {
    /// When a batch is closed where the settings do not say.
    pub(crate) fn roll(&self) -> Roll {
        let (rows, size_bytes, age) = match self {
            Self::Files(_) => (100_000, 64 << 20, Duration::from_secs(30)),
            Self::Sqlite(_) | Self::Postgres(_) | Self::Mysql(_) => {
                (5_000, 16 << 20, Duration::from_millis(200))
            }
            Self::Topic(_) => (5_000, 16 << 20, Duration::from_millis(100)),
        };
        Roll {
            rows,
            size_bytes,
            age,
        }
    }

    /// Who commits the offsets of the pipeline's group.
    pub(crate) fn committing(&self) -> Committing {
        match self {
            Self::Topic(_) => Committing::Transactions,
            _ => Committing::Member,
        }
    }

    /// Whether it has a type of its own for text that is JSON.
    pub(crate) fn has_json(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// The topic that it writes to, if it is one.
    pub(crate) fn topic(&self) -> Option<&str> {
        match self {
            Self::Topic(settings) => Some(&settings.topic),
            _ => None,
        }
    }

    /// What no two pipelines may share, in words.
    pub(crate) fn place(&self) -> String {
        match self {
            Self::Files(settings) => settings.place(),
            Self::Sqlite(settings) => settings.place(),
            Self::Postgres(settings) | Self::Mysql(settings) => settings.place(),
            Self::Topic(settings) => settings.place(),
        }
    }

    /// The first broken rule; `key` is that of the destination.
    pub(crate) fn validate(&self, key: &str) -> Result<(), InvalidSetting> {
        match self {
            Self::Files(settings) => settings.validate(key),
            Self::Sqlite(settings) => settings.validate(key),
            Self::Postgres(settings) => settings.validate(key, postgres::SCHEMES),
            Self::Mysql(settings) => settings.validate(key, mysql::SCHEMES),
            Self::Topic(settings) => settings.validate(key),
        }
    }
}
