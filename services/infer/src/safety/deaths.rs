//! How often processes died at the same record, or while loading the same model version.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use super::journal::Entry;

/// After so many deaths a record runs in a process of its own, and so does a load.
pub(super) const SUSPECT: u32 = 2;
/// A load that ends so many processes in a row is not tried again, even if it does no harm in a process of its own.
const HOPELESS: u32 = 4;
/// A death is forgotten after a day: the topic may have been made anew, or the memory have been short.
const KEPT_S: u64 = 24 * 3600;
/// The newest are kept.
const MOST_RECORDS: usize = 20_000;
const MOST_LOADS: usize = 1_000;

/// What the state folder remembers, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Deaths {
    records: Vec<AtRecord>,
    loads: Vec<AtLoad>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct AtRecord {
    topic: String,
    partition: i32,
    offset: i64,
    deaths: u32,
    last_unix_s: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct AtLoad {
    model: String,
    version: i64,
    fingerprint: String,
    deaths: u32,
    last_unix_s: u64,
    /// Why it is not tried again.
    refused: Option<String>,
}

/// What is to be done with a load.
#[derive(Debug, PartialEq)]
pub(super) enum LoadAdvice {
    /// Load it.
    Go,
    /// Try it in a process of its own first.
    TryApart(u32),
    /// Do not try it until its files change.
    Refuse(String),
}

impl Deaths {
    /// One process died while it did this; a record that several of its threads ran counts once.
    pub(super) fn count(&mut self, entries: &[Entry], now_unix_s: u64) {
        let mut known: HashMap<(String, i32, i64), usize> = HashMap::new();
        for (index, record) in self.records.iter().enumerate() {
            let key = (record.topic.clone(), record.partition, record.offset);
            known.insert(key, index);
        }
        let mut counted = HashSet::new();
        for entry in entries {
            match entry {
                Entry::Running { topic, spans, .. } => {
                    for (partition, offset) in spans.iter().flat_map(|span| {
                        span.offsets()
                            .take(MOST_RECORDS)
                            .map(|offset| (span.partition, offset))
                    }) {
                        let key = (topic.clone(), partition, offset);
                        let index = *known.entry(key).or_insert(self.records.len());
                        if index == self.records.len() {
                            self.records.push(AtRecord {
                                topic: topic.clone(),
                                partition,
                                offset,
                                deaths: 0,
                                last_unix_s: 0,
                            });
                        }
                        if counted.insert(index) {
                            let record = &mut self.records[index];
                            record.deaths += 1;
                            record.last_unix_s = now_unix_s;
                        }
                    }
                }
                Entry::Loading {
                    model,
                    version,
                    fingerprint,
                } => self.count_load((model, *version, fingerprint), now_unix_s),
            }
        }
        self.forget(now_unix_s);
    }

    fn count_load(&mut self, (model, version, fingerprint): (&str, i64, &str), now_unix_s: u64) {
        // Other files of this version are gone.
        self.loads.retain(|load| {
            load.model != model || load.version != version || load.fingerprint == fingerprint
        });
        let is_it = |load: &&mut AtLoad| load.model == model && load.version == version;
        if let Some(load) = self.loads.iter_mut().find(is_it) {
            load.deaths += 1;
            load.last_unix_s = now_unix_s;
        } else {
            self.loads.push(AtLoad {
                model: model.to_owned(),
                version,
                fingerprint: fingerprint.to_owned(),
                deaths: 1,
                last_unix_s: now_unix_s,
                refused: None,
            });
        }
    }

    /// Drops what is old, and the oldest of what is too much.
    fn forget(&mut self, now_unix_s: u64) {
        let is_recent = |last: u64| now_unix_s.saturating_sub(last) < KEPT_S;
        self.records.retain(|record| is_recent(record.last_unix_s));
        self.loads
            .retain(|load| load.refused.is_some() || is_recent(load.last_unix_s));
        self.records
            .sort_by_key(|record| std::cmp::Reverse(record.last_unix_s));
        self.records.truncate(MOST_RECORDS);
        self.loads
            .sort_by_key(|load| std::cmp::Reverse(load.last_unix_s));
        self.loads.truncate(MOST_LOADS);
    }

    /// Records that may be to blame: topic → partition and offset → deaths.
    pub(super) fn suspects(&self) -> HashMap<String, HashMap<(i32, i64), u32>> {
        let mut suspects: HashMap<String, HashMap<(i32, i64), u32>> = HashMap::new();
        for record in self.records.iter().filter(|it| it.deaths >= SUSPECT) {
            suspects
                .entry(record.topic.clone())
                .or_default()
                .insert((record.partition, record.offset), record.deaths);
        }
        suspects
    }

    /// Whether a process died while it loaded these files.
    pub(super) fn has_died(&self, (model, version, fingerprint): (&str, i64, &str)) -> bool {
        self.loads.iter().any(|load| {
            load.model == model && load.version == version && load.fingerprint == fingerprint
        })
    }

    pub(super) fn advice(&self, (model, version, fingerprint): (&str, i64, &str)) -> LoadAdvice {
        let is_it = |load: &&AtLoad| {
            load.model == model && load.version == version && load.fingerprint == fingerprint
        };
        let Some(load) = self.loads.iter().find(is_it) else {
            return LoadAdvice::Go;
        };
        if let Some(reason) = &load.refused {
            return LoadAdvice::Refuse(reason.clone());
        }
        match load.deaths {
            0..SUSPECT => LoadAdvice::Go,
            deaths @ SUSPECT..HOPELESS => LoadAdvice::TryApart(deaths),
            deaths @ HOPELESS.. => LoadAdvice::Refuse(format!(
                "{deaths} processes died while they loaded it, though it loads in a process of its own; it is not \
                 tried again until its files change"
            )),
        }
    }

    /// The version was loaded after all.
    pub(super) fn absolve_load(&mut self, (model, version, fingerprint): (&str, i64, &str)) {
        self.loads.retain(|load| {
            load.model != model || load.version != version || load.fingerprint != fingerprint
        });
    }

    /// The version is not tried again until its files change.
    pub(super) fn refuse_load(
        &mut self,
        (model, version, fingerprint): (&str, i64, &str),
        reason: &str,
    ) {
        let is_it = |load: &&mut AtLoad| {
            load.model == model && load.version == version && load.fingerprint == fingerprint
        };
        if let Some(load) = self.loads.iter_mut().find(is_it) {
            load.refused = Some(reason.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::journal::Span;
    use super::*;

    fn running(offsets: std::ops::Range<i64>) -> Entry {
        let records = u32::try_from(offsets.end - offsets.start).unwrap();
        let span = Span {
            partition: 0,
            first: offsets.start,
            records,
        };
        Entry::Running {
            model: "m".to_owned(),
            version: 1,
            topic: "t".to_owned(),
            spans: vec![span],
        }
    }

    fn loading(fingerprint: &str) -> Entry {
        Entry::Loading {
            model: "m".to_owned(),
            version: 1,
            fingerprint: fingerprint.to_owned(),
        }
    }

    fn suspects(deaths: &Deaths) -> Vec<i64> {
        let mut offsets: Vec<i64> = deaths
            .suspects()
            .remove("t")
            .unwrap_or_default()
            .into_keys()
            .map(|(_, offset)| offset)
            .collect();
        offsets.sort_unstable();
        offsets
    }

    #[test]
    fn only_records_that_ran_in_two_deaths_are_suspects() {
        let mut deaths = Deaths::default();
        deaths.count(&[running(0..8)], 1_000);
        assert!(suspects(&deaths).is_empty());
        deaths.count(&[running(6..12)], 1_001);
        assert_eq!(suspects(&deaths), [6, 7]);
    }

    #[test]
    fn a_record_in_two_threads_of_one_process_died_once() {
        let mut deaths = Deaths::default();
        deaths.count(&[running(0..4), running(2..6)], 1_000);
        assert!(suspects(&deaths).is_empty());
    }

    #[test]
    fn deaths_are_forgotten_after_a_day() {
        let mut deaths = Deaths::default();
        deaths.count(&[running(0..2), loading("a")], 1_000);
        deaths.count(&[], 1_000 + KEPT_S);
        assert_eq!(deaths, Deaths::default());
    }

    #[test]
    fn the_newest_are_kept_when_there_are_too_many() {
        let mut deaths = Deaths::default();
        let most = i64::try_from(MOST_RECORDS).unwrap();
        deaths.count(&[running(0..most)], 1_000);
        deaths.count(&[running(most..most + 10)], 1_001);
        assert_eq!(deaths.records.len(), MOST_RECORDS);
        deaths.count(&[running(most..most + 10)], 1_002);
        assert_eq!(suspects(&deaths).len(), 10);
    }

    #[test]
    fn a_load_is_tried_apart_after_two_deaths_and_refused_for_good_when_it_fails_there() {
        let mut deaths = Deaths::default();
        deaths.count(&[loading("a")], 1_000);
        assert_eq!(deaths.advice(("m", 1, "a")), LoadAdvice::Go);
        deaths.count(&[loading("a")], 1_001);
        assert_eq!(deaths.advice(("m", 1, "a")), LoadAdvice::TryApart(2));
        deaths.refuse_load(("m", 1, "a"), "it crashes");
        deaths.count(&[], 1_001 + 2 * KEPT_S);
        let refused = LoadAdvice::Refuse("it crashes".to_owned());
        assert_eq!(deaths.advice(("m", 1, "a")), refused);
        assert_eq!(
            deaths.advice(("m", 1, "b")),
            LoadAdvice::Go,
            "other files are tried"
        );
    }

    #[test]
    fn a_load_that_goes_well_apart_and_kills_all_the_same_is_given_up() {
        let mut deaths = Deaths::default();
        for second in 0..HOPELESS {
            deaths.count(&[loading("a")], u64::from(second));
        }
        assert!(matches!(
            deaths.advice(("m", 1, "a")),
            LoadAdvice::Refuse(_)
        ));
    }

    #[test]
    fn only_deaths_with_no_good_load_between_them_count() {
        let mut deaths = Deaths::default();
        deaths.count(&[loading("a")], 1_000);
        deaths.absolve_load(("m", 1, "a"));
        deaths.count(&[loading("a")], 1_001);
        assert_eq!(deaths.advice(("m", 1, "a")), LoadAdvice::Go);
    }

    #[test]
    fn it_reads_back_what_it_wrote() {
        let mut deaths = Deaths::default();
        deaths.count(&[running(0..3), loading("a")], 1_000);
        let text = serde_json::to_string(&deaths).unwrap();
        assert_eq!(serde_json::from_str::<Deaths>(&text).unwrap(), deaths);
    }
}
