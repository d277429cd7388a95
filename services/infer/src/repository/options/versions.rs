//! `version` and `[versions]`: which versions are served, and under which labels.

use std::collections::BTreeMap;
use std::fmt;

use millrace_boot::InvalidSetting;
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

/// Which versions are served, and under which labels.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct VersionOptions {
    /// Which versions are served.
    pub(crate) policy: Policy,
    /// Versions by label. Callers that name neither get `stable` if it is here, else the latest.
    pub(crate) labels: BTreeMap<String, i64>,
    /// A share of the callers that name neither version nor label.
    pub(crate) canary: Option<Canary>,
    /// Bytes that one version takes with all its instances, for `models.memory_budget`; that of its files for each
    /// instance when `None`.
    pub(crate) memory: Option<u64>,
}

/// Which versions are served: `"latest"`, `"latest(2)"`, `"all"` or a list of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Policy {
    /// So many of the highest; at least 1.
    Latest(usize),
    /// Every one.
    All,
    /// These; not empty.
    Only(Vec<i64>),
}

/// A share of keys for one label.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Canary {
    /// One of `labels`.
    pub(crate) label: String,
    /// From 0 to 100.
    pub(crate) percent: f64,
}

impl Default for Policy {
    fn default() -> Self {
        Self::Latest(1)
    }
}

impl VersionOptions {
    pub(super) fn validate(&self) -> Result<(), InvalidSetting> {
        let wrong = |key: &str, problem: String| Err(InvalidSetting::new(key, problem));
        match &self.policy {
            Policy::Latest(0) => return wrong("versions.policy", "is latest(0)".to_owned()),
            Policy::Only(versions) if versions.is_empty() => {
                return wrong("versions.policy", "is an empty list".to_owned());
            }
            Policy::Only(versions) if versions.iter().any(|version| *version < 0) => {
                return wrong("versions.policy", "has a negative version".to_owned());
            }
            Policy::Latest(_) | Policy::Only(_) | Policy::All => {}
        }
        for (label, version) in &self.labels {
            if label.is_empty() || label.len() > 80 || label.parse::<i64>().is_ok() {
                let problem = format!("has {label:?}; a label is a word, not a number");
                return wrong("versions.labels", problem);
            }
            if *version < 0 {
                return wrong("versions.labels", format!("has {label} = {version}"));
            }
        }
        match &self.canary {
            Some(canary) if !(0.0..=100.0).contains(&canary.percent) => wrong(
                "versions.canary.percent",
                format!("is {}; it must be from 0 to 100", canary.percent),
            ),
            Some(canary) if !self.labels.contains_key(&canary.label) => wrong(
                "versions.canary.label",
                format!("is {:?}, which is not in versions.labels", canary.label),
            ),
            Some(_) | None => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Policy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PolicyVisitor)
    }
}

struct PolicyVisitor;

impl<'de> Visitor<'de> for PolicyVisitor {
    type Value = Policy;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"latest\", \"latest(n)\", \"all\" or a list of versions")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Policy, E> {
        match text {
            "all" => return Ok(Policy::All),
            "latest" => return Ok(Policy::Latest(1)),
            _ => {}
        }
        let count = text
            .strip_prefix("latest(")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|count| count.trim().parse().ok());
        count.map(Policy::Latest).ok_or_else(|| {
            E::custom(format!(
                "{text:?} is no policy; write \"latest\", \"latest(n)\", \"all\" or a list of versions"
            ))
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Policy, A::Error> {
        let mut versions = Vec::new();
        while let Some(version) = list.next_element()? {
            versions.push(version);
        }
        Ok(Policy::Only(versions))
    }
}
