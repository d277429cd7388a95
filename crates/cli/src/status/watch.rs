//! Looks at the line again and again: the models topic is followed, offsets are asked for.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use millrace_kafka::TopicLayout;

use crate::board::Version;
use crate::connection::Connection;
use crate::followed::Followed;
use crate::lag::Looked;
use crate::lag::drain::{Moved, Rates};
use crate::lag::oldest::Ages;
use crate::lag::readers::{self, Place, Reader};
use crate::when;

use super::snapshot::{DeadLetters, Model, Snapshot, Waiting};

/// Who reads what changes seldom, and is dear to find out.
const FIND_READERS: Duration = Duration::from_secs(10);

pub(super) struct Watch {
    followed: Option<Followed>,
    ages: Ages,
    readers: Vec<Reader>,
    found_at: Option<Instant>,
    before: Option<Before>,
    first_letters: Option<(Instant, i64)>,
}

/// What the look before this one saw.
struct Before {
    looked: Looked,
    results: BTreeMap<String, i64>,
}

impl Watch {
    pub(super) fn start(connection: &Connection) -> anyhow::Result<Self> {
        let topic = connection.topic("models");
        let followed = match connection.admin.partition_count(&topic)? {
            None => None,
            Some(_) => Some(Followed::start(connection)?),
        };
        Ok(Self {
            followed,
            ages: Ages::open(connection)?,
            readers: Vec::new(),
            found_at: None,
            before: None,
            first_letters: None,
        })
    }

    pub(super) fn stop(self) -> anyhow::Result<()> {
        self.followed.map_or(Ok(()), Followed::stop)
    }

    pub(super) fn look(&mut self, connection: &Connection) -> anyhow::Result<Snapshot> {
        let brokers_answering = connection.admin.describe()?.brokers.len();
        let layouts = connection.admin.layouts()?;
        if self.found_at.is_none_or(|at| at.elapsed() > FIND_READERS) {
            self.readers = readers::find(connection, &[])?;
            self.found_at = Some(Instant::now());
        }
        let looked = Looked::take(connection, &self.readers)?;
        let models = connection.models()?;
        let results = self.results(connection, &models, &layouts)?;
        let start = connection.topic("");
        let ours = layouts
            .iter()
            .filter(|topic| topic.name.starts_with(&start));
        let snapshot = Snapshot {
            at_unix_ms: when::now_unix_ms(),
            prefix: connection.prefix.clone(),
            brokers: connection.cluster.brokers.clone(),
            brokers_answering,
            partitions_unwell: ours.map(unwell).sum(),
            models: self.models(&models, &looked, &results)?,
            pipelines: self.pipelines(&looked)?,
            dead_letters: self.dead_letters(connection, &layouts)?,
        };
        self.before = Some(Before { looked, results });
        Ok(snapshot)
    }

    /// Ends of the results of each model, summed over its partitions.
    fn results(
        &self,
        connection: &Connection,
        models: &[String],
        layouts: &[TopicLayout],
    ) -> anyhow::Result<BTreeMap<String, i64>> {
        let mut ends = BTreeMap::new();
        for model in models {
            let topic = connection.topic(&format!("results.{model}"));
            if layouts.iter().any(|layout| layout.name == topic) {
                let all = connection.admin.end_offsets(&topic)?;
                ends.insert(model.clone(), all.values().sum());
            }
        }
        Ok(ends)
    }

    /// Every model that has topics, once per version that somebody speaks of, and those without.
    fn models(
        &self,
        models: &[String],
        looked: &Looked,
        results: &BTreeMap<String, i64>,
    ) -> anyhow::Result<Vec<Model>> {
        let mut lines = Vec::new();
        let look = |it: &Followed| it.look(|board| board.versions(when::now_unix_ms()));
        let mut versions = self.followed.as_ref().map(look).unwrap_or_default();
        let mut names: Vec<String> = models.to_vec();
        names.extend(versions.iter().map(|version| version.model.clone()));
        names.sort();
        names.dedup();
        for name in names {
            let of_it = |version: &mut Version| version.model == name;
            let mut served: Vec<Option<Version>> =
                versions.extract_if(.., of_it).map(Some).collect();
            if served.is_empty() {
                served.push(None);
            }
            let is_infer =
                |place: &&Place| place.reader.name == "infer" && place.reader.model == name;
            let places: Vec<&Place> = looked.places.iter().filter(is_infer).collect();
            for served in served {
                lines.push(Model {
                    served,
                    waiting: self.waiting(name.clone(), &places, looked)?,
                    results_per_s: self.results_per_s(&name, results, looked),
                });
            }
        }
        Ok(lines)
    }

    fn results_per_s(
        &self,
        model: &str,
        results: &BTreeMap<String, i64>,
        looked: &Looked,
    ) -> Option<f64> {
        let before = self.before.as_ref()?;
        let more = results.get(model)? - before.results.get(model)?;
        let moved = Moved {
            ends: Some(more),
            committed: None,
        };
        moved.over(looked.at - before.looked.at).in_per_s
    }

    fn pipelines(&self, looked: &Looked) -> anyhow::Result<Vec<Waiting>> {
        let mut lines = Vec::new();
        for run in looked
            .places
            .chunk_by(|left, right| left.reader == right.reader)
        {
            let reader = &run[0].reader;
            if reader.name != "infer" {
                let places: Vec<&Place> = run.iter().collect();
                let name = reader.name.trim_start_matches("sink ");
                let name = format!("{name}: {}", reader.model);
                lines.push(self.waiting(name, &places, looked)?);
            }
        }
        Ok(lines)
    }

    fn waiting(&self, name: String, places: &[&Place], looked: &Looked) -> anyhow::Result<Waiting> {
        let mut oldest = None;
        for place in places {
            oldest = oldest.max(self.ages.of(place)?);
        }
        Ok(Waiting {
            name,
            waiting_records: places.iter().map(|place| place.waiting).sum(),
            oldest_s: oldest.map(|age| age.as_secs_f64()),
            done_per_s: self.rates(places, looked).out_per_s,
        })
    }

    fn rates(&self, places: &[&Place], looked: &Looked) -> Rates {
        let Some(before) = &self.before else {
            return Rates::default();
        };
        let moved = |place: &&Place| {
            let is_it = |it: &&Place| it.reader == place.reader && it.partition == place.partition;
            let then = before.looked.places.iter().find(is_it);
            let committed = place.committed.zip(then.and_then(|it| it.committed));
            Moved {
                ends: then.map(|then| place.end - then.end),
                committed: committed.map(|(now, then)| now - then),
            }
        };
        Moved::sum(places.iter().map(moved)).over(looked.at - before.looked.at)
    }

    fn dead_letters(
        &mut self,
        connection: &Connection,
        layouts: &[TopicLayout],
    ) -> anyhow::Result<DeadLetters> {
        let topic = connection.topic("dead-letters");
        if !layouts.iter().any(|layout| layout.name == topic) {
            return Ok(DeadLetters::default());
        }
        let spans = connection.admin.spans(&topic)?;
        let end: i64 = spans.values().map(|span| span.end).sum();
        let (since, first) = *self.first_letters.get_or_insert((Instant::now(), end));
        Ok(DeadLetters {
            records: spans.values().map(|span| span.end - span.start).sum(),
            more: end - first,
            watched_s: since.elapsed().as_secs_f64(),
        })
    }
}

/// Partitions without a leader, or with copies that are behind.
fn unwell(topic: &TopicLayout) -> usize {
    let is_unwell = |partition: &&millrace_kafka::PartitionLayout| {
        partition.leader.is_none() || partition.in_sync < partition.replicas
    };
    topic.partitions.iter().filter(is_unwell).count()
}
