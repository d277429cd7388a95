//! What only Kafka knows of the line: how far topics and the groups of sink have come. Asked while somebody looks, and
//! not more often than needed, however many look.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use millrace_kafka::{Admin, Error};
use serde::Serialize;

use super::Shared;
use crate::front::clock::unix_ms;

/// A survey is as good as a new one for so long.
const FRESH: Duration = Duration::from_millis(900);
/// Groups are looked up more seldom: that costs a client of its own for each.
const GROUPS_FRESH: Duration = Duration::from_secs(4);
/// What is looked at, at most.
const MOST_MODELS: usize = 32;
const MOST_GROUPS: usize = 16;

/// What was found at a time.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Survey {
    pub(super) taken_unix_ms: i64,
    /// Records ever written, by model.
    pub(super) topics: BTreeMap<String, Ends>,
    pub(super) sinks: Vec<Sink>,
    /// Records in the topic of dead letters; those that note a requeue among them.
    pub(super) dead_letters: Option<i64>,
    /// Why something is missing.
    pub(super) problem: Option<String>,
}

/// The ends of a model's topics, over all partitions.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Ends {
    pub(super) requests: Option<i64>,
    pub(super) results: Option<i64>,
    pub(super) partitions: usize,
}

/// A pipeline of sink at one model's results.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Sink {
    pub(super) pipeline: String,
    pub(super) model: String,
    /// Results that it has not written.
    pub(super) lag: i64,
    /// Results that it has written, ever.
    pub(super) written: i64,
}

/// Makes surveys, one at a time.
#[derive(Default)]
pub(super) struct Surveyor {
    newest: Mutex<Newest>,
}

#[derive(Default)]
struct Newest {
    admin: Option<Admin>,
    survey: Option<(Instant, Arc<Survey>)>,
    groups: Option<(Instant, Vec<String>, Vec<Sink>)>,
}

impl Surveyor {
    /// What is known of these models, not older than a second. Blocks.
    pub(super) fn look(&self, shared: &Shared, models: &[String]) -> Arc<Survey> {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, survey)) = &newest.survey
            && at.elapsed() < FRESH
            && models.iter().all(|model| survey.topics.contains_key(model))
        {
            return Arc::clone(survey);
        }
        let survey = Arc::new(newest.survey(shared, models));
        newest.survey = Some((Instant::now(), Arc::clone(&survey)));
        survey
    }
}

impl Newest {
    fn survey(&mut self, shared: &Shared, models: &[String]) -> Survey {
        let mut survey = Survey {
            taken_unix_ms: unix_ms(),
            ..Survey::default()
        };
        // What is not looked at is there without figures.
        for model in models {
            survey.topics.insert(model.clone(), Ends::default());
        }
        if let Err(error) = self.fill(shared, models, &mut survey) {
            // It may be the connection: the next one begins anew.
            self.admin = None;
            survey.problem = Some(error.to_string());
        }
        survey
    }

    fn fill(
        &mut self,
        shared: &Shared,
        models: &[String],
        survey: &mut Survey,
    ) -> Result<(), Error> {
        if self.admin.is_none() {
            self.admin = Some(Admin::connect(&shared.cluster)?);
        }
        let Some(admin) = &self.admin else {
            return Ok(());
        };
        let looked_at = &models[..models.len().min(MOST_MODELS)];
        for model in looked_at {
            let requests = ends(admin, &shared.topic(&format!("requests.{model}")))?;
            let results = ends(admin, &shared.topic(&format!("results.{model}")))?;
            let ends = Ends {
                requests: requests.map(|(end, _)| end),
                results: results.map(|(end, _)| end),
                partitions: requests.map_or(0, |(_, count)| count),
            };
            survey.topics.insert(model.clone(), ends);
        }
        survey.dead_letters = records(admin, &shared.topic("dead-letters"))?;
        let is_fresh = self
            .groups
            .as_ref()
            .is_some_and(|(at, of, _)| at.elapsed() < GROUPS_FRESH && of == looked_at);
        if !is_fresh {
            let sinks = sinks(admin, shared, looked_at)?;
            self.groups = Some((Instant::now(), looked_at.to_vec(), sinks));
        }
        survey.sinks = self
            .groups
            .as_ref()
            .map_or_else(Vec::new, |(_, _, sinks)| sinks.clone());
        Ok(())
    }
}

/// The sum of all ends and the number of partitions; `None` without such a topic.
fn ends(admin: &Admin, topic: &str) -> Result<Option<(i64, usize)>, Error> {
    match admin.end_offsets(topic) {
        Ok(ends) => Ok(Some((ends.values().sum(), ends.len()))),
        Err(Error::NoTopic { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn records(admin: &Admin, topic: &str) -> Result<Option<i64>, Error> {
    match admin.spans(topic) {
        Ok(spans) => Ok(Some(spans.values().map(|span| span.end - span.start).sum())),
        Err(Error::NoTopic { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The pipelines that have begun to read results of these models.
fn sinks(admin: &Admin, shared: &Shared, models: &[String]) -> Result<Vec<Sink>, Error> {
    let start = shared.topic("sink.");
    let mut sinks = Vec::new();
    for group in admin.groups(&start)?.into_iter().take(MOST_GROUPS) {
        let pipeline = group.name.strip_prefix(&start).unwrap_or(&group.name);
        for model in models {
            let lag = match admin.lag(&group.name, &shared.topic(&format!("results.{model}"))) {
                Ok(lag) => lag,
                Err(Error::NoTopic { .. }) => continue,
                Err(error) => return Err(error),
            };
            if lag.iter().any(|it| it.committed.is_some()) {
                sinks.push(Sink {
                    pipeline: pipeline.to_owned(),
                    model: model.clone(),
                    lag: lag.iter().map(|it| it.lag).sum(),
                    written: lag.iter().filter_map(|it| it.committed).sum(),
                });
            }
        }
    }
    Ok(sinks)
}
