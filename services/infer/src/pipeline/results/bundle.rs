//! What one transaction holds.

use std::collections::BTreeMap;

use millrace_kafka::{OutRecord, Tenure};

use super::draft::Drafts;
use super::entry::Entry;
use crate::metrics::ModelMetrics;
use crate::sabotage::{self, Guard};

/// Entries in the order in which they came; those of one partition follow each other without gaps.
#[derive(Debug, Default)]
pub(super) struct Bundle(Vec<Entry>);

/// How far a partition has come with a bundle, and the hold under which its records were read.
#[derive(Debug)]
pub(super) struct Advance {
    pub(super) tenure: Tenure,
    /// The next offset to read.
    pub(super) next: i64,
}

impl Bundle {
    pub(super) fn push(&mut self, entry: Entry) {
        self.0.push(entry);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Drops entries whose partitions are no longer ours; whether any is left.
    pub(super) fn keep_ours(&mut self) -> bool {
        self.0
            .retain(|entry| entry.request.is_current() || sabotage::is_missing(Guard::Tenure));
        !self.0.is_empty()
    }

    /// How far each partition comes.
    pub(super) fn advances(&self) -> Vec<Advance> {
        let mut advances: BTreeMap<i32, Advance> = BTreeMap::new();
        for entry in &self.0 {
            let Some(tenure) = entry.request.tenure() else {
                continue;
            };
            let next = entry.request.record.offset + 1;
            let known = advances
                .entry(tenure.partition().partition)
                .or_insert(Advance { tenure, next });
            known.next = known.next.max(next);
        }
        advances.into_values().collect()
    }

    /// All records, to be given back if they were not written.
    pub(super) fn take_records(&mut self) -> Vec<OutRecord> {
        self.0
            .iter_mut()
            .flat_map(|entry| std::mem::take(&mut entry.records))
            .collect()
    }

    /// What [`take_records`](Self::take_records) took; `counts` says how many are whose.
    pub(super) fn give_back(&mut self, records: Vec<OutRecord>, counts: &[usize]) {
        let mut records = records.into_iter();
        for (entry, count) in self.0.iter_mut().zip(counts) {
            entry.records = records.by_ref().take(*count).collect();
        }
    }

    /// How many records each entry has.
    pub(super) fn counts(&self) -> Vec<usize> {
        self.0.iter().map(|entry| entry.records.len()).collect()
    }

    /// The record at `index` cannot be written: its entry gets smaller ones.
    ///
    /// # Errors
    /// When there is nothing smaller.
    pub(super) fn shrink(
        &mut self,
        drafts: &Drafts,
        index: usize,
        reason: &str,
    ) -> anyhow::Result<()> {
        let mut before = 0;
        for entry in &mut self.0 {
            if index < before + entry.records.len() {
                return entry.shrink(drafts, index - before, reason);
            }
            before += entry.records.len();
        }
        anyhow::bail!("record {index} of a transaction was refused, which has {before}: {reason}")
    }

    /// Everything is durable.
    pub(super) fn finish(self, metrics: &ModelMetrics) {
        self.0.iter().for_each(|entry| entry.finish(metrics));
    }
}
