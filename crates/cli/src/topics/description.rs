//! Which topics there should be: the file that describes them, and what flags say instead.

use std::path::PathBuf;

use millrace_kafka::TopicSpec;

use crate::connection::Connection;

use super::file::TopicsFile;

#[derive(clap::Args, Default)]
pub(crate) struct Description {
    /// The topics of this model too; may be repeated
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// Describe topics in this file instead of the built-in schemas/topics.yaml
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Partitions of the models' requests and results, instead of what the file says
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    partitions: Option<i32>,
    /// Replicas of every topic, instead of what the file says
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    replication: Option<i32>,
}

impl Description {
    /// Of these models, all else as the built-in file says.
    pub(crate) fn of(models: Vec<String>) -> Self {
        Self {
            models,
            ..Self::default()
        }
    }

    /// The topics of the named models, and those that every line has.
    pub(super) fn specs(&self, prefix: &str) -> anyhow::Result<Vec<TopicSpec>> {
        self.specs_of(prefix, &self.models)
    }

    /// The topics of the named models and of those that have topics already.
    pub(crate) fn specs_of_all_models(
        &self,
        connection: &Connection,
    ) -> anyhow::Result<Vec<TopicSpec>> {
        let mut models = connection.models()?;
        models.extend(self.models.iter().cloned());
        models.sort();
        models.dedup();
        self.specs_of(&connection.prefix, &models)
    }

    fn specs_of(&self, prefix: &str, models: &[String]) -> anyhow::Result<Vec<TopicSpec>> {
        let mut file = TopicsFile::read(self.file.as_deref())?;
        if let Some(partitions) = self.partitions {
            file.set_partitions_of_models(partitions);
        }
        let mut specs = file.expand(prefix, models)?;
        for spec in &mut specs {
            spec.replication = self.replication.unwrap_or(spec.replication);
        }
        Ok(specs)
    }
}
