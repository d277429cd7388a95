//! Records that were running when processes died: each runs alone in a process of its own, so that what ends that one
//! ends nothing else.

use std::sync::Arc;

use millrace_wire::Tensor;
use tracing::warn;

use super::request::Part;
use super::slot::Station;
use crate::engine::EngineError;
use crate::metrics::ModelMetrics;
use crate::safety::{Safety, Suspects, Trial};

/// One engine thread's view of the suspects of its model's topics.
pub(crate) struct Apart {
    safety: Safety,
    /// Almost always empty.
    suspects: Vec<(String, Suspects)>,
    station: Arc<Station>,
}

/// A part of a suspect record, and how many processes died while it was running.
pub(crate) type Suspect = (Part, u32);

impl Apart {
    pub(crate) fn new(safety: &Safety, topics: &[&str], station: &Arc<Station>) -> Self {
        let of_topic = |topic: &&str| Some(((*topic).to_owned(), safety.suspects(topic)?));
        Self {
            safety: safety.clone(),
            suspects: topics.iter().filter_map(of_topic).collect(),
            station: Arc::clone(station),
        }
    }

    /// Takes the suspects out of a batch.
    pub(crate) fn take(&self, parts: &mut Vec<Part>) -> Vec<Suspect> {
        if self.suspects.is_empty() {
            return Vec::new();
        }
        let deaths = |part: &Part| {
            let record = &part.request.record;
            let of_topic = |(topic, _): &&(String, Suspects)| **topic == *record.topic;
            let (_, suspects) = self.suspects.iter().find(of_topic)?;
            suspects.get(&(record.partition, record.offset)).copied()
        };
        let taken: Vec<Part> = parts
            .extract_if(.., |part| deaths(part).is_some())
            .collect();
        let with_deaths = |part: Part| (deaths(&part).unwrap_or_default(), part);
        taken
            .into_iter()
            .map(with_deaths)
            .map(|(deaths, part)| (part, deaths))
            .collect()
    }

    /// A process that lasts for the suspects of one batch.
    pub(crate) fn trial(&self) -> Trial {
        let served = &self.station.served;
        self.safety.trial(&served.name, served.version)
    }
}

/// Says and counts what became of a suspect.
pub(crate) fn report(
    (part, deaths): &Suspect,
    outcome: &Result<Vec<Tensor>, EngineError>,
    metrics: &ModelMetrics,
) {
    let record = &part.request.record;
    let (topic, partition, offset) = (&record.topic, record.partition, record.offset);
    match outcome {
        Ok(_) => {
            metrics.count_suspect("answered");
            warn!(%topic, partition, offset, deaths, "processes died while this record was running; alone it is answered");
        }
        Err(error @ EngineError::Died(_)) => {
            metrics.count_suspect("died");
            warn!(%topic, partition, offset, deaths, %error, "the record is given up");
        }
        Err(error) => {
            metrics.count_suspect("refused");
            warn!(%topic, partition, offset, deaths, %error, "processes died while this record was running; alone it fails");
        }
    }
}
