//! Requests whose copies are on their way: bounded in number and bytes, finished in the order of each partition.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use millrace_kafka::{OutRecord, Record};

/// Copies and replies that are held at the same time.
const MAX_BYTES: usize = 64 << 20;

/// What is on its way.
pub(super) struct Window {
    /// The copies' ids begin so.
    id_prefix: String,
    lanes: BTreeMap<i32, VecDeque<Running>>,
    open: usize,
    bytes: usize,
    max_open: usize,
}

/// A request, its value gone into the copy.
struct Running {
    request: Record,
    bytes: usize,
    sent: Instant,
    outcome: Outcome,
}

enum Outcome {
    Open,
    /// Nothing is written for it: it was a copy itself.
    Passed,
    Answered(Box<OutRecord>),
}

/// What a partition has come to.
pub(super) struct Finished {
    pub(super) partition: i32,
    pub(super) offset: i64,
    /// `None` for what was passed over.
    pub(super) result: Option<OutRecord>,
}

impl Window {
    pub(super) fn new(id_prefix: String, max_open: usize) -> Self {
        Self {
            id_prefix,
            lanes: BTreeMap::new(),
            open: 0,
            bytes: 0,
            max_open,
        }
    }

    /// How many more requests may be sent.
    pub(super) fn room(&self) -> usize {
        match self.open > 0 && self.bytes >= MAX_BYTES {
            true => 0,
            false => self.max_open.saturating_sub(self.open),
        }
    }

    /// Whether no answer is awaited.
    pub(super) fn is_quiet(&self) -> bool {
        self.open == 0
    }

    /// The id of a request's copy.
    pub(super) fn id(&self, request: &Record) -> String {
        format!("{}{}-{}", self.id_prefix, request.partition, request.offset)
    }

    /// A request whose copy, of so many bytes, is sent now.
    pub(super) fn begin(&mut self, request: Record, bytes: usize) {
        self.open += 1;
        self.bytes += bytes;
        self.push(request, bytes, Outcome::Open);
    }

    /// A request that is passed over, in its turn.
    pub(super) fn pass(&mut self, request: Record) {
        self.push(request, 0, Outcome::Passed);
    }

    fn push(&mut self, mut request: Record, bytes: usize, outcome: Outcome) {
        request.value = None;
        let lane = self.lanes.entry(request.partition).or_default();
        lane.push_back(Running {
            request,
            bytes,
            sent: Instant::now(),
            outcome,
        });
    }

    /// Takes in a reply; `make` gets the request and how long it took. A second reply changes nothing.
    pub(super) fn answer(
        &mut self,
        id: &str,
        make: impl FnOnce(&Record, Duration) -> anyhow::Result<OutRecord>,
    ) -> anyhow::Result<()> {
        let Some((partition, offset)) = self.place(id) else {
            return Ok(());
        };
        let Some(lane) = self.lanes.get_mut(&partition) else {
            return Ok(());
        };
        let Ok(index) = lane.binary_search_by_key(&offset, |it| it.request.offset) else {
            return Ok(());
        };
        let running = &mut lane[index];
        if matches!(running.outcome, Outcome::Open) {
            let result = make(&running.request, running.sent.elapsed())?;
            let bytes = result.size_bytes();
            self.bytes = self.bytes + bytes - running.bytes;
            running.bytes = bytes;
            running.outcome = Outcome::Answered(Box::new(result));
            self.open -= 1;
        }
        Ok(())
    }

    fn place(&self, id: &str) -> Option<(i32, i64)> {
        let (partition, offset) = id.strip_prefix(&self.id_prefix)?.split_once('-')?;
        Some((partition.parse().ok()?, offset.parse().ok()?))
    }

    /// The next request that is finished with all before it in its partition.
    pub(super) fn take_finished(&mut self) -> Option<Finished> {
        for (partition, lane) in &mut self.lanes {
            let finished = lane.pop_front_if(|it| !matches!(it.outcome, Outcome::Open));
            let Some(finished) = finished else {
                continue;
            };
            self.bytes -= finished.bytes;
            return Some(Finished {
                partition: *partition,
                offset: finished.request.offset,
                result: match finished.outcome {
                    Outcome::Answered(result) => Some(*result),
                    Outcome::Open | Outcome::Passed => None,
                },
            });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use millrace_kafka::Headers;

    use super::*;
    use crate::replay::copy::tests::record;

    fn result() -> OutRecord {
        OutRecord {
            topic: "t".into(),
            partition: None,
            key: None,
            value: None,
            headers: Headers::new(),
        }
    }

    #[test]
    fn what_is_answered_early_waits_for_its_turn_and_twice_is_once() {
        let mut window = Window::new("0f-".to_owned(), 3);
        for offset in [4, 5] {
            window.begin(record(1, offset, &[]), 100);
        }
        window.pass(record(1, 6, &[]));
        assert_eq!(window.room(), 1);
        let answer = |window: &mut Window, id: &str| {
            window.answer(id, |_, _| Ok(result())).unwrap();
        };
        answer(&mut window, "0f-1-5");
        answer(&mut window, "0f-1-5");
        answer(&mut window, "other-1-4");
        assert!(window.take_finished().is_none());
        answer(&mut window, "0f-1-4");
        let finished: Vec<_> = std::iter::from_fn(|| window.take_finished())
            .map(|it| (it.partition, it.offset, it.result.is_some()))
            .collect();
        assert_eq!(finished, [(1, 4, true), (1, 5, true), (1, 6, false)]);
        assert!(window.is_quiet());
        assert_eq!((window.bytes, window.room()), (0, 3));
    }
}
