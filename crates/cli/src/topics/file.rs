//! `schemas/topics.yaml`: the topics of a line, with placeholders for its prefix and its models.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, bail};
use millrace_kafka::TopicSpec;
use serde::Deserialize;

use crate::lane::BULK_END;

const EMBEDDED: &str = include_str!("../../../../schemas/topics.yaml");

/// The topics of one line, as described.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicsFile {
    topics: Vec<Entry>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    partitions: i32,
    replication: i32,
    #[serde(default)]
    config: BTreeMap<String, String>,
}

impl TopicsFile {
    /// The given file, or the one that this program was built with.
    pub(super) fn read(path: Option<&Path>) -> anyhow::Result<Self> {
        let (text, origin) = match path {
            None => (EMBEDDED.to_owned(), "the built-in topics.yaml".to_owned()),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                (text, path.display().to_string())
            }
        };
        let file: Self = serde_norway::from_str(&text)
            .with_context(|| format!("{origin} does not describe topics"))?;
        for entry in &file.topics {
            if entry.partitions < 1 || entry.replication < 1 {
                bail!(
                    "{origin}: topic {} needs at least 1 partition and 1 replica",
                    entry.name
                );
            }
        }
        Ok(file)
    }

    /// Gives every topic that stands for one per model so many partitions.
    pub(super) fn set_partitions_of_models(&mut self, partitions: i32) {
        for entry in self.topics.iter_mut().filter(|entry| entry.is_per_model()) {
            entry.partitions = partitions;
        }
    }

    /// The topics by their real names: one per model where the name says so.
    pub(super) fn expand(&self, prefix: &str, models: &[String]) -> anyhow::Result<Vec<TopicSpec>> {
        let mut specs = Vec::new();
        for entry in &self.topics {
            let name = entry.name.replace("{prefix}", prefix);
            if !entry.is_per_model() {
                specs.push(entry.spec(name)?);
                continue;
            }
            for model in models {
                check_model(model)?;
                specs.push(entry.spec(name.replace("{model}", model))?);
            }
        }
        Ok(specs)
    }
}

/// Topics of such a model would be those of another one's bulk lane.
fn check_model(model: &str) -> anyhow::Result<()> {
    if model.ends_with(BULK_END) {
        bail!(
            "a model cannot be called {model}: topics that end in \"{BULK_END}\" are bulk lanes; the topics of its \
             model have one already"
        );
    }
    Ok(())
}

impl Entry {
    fn is_per_model(&self) -> bool {
        self.name.contains("{model}")
    }

    fn spec(&self, name: String) -> anyhow::Result<TopicSpec> {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if name.len() > 249 || !name.bytes().all(legal) {
            bail!(
                "{name} cannot be the name of a topic; use at most 249 letters, digits, '.', '-' and '_'"
            );
        }
        Ok(TopicSpec {
            name,
            partitions: self.partitions,
            replication: self.replication,
            config: self.config.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(models: &[&str]) -> Vec<String> {
        let models: Vec<String> = models.iter().map(|&model| model.into()).collect();
        let specs = TopicsFile::read(None).unwrap().expand("mill", &models);
        specs.unwrap().into_iter().map(|spec| spec.name).collect()
    }

    #[test]
    fn line_without_models_has_the_common_topics() {
        assert_eq!(
            names(&[]),
            [
                "mill.replies",
                "mill.models",
                "mill.control",
                "mill.idempotency",
                "mill.dead-letters"
            ]
        );
    }

    #[test]
    fn each_model_adds_requests_and_results() {
        let names = names(&["digits", "everything"]);
        assert_eq!(names.len(), 11);
        assert!(names.contains(&"mill.requests.everything".to_owned()));
        assert!(names.contains(&"mill.results.digits".to_owned()));
        assert!(names.contains(&"mill.requests.digits.bulk".to_owned()));
    }

    #[test]
    fn requests_and_results_of_a_model_have_equally_many_partitions() {
        let file = TopicsFile::read(None).unwrap();
        let specs = file.expand("mill", &["m".to_owned()]).unwrap();
        let partitions = |name: &str| {
            let spec = specs.iter().find(|spec| spec.name == name).unwrap();
            spec.partitions
        };
        assert_eq!(partitions("mill.requests.m"), partitions("mill.results.m"));
    }

    #[test]
    fn partitions_can_be_set_for_the_topics_of_models_only() {
        let mut file = TopicsFile::read(None).unwrap();
        file.set_partitions_of_models(48);
        for spec in file.expand("mill", &["m".to_owned()]).unwrap() {
            let is_of_model = spec.name.ends_with(".m") || spec.name.ends_with(".m.bulk");
            assert_eq!(spec.partitions == 48, is_of_model, "{spec:?}");
        }
    }

    #[test]
    fn topics_that_are_remembered_are_compacted_and_have_one_order() {
        let specs = TopicsFile::read(None).unwrap().expand("mill", &[]).unwrap();
        for name in ["mill.models", "mill.control"] {
            let spec = specs.iter().find(|spec| spec.name == name).unwrap();
            assert_eq!(spec.config["cleanup.policy"], "compact");
            assert_eq!(spec.partitions, 1);
        }
    }

    #[test]
    fn name_that_kafka_would_refuse_is_refused_with_the_rule() {
        let file = TopicsFile::read(None).unwrap();
        let error = file.expand("mill", &["a/b".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("mill.requests.a/b"), "{error}");
    }

    #[test]
    fn a_model_called_like_a_bulk_lane_is_refused() {
        let file = TopicsFile::read(None).unwrap();
        let error = file.expand("mill", &["m.bulk".to_owned()]).unwrap_err();
        assert!(error.to_string().contains("are bulk lanes"), "{error}");
    }

    #[test]
    fn unknown_keys_in_a_file_are_refused() {
        let text = "topics: [{name: a, partitons: 3, replication: 1}]";
        let error = serde_norway::from_str::<TopicsFile>(text).unwrap_err();
        assert!(error.to_string().contains("partitons"), "{error}");
    }
}
