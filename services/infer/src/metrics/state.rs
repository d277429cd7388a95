//! Which state each version is in, as a gauge per state.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, PoisonError};

use millrace_wire::avro::ModelState;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::MODEL_STATE;

const ALL: [ModelState; 5] = [
    ModelState::Loading,
    ModelState::Available,
    ModelState::Unloading,
    ModelState::Failed,
    ModelState::End,
];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct VersionState {
    model: String,
    version: i64,
    state: &'static str,
}

/// The states of all versions of all models.
#[derive(Clone, Debug, Default)]
pub(super) struct States {
    gauges: Family<VersionState, Gauge<i64, AtomicI64>>,
    /// The versions that have gauges.
    known: Arc<Mutex<BTreeMap<String, Vec<i64>>>>,
}

impl States {
    pub(super) fn register(self, registry: &mut Registry) {
        registry.register(
            MODEL_STATE,
            "Whether a version is in this state",
            self.gauges,
        );
    }

    /// Says in which state each version of a model is; other versions of it are gone.
    pub(super) fn tell(&self, model: &str, states: &[(i64, ModelState)]) {
        let versions = states.iter().map(|(version, _)| *version).collect();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.insert(model.to_owned(), versions).unwrap_or_default();
        let is_there = |version: &i64| states.iter().any(|(it, _)| it == version);
        for version in before.iter().filter(|version| !is_there(version)) {
            for state in ALL {
                self.gauges.remove(&label(model, *version, state));
            }
        }
        for (version, now) in states {
            for state in ALL {
                let gauge = self
                    .gauges
                    .get_or_create_owned(&label(model, *version, state));
                gauge.set(i64::from(state == *now));
            }
        }
    }
}

fn label(model: &str, version: i64, state: ModelState) -> VersionState {
    VersionState {
        model: model.to_owned(),
        version,
        state: match state {
            ModelState::Loading => "loading",
            ModelState::Available => "available",
            ModelState::Unloading => "unloading",
            ModelState::Failed => "failed",
            ModelState::End => "end",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_in_one_state_and_is_forgotten_with_its_model() {
        let mut registry = Registry::default();
        let states = States::default();
        states.clone().register(&mut registry);
        states.tell("m", &[(1, ModelState::Loading), (2, ModelState::Failed)]);
        states.tell("m", &[(2, ModelState::Available)]);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(series.len(), ALL.len(), "{text}");
        let now = "millrace_infer_model_state{model=\"m\",version=\"2\",state=\"available\"} 1";
        assert!(series.contains(&now), "{text}");
        assert_eq!(series.iter().filter(|it| it.ends_with(" 1")).count(), 1);
    }
}
