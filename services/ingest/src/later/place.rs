//! Where in a results partition the result of one request can be.
//!
//! Results stand in the order of their requests, and each names its request's
//! offset. So the place is found as a word in a dictionary: by opening the
//! partition at a few offsets. What does not keep the order lies close by:
//! after a crash infer repeats the last results, and a result that was too
//! large is replaced a little later. A reader therefore reads on past the place.
//!
//! Results of the bulk lane stand between them and say nothing of the place. Where
//! they stand so close that no other is near, there is no place to be found this way.

use std::ops::Range;

/// So many records are read one after the other rather than searched.
const NEAR: i64 = 256;

/// So many records after its place a result is still looked for.
pub(super) const BEYOND: i64 = 2_000;

/// How far a probe looks for a result of the right request partition.
pub(super) const LOOK_AHEAD: i64 = 64;

/// What a probe found at an offset or shortly after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Where it found a result.
    pub(super) offset: i64,
    /// The offset of that result's request.
    pub(super) request: i64,
}

/// What there is at an offset or shortly after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    Mark(Mark),
    /// Nothing of the request's partition.
    Nothing,
    /// So many results of the bulk lane that nothing is known.
    Bulk,
}

/// The offsets, out of those in `bounds`, at which the result of `request` can
/// be; `None` if a probe met the bulk lane alone. Recent results take the fewest
/// probes.
///
/// # Errors
/// Those of `probe`.
pub(super) fn place<E>(
    bounds: Range<i64>,
    request: i64,
    mut probe: impl FnMut(i64) -> Result<Probe, E>,
) -> Result<Option<Range<i64>>, E> {
    let Range {
        start: mut low,
        end: mut high,
    } = bounds;
    let mut step = NEAR;
    while high - low > step {
        let at = high - step;
        match before(probe(at)?, high, request) {
            Side::Unknown => return Ok(None),
            Side::After(offset) => {
                low = offset;
                break;
            }
            Side::Before => high = at,
        }
        step = step.saturating_mul(4);
    }
    while high - low > NEAR {
        let middle = low + (high - low) / 2;
        match before(probe(middle)?, high, request) {
            Side::Unknown => return Ok(None),
            Side::After(offset) => low = offset,
            Side::Before => high = middle,
        }
    }
    Ok(Some(low..high.saturating_add(BEYOND).min(bounds.end)))
}

/// Where the place is, as seen from a probe.
enum Side {
    Unknown,
    Before,
    /// At this offset or after it: the probe found an earlier request.
    After(i64),
}

fn before(probe: Probe, high: i64, request: i64) -> Side {
    match probe {
        Probe::Bulk => Side::Unknown,
        Probe::Mark(mark) if mark.offset < high && mark.request < request => {
            Side::After(mark.offset + 1)
        }
        Probe::Mark(_) | Probe::Nothing => Side::Before,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;

    /// Whether the place of `request` in these results has it, and the probes it took.
    fn search(results: &[Option<i64>], request: i64) -> (bool, usize) {
        let probes = Cell::new(0);
        let end = i64::try_from(results.len()).unwrap();
        let index = |offset: i64| usize::try_from(offset).unwrap();
        let probe = |at: i64| {
            probes.set(probes.get() + 1);
            let mut near = at..end.min(at + LOOK_AHEAD);
            let mark = near.find_map(|offset| {
                let request = results[index(offset)]?;
                Some(Probe::Mark(Mark { offset, request }))
            });
            Ok::<_, Infallible>(mark.unwrap_or(Probe::Nothing))
        };
        let place = place(0..end, request, probe).unwrap().unwrap();
        let found = results[index(place.start)..index(place.end)].contains(&Some(request));
        assert!(place.end - place.start <= NEAR + BEYOND, "{place:?}");
        (found, probes.get())
    }

    fn in_order(count: i64) -> Vec<Option<i64>> {
        (0..count).map(Some).collect()
    }

    #[test]
    fn every_result_of_an_orderly_partition_is_found() {
        for count in [0, 1, 2, 255, 256, 257, 5_000] {
            let results = in_order(count);
            for request in 0..count {
                assert!(search(&results, request).0, "{request} of {count}");
            }
            assert!(!search(&results, count).0);
        }
    }

    #[test]
    fn a_million_results_take_few_probes_and_a_fresh_one_fewer() {
        let results = in_order(1_000_000);
        assert!(search(&results, 123_456).1 <= 24);
        assert!(search(&results, 999_900).1 <= 2);
        assert!(search(&results, 1_000_000).1 <= 2);
    }

    #[test]
    fn results_of_other_partitions_in_between_do_not_mislead() {
        let results: Vec<_> = (0..60_000)
            .map(|it| (it % 3 == 1).then_some(it / 3))
            .collect();
        for request in (0..20_000).step_by(37) {
            assert!(search(&results, request).0, "{request}");
        }
    }

    #[test]
    fn what_infer_repeats_after_a_crash_is_found() {
        let mut results = in_order(10_000);
        results.extend((9_000..12_000).map(Some));
        for request in (0..12_000).step_by(7) {
            assert!(search(&results, request).0, "{request}");
        }
    }

    #[test]
    fn a_result_that_came_late_is_found() {
        let mut results = in_order(20_000);
        let late = results.remove(5_000);
        results.insert(5_900, late);
        assert!(search(&results, 5_000).0);
        assert!(search(&results, 5_001).0);
    }

    #[test]
    fn a_probe_that_met_the_bulk_lane_alone_ends_the_search() {
        let probe = |_| Ok::<_, Infallible>(Probe::Bulk);
        assert_eq!(place(0..5_000, 7, probe), Ok(None));
        assert_eq!(
            place(0..100, 7, probe),
            Ok(Some(0..100)),
            "no probe is needed"
        );
    }
}
