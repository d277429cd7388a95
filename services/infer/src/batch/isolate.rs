//! Finding the records that make a batch fail, with few extra runs.

/// `items` failed together with `error`. Runs parts of them until every item is settled: in a run that succeeded, or
/// alone with the error that condemns it.
///
/// A bad item costs at most `ceil(log2(items)) + 1` further runs: halves are tried until it stands alone, then whatever
/// was set aside on the way runs as one batch again. An item is never condemned on the evidence of one failed run: it
/// failed alone, or in two different companies whose other members all passed.
pub(crate) fn isolate<'a, T, O, E>(
    items: &'a [T],
    error: E,
    run: &mut impl FnMut(&'a [T]) -> Result<O, E>,
    settle: &mut impl FnMut(&'a [T], Result<O, Condemned<E>>),
) {
    let mut failed = items;
    let mut error = error;
    while let Some(suspect) = narrow(failed, error, run, settle) {
        let rest = suspect.rest;
        settle(suspect.item, Err(suspect.verdict));
        if rest.is_empty() {
            return;
        }
        match run(rest) {
            Ok(output) => return settle(rest, Ok(output)),
            Err(next) => (failed, error) = (rest, next),
        }
    }
}

/// Why an item is to blame.
#[derive(Debug)]
pub(crate) struct Condemned<E> {
    /// Of the last run that failed with it.
    pub(crate) error: E,
    /// Runs that failed with it.
    pub(crate) failed_runs: i32,
}

struct Suspect<'a, T, E> {
    item: &'a [T],
    verdict: Condemned<E>,
    /// Items after it of which nothing is known yet.
    rest: &'a [T],
}

/// Halves a failed range down to one item; settles the halves that pass on the way. `None` when the last one passes
/// too: then the failure did not belong to any one item (too little memory for the whole batch, say).
fn narrow<'a, T, O, E>(
    failed: &'a [T],
    error: E,
    run: &mut impl FnMut(&'a [T]) -> Result<O, E>,
    settle: &mut impl FnMut(&'a [T], Result<O, Condemned<E>>),
) -> Option<Suspect<'a, T, E>> {
    let mut verdict = Condemned {
        error,
        failed_runs: 1,
    };
    let (mut low, mut high) = (0, failed.len());
    let mut failed_alone = high == 1;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let half = &failed[low..middle];
        match run(half) {
            Ok(output) => {
                settle(half, Ok(output));
                low = middle;
            }
            Err(error) => {
                verdict = Condemned {
                    error,
                    failed_runs: verdict.failed_runs + 1,
                };
                high = middle;
                failed_alone = half.len() == 1;
            }
        }
    }
    let item = &failed[low..high];
    let rest = &failed[high..];
    if !failed_alone && rest.is_empty() {
        match run(item) {
            Ok(output) => {
                settle(item, Ok(output));
                return None;
            }
            Err(error) => {
                verdict = Condemned {
                    error,
                    failed_runs: verdict.failed_runs + 1,
                }
            }
        }
    }
    Some(Suspect {
        item,
        verdict,
        rest,
    })
}

#[cfg(test)]
mod tests {
    use super::isolate;

    /// Runs 0..`total` with the given bad ones; answers (bad found, good answered, extra runs).
    fn outcome(total: usize, bad: &[usize]) -> (Vec<usize>, Vec<usize>, usize) {
        let items: Vec<usize> = (0..total).collect();
        let mut runs = 0;
        let (mut condemned, mut answered) = (Vec::new(), Vec::new());
        let mut run = |part: &[usize]| {
            runs += 1;
            if part.iter().any(|item| bad.contains(item)) {
                Err(())
            } else {
                Ok(part.to_vec())
            }
        };
        isolate(&items, (), &mut run, &mut |part, result| match result {
            Ok(output) => {
                assert_eq!(part, output);
                answered.extend_from_slice(part);
            }
            Err(_) => condemned.extend_from_slice(part),
        });
        answered.sort_unstable();
        (condemned, answered, runs)
    }

    #[test]
    fn one_bad_item_is_found_in_log2_plus_one_runs_and_its_neighbours_are_answered() {
        for total in [1usize, 2, 3, 4, 5, 7, 8, 31, 64, 100] {
            let bound = usize::try_from(total.next_power_of_two().ilog2()).unwrap() + 1;
            for bad in 0..total {
                let (condemned, answered, runs) = outcome(total, &[bad]);
                assert_eq!(condemned, [bad]);
                assert_eq!(
                    answered,
                    (0..total).filter(|item| *item != bad).collect::<Vec<_>>()
                );
                assert!(
                    runs <= bound,
                    "{runs} runs for item {bad} of {total}, at most {bound} allowed"
                );
            }
        }
    }

    #[test]
    fn several_bad_items_are_all_found_in_order() {
        let (condemned, answered, runs) = outcome(64, &[0, 13, 14, 63]);
        assert_eq!(condemned, [0, 13, 14, 63]);
        assert_eq!(answered.len(), 60);
        assert!(runs <= 4 * 7, "{runs} runs");
    }

    #[test]
    fn every_item_may_be_bad() {
        let (condemned, answered, _) = outcome(5, &[0, 1, 2, 3, 4]);
        assert_eq!(condemned, [0, 1, 2, 3, 4]);
        assert!(answered.is_empty());
    }

    #[test]
    fn nobody_is_condemned_when_only_the_whole_batch_fails() {
        let items: Vec<u32> = (0..16).collect();
        let mut answered = 0;
        isolate(
            &items,
            "out of memory",
            &mut |part| Ok(part.len()),
            &mut |_, result| {
                answered += result.expect("no item fails in a smaller batch");
            },
        );
        assert_eq!(answered, 16);
    }
}
