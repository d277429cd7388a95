//! Which of two lanes runs next. What somebody waits for goes first; the bulk lane gets what that leaves, and while both
//! have work, its share of the time.

use std::time::Duration;

/// The lane of a record: which of its model's topics it came from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Priority {
    /// Somebody waits for the answer.
    #[default]
    Interactive,
    /// It may wait.
    Bulk,
}

impl Priority {
    pub(crate) const ALL: [Self; 2] = [Self::Interactive, Self::Bulk];

    /// For arrays with a place for each lane.
    pub(crate) fn index(self) -> usize {
        match self {
            Self::Interactive => 0,
            Self::Bulk => 1,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Bulk => "bulk",
        }
    }
}

/// Whose turn it is, and whether the other lane had to wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) priority: Priority,
    /// Bulk went before interactive work.
    on_credit: bool,
}

/// Divides time between the lanes. Interactive work earns the bulk lane credit while that has work too; a bulk turn that
/// makes interactive work wait takes from it, and may overdraw it by that one turn.
#[derive(Debug)]
pub(crate) struct Share {
    /// Seconds for the bulk lane for each second of interactive work.
    rate: f64,
    /// Seconds.
    credit: f64,
}

impl Share {
    /// `weight`: percent of the time for the bulk lane while both have work; below 100.
    pub(crate) fn new(weight: u8) -> Self {
        let weight = f64::from(weight.min(99));
        Self {
            rate: weight / (100.0 - weight),
            credit: 0.0,
        }
    }

    /// Whose turn it is; `None` if neither lane has work.
    pub(crate) fn turn(&self, has_interactive: bool, has_bulk: bool) -> Option<Turn> {
        let on_credit = has_interactive && has_bulk && self.credit > 0.0;
        let priority = match (has_interactive, has_bulk) {
            (false, false) => return None,
            (true, _) if !on_credit => Priority::Interactive,
            _ => Priority::Bulk,
        };
        Some(Turn {
            priority,
            on_credit,
        })
    }

    /// A turn took so long; `has_bulk` says whether the bulk lane has work now.
    pub(crate) fn charge(&mut self, turn: Turn, took: Duration, has_bulk: bool) {
        let seconds = took.as_secs_f64();
        match turn.priority {
            Priority::Interactive if has_bulk => self.credit += seconds * self.rate,
            Priority::Bulk if turn.on_credit => self.credit -= seconds,
            Priority::Interactive | Priority::Bulk => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: (bool, bool) = (true, true);

    /// Seconds that each lane gets of `turns`, when an interactive turn takes 5 ms and a bulk turn 50 ms.
    fn divided(weight: u8, turns: usize, waiting: impl Fn(usize) -> (bool, bool)) -> [f64; 2] {
        let mut share = Share::new(weight);
        let mut seconds = [0.0; 2];
        for turn in 0..turns {
            let (interactive, bulk) = waiting(turn);
            let turn = share.turn(interactive, bulk).unwrap();
            let took = Duration::from_millis([5, 50][turn.priority.index()]);
            share.charge(turn, took, bulk);
            seconds[turn.priority.index()] += took.as_secs_f64();
        }
        seconds
    }

    #[test]
    fn while_both_have_work_bulk_gets_its_share_of_the_time() {
        for weight in [1, 10, 50, 90] {
            let [interactive, bulk] = divided(weight, 20_000, |_| BOTH);
            let percent = 100.0 * bulk / (interactive + bulk);
            let off = (percent - f64::from(weight)).abs();
            assert!(off < 0.5, "{percent} instead of {weight}");
        }
    }

    #[test]
    fn without_a_weight_bulk_gets_only_what_is_left() {
        let [_, bulk] = divided(0, 1_000, |_| BOTH);
        assert!(bulk == 0.0, "{bulk}");
        let [_, bulk] = divided(0, 1_000, |turn| (turn % 2 == 0, true));
        assert!(bulk > 0.0);
    }

    #[test]
    fn what_bulk_got_while_nobody_waited_is_not_held_against_it() {
        let mut share = Share::new(10);
        for _ in 0..100 {
            let turn = share.turn(false, true).unwrap();
            share.charge(turn, Duration::from_secs(1), true);
        }
        let first = share.turn(true, true).unwrap();
        assert_eq!(first.priority, Priority::Interactive);
        share.charge(first, Duration::from_millis(5), true);
        assert_eq!(share.turn(true, true).unwrap().priority, Priority::Bulk);
    }

    #[test]
    fn interactive_work_alone_earns_nothing_for_others() {
        let mut share = Share::new(50);
        let turn = share.turn(true, false).unwrap();
        share.charge(turn, Duration::from_secs(9), false);
        let turn = share.turn(true, true).unwrap();
        assert_eq!(turn.priority, Priority::Interactive);
    }
}
