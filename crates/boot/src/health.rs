//! Whether this process is ready to work, as the sum of named gates.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The readiness of a process: ready when every gate is open. Clones share the same gates.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Why each gate is closed, `None` when it is open.
    gates: Arc<Mutex<BTreeMap<String, Option<String>>>>,
}

/// One condition of readiness. Clones open and close the same gate.
#[derive(Debug, Clone)]
pub struct Gate {
    health: Health,
    name: Arc<str>,
}

impl Health {
    /// Without gates, hence ready.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a gate, closed with the reason "starting". The same name again gives the same gate, as it stands.
    pub fn gate(&self, name: &str) -> Gate {
        self.with_gates(|gates| {
            gates
                .entry(name.to_owned())
                .or_insert_with(|| Some("starting".to_owned()));
        });
        Gate {
            health: self.clone(),
            name: name.into(),
        }
    }

    /// Whether every gate is open.
    pub fn is_ready(&self) -> bool {
        self.reasons().is_empty()
    }

    /// One `"name: reason"` per closed gate, by name.
    pub fn reasons(&self) -> Vec<String> {
        self.with_gates(|gates| {
            let closed = gates
                .iter()
                .filter_map(|(name, reason)| Some((name, reason.as_ref()?)));
            closed
                .map(|(name, reason)| format!("{name}: {reason}"))
                .collect()
        })
    }

    fn with_gates<R>(&self, change: impl FnOnce(&mut BTreeMap<String, Option<String>>) -> R) -> R {
        // A panic elsewhere cannot leave the map half changed: each change is one insert.
        change(&mut self.gates.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Gate {
    /// The condition holds.
    pub fn open(&self) {
        self.set(None);
    }

    /// The condition does not hold; `reason` is a sentence for the operator.
    pub fn close(&self, reason: impl Into<String>) {
        self.set(Some(reason.into()));
    }

    /// There is no such condition any more.
    pub fn remove(&self) {
        self.health.with_gates(|gates| {
            gates.remove(&*self.name);
        });
    }

    fn set(&self, state: Option<String>) {
        self.health.with_gates(|gates| {
            gates.insert(self.name.to_string(), state);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_without_gates_is_ready() {
        assert!(Health::new().is_ready());
    }

    #[test]
    fn process_is_ready_only_when_every_gate_is_open() {
        let health = Health::new();
        let kafka = health.gate("kafka");
        let models = health.gate("models");
        assert_eq!(health.reasons(), ["kafka: starting", "models: starting"]);
        kafka.open();
        models.open();
        assert!(health.is_ready());
        kafka.close("the broker is down");
        assert_eq!(health.reasons(), ["kafka: the broker is down"]);
    }

    #[test]
    fn removed_gate_keeps_nobody_waiting() {
        let health = Health::new();
        let gate = health.gate("pipeline old");
        gate.close("stopping");
        gate.remove();
        assert!(health.is_ready());
    }

    #[test]
    fn asking_for_a_gate_again_does_not_close_it() {
        let health = Health::new();
        health.gate("kafka").open();
        health.gate("kafka");
        assert!(health.is_ready());
    }
}
