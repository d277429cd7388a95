//! Notices when dead letters have become the rule: then nothing more may leave, and reading has to end. Offsets stay, so
//! what was not answered is read again.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::settings::DeadLetterSettings;

/// The window is forgotten in so many parts.
const PARTS: u32 = 10;

/// The limit of one lane of a model.
#[derive(Debug)]
pub(crate) struct Limit {
    settings: DeadLetterSettings,
    /// Beside the lock, for those who only want to know.
    is_reached: AtomicBool,
    state: Mutex<State>,
}

/// What became of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// An answer, or a refusal that is not the record's fault.
    Answered,
    DeadLetter,
}

#[derive(Debug)]
enum State {
    Counting(Window),
    /// The first records after a pause decide.
    Trying(Count),
    Reached(String),
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    records: u64,
    letters: u64,
}

/// What became of the records of the last while.
#[derive(Debug, Default)]
struct Window {
    parts: VecDeque<(Instant, Count)>,
    sum: Count,
}

impl Limit {
    pub(crate) fn new(settings: DeadLetterSettings) -> Self {
        Self {
            settings,
            is_reached: AtomicBool::new(false),
            state: Mutex::new(State::Counting(Window::default())),
        }
    }

    /// Whether this may leave. Once something may not, nothing may before [`try_again`](Self::try_again).
    pub(crate) fn admit(&self, fate: Fate, now: Instant) -> bool {
        if self.settings.max_share >= 1.0 {
            return true;
        }
        let mut state = self.lock();
        let sentence = match &mut *state {
            State::Reached(_) => return false,
            State::Counting(window) => {
                let before = window.sum_at(now, self.settings.window);
                if fate == Fate::Answered || !self.is_too_much(before) {
                    window.add(fate, now, self.settings.window);
                    return true;
                }
                self.sentence(before)
            }
            State::Trying(count) => {
                if fate == Fate::Answered || !self.is_trial_failed(*count) {
                    count.add(fate);
                    if count.records >= u64::from(self.settings.trial_records)
                        && !self.is_trial_failed(*count)
                    {
                        *state = State::Counting(Window::default());
                    }
                    return true;
                }
                self.sentence(*count)
            }
        };
        *state = State::Reached(sentence);
        self.is_reached.store(true, Ordering::Release);
        false
    }

    /// Whether nothing may leave any more.
    pub(crate) fn is_reached(&self) -> bool {
        self.is_reached.load(Ordering::Acquire)
    }

    /// Why nothing may leave; `None` if it may.
    pub(crate) fn complaint(&self) -> Option<String> {
        match &*self.lock() {
            State::Reached(sentence) => Some(sentence.clone()),
            State::Counting(_) | State::Trying(_) => None,
        }
    }

    /// The next few records may leave, and decide whether more may.
    pub(crate) fn try_again(&self) {
        let mut state = self.lock();
        if matches!(*state, State::Reached(_)) {
            *state = State::Trying(Count::default());
            self.is_reached.store(false, Ordering::Release);
        }
    }

    /// How long to wait before that.
    pub(crate) fn pause(&self) -> Duration {
        self.settings.pause
    }

    fn is_too_much(&self, count: Count) -> bool {
        count.letters >= u64::from(self.settings.min_count)
            && is_above(count.letters, self.settings.max_share, count.records)
    }

    /// Whether so many of the trial's records have failed that the others cannot make up for it.
    fn is_trial_failed(&self, count: Count) -> bool {
        let records = u64::from(self.settings.trial_records).max(count.records);
        is_above(count.letters, self.settings.max_share, records)
    }

    fn sentence(&self, count: Count) -> String {
        let Count { records, letters } = count;
        format!(
            "dead letters are the rule: {letters} of the last {records} records; reading has ended, offsets stay. \
             `millrace dead-letters list` shows why; mend the model or its callers: reading is tried again every {:?}, \
             and when a version is loaded",
            self.settings.pause
        )
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[allow(clippy::cast_precision_loss)] // Counts of a minute are far below 2^53.
fn is_above(letters: u64, share: f64, records: u64) -> bool {
    letters as f64 > share * records as f64
}

impl Count {
    fn add(&mut self, fate: Fate) {
        self.records += 1;
        self.letters += u64::from(fate == Fate::DeadLetter);
    }
}

impl Window {
    /// What the window holds now.
    fn sum_at(&mut self, now: Instant, window: Duration) -> Count {
        while let Some((began, count)) = self.parts.front()
            && now.saturating_duration_since(*began) >= window
        {
            self.sum.records -= count.records;
            self.sum.letters -= count.letters;
            self.parts.pop_front();
        }
        self.sum
    }

    fn add(&mut self, fate: Fate, now: Instant, window: Duration) {
        let last = self.parts.back();
        let is_new =
            last.is_none_or(|(began, _)| now.saturating_duration_since(*began) >= window / PARTS);
        if is_new {
            self.parts.push_back((now, Count::default()));
        }
        if let Some((_, count)) = self.parts.back_mut() {
            count.add(fate);
        }
        self.sum.add(fate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn limit() -> Limit {
        Limit::new(DeadLetterSettings {
            max_share: 0.5,
            window: WINDOW,
            min_count: 20,
            pause: Duration::from_secs(30),
            trial_records: 10,
        })
    }

    /// How many of so many dead letters in a row are let out.
    fn let_out(limit: &Limit, letters: usize, now: Instant) -> usize {
        let admitted = (0..letters).filter(|_| limit.admit(Fate::DeadLetter, now));
        admitted.count()
    }

    #[test]
    fn all_records_poison_lets_out_the_least_count_and_then_nothing() {
        let (limit, now) = (limit(), Instant::now());
        assert_eq!(let_out(&limit, 1_000, now), 20);
        assert!(limit.is_reached());
        assert!(!limit.admit(Fate::Answered, now), "order and offsets");
        let complaint = limit.complaint().unwrap();
        assert!(
            complaint.contains("20 of the last 20 records"),
            "{complaint}"
        );
    }

    #[test]
    fn fewer_than_the_share_never_end_reading() {
        let (limit, now) = (limit(), Instant::now());
        for _ in 0..1_000 {
            assert!(limit.admit(Fate::Answered, now));
            assert!(limit.admit(Fate::DeadLetter, now));
        }
        assert_eq!(limit.complaint(), None);
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let (limit, start) = (limit(), Instant::now());
        for part in 0..100 {
            let now = start + WINDOW * part;
            assert_eq!(let_out(&limit, 19, now), 19);
        }
        assert!(!limit.is_reached());
    }

    #[test]
    fn after_a_pause_a_few_records_decide() {
        let (limit, now) = (limit(), Instant::now());
        let_out(&limit, 21, now);
        limit.try_again();
        assert_eq!(let_out(&limit, 1_000, now), 6, "6 of 10 are too many");
        limit.try_again();
        for _ in 0..5 {
            assert!(limit.admit(Fate::DeadLetter, now));
            assert!(limit.admit(Fate::Answered, now));
        }
        assert_eq!(
            let_out(&limit, 1_000, now),
            20,
            "it counts as from the start"
        );
    }

    #[test]
    fn a_share_of_one_is_no_limit() {
        let limit = Limit::new(DeadLetterSettings {
            max_share: 1.0,
            ..DeadLetterSettings::default()
        });
        assert_eq!(let_out(&limit, 5_000, Instant::now()), 5_000);
    }
}
