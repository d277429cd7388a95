//! Lists of lists, checked to be rectangular while they are read, without recursion.

use crate::Limits;

use super::scanner::{Next, Scanner};
use super::stop::{Fault, Stop};

/// Where the elements of innermost lists go.
pub(super) trait Leaves {
    /// Reads one element.
    fn read_one(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Stop>;

    /// Reads the elements of a list whose bracket was read and which is not empty, and the closing
    /// bracket. Returns how many; may stop after one more than `expected`, with [`Length::Over`].
    fn read_list(
        &mut self,
        scanner: &mut Scanner<'_>,
        expected: Option<usize>,
    ) -> Result<Length, Stop>;
}

/// How long an innermost list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// Read to its end.
    Exactly(usize),
    /// Longer than expected, not read further.
    Over,
}

/// Reads one value with as many dimensions as `dimensions`; those that are `None` are learned from
/// the first list at their level.
pub(super) fn read_nested(
    scanner: &mut Scanner<'_>,
    dimensions: &mut [Option<usize>],
    leaves: &mut impl Leaves,
) -> Result<(), Stop> {
    let Some(innermost) = dimensions.len().checked_sub(1) else {
        return leaves.read_one(scanner);
    };
    let mut lists = Lists {
        dimensions,
        counts: [0; Limits::MAX_RANK],
        starts: [0; Limits::MAX_RANK],
        level: 0,
    };
    loop {
        while lists.level < innermost {
            lists.open(scanner)?;
            lists.level += 1;
        }
        lists.read_innermost(scanner, leaves)?;
        if lists.close_finished(scanner)? {
            return Ok(());
        }
    }
}

/// The lists that are open, outermost first.
struct Lists<'d> {
    dimensions: &'d mut [Option<usize>],
    counts: [usize; Limits::MAX_RANK],
    starts: [usize; Limits::MAX_RANK],
    level: usize,
}

impl Lists<'_> {
    /// Reads the bracket of the list at the current level, which holds lists and must not be empty.
    fn open(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Stop> {
        self.bracket(scanner)?;
        if scanner.peek() == Some(b']') {
            return Err(self.wrong_size(Some(0)));
        }
        self.counts[self.level] = 0;
        Ok(())
    }

    fn bracket(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Stop> {
        let level = self.level;
        if scanner.peek() != Some(b'[') {
            return Err(Stop {
                fault: Fault::NotAList { level },
                at: scanner.at(),
            });
        }
        self.starts[level] = scanner.at();
        scanner.advance_to(scanner.at() + 1);
        Ok(())
    }

    fn read_innermost(
        &mut self,
        scanner: &mut Scanner<'_>,
        leaves: &mut impl Leaves,
    ) -> Result<(), Stop> {
        self.bracket(scanner)?;
        let length = if scanner.take(b']') {
            Length::Exactly(0)
        } else {
            leaves.read_list(scanner, self.dimensions[self.level])?
        };
        match length {
            Length::Exactly(count) => self.learn(count),
            Length::Over => Err(self.wrong_size(None)),
        }
    }

    /// After a list: closes the lists that end here; true when the outermost did.
    fn close_finished(&mut self, scanner: &mut Scanner<'_>) -> Result<bool, Stop> {
        while let Some(outer) = self.level.checked_sub(1) {
            self.level = outer;
            self.counts[outer] += 1;
            match scanner.after_element()? {
                Next::Closed => self.learn(self.counts[outer])?,
                Next::Another if self.dimensions[outer] == Some(self.counts[outer]) => {
                    return Err(self.wrong_size(None));
                }
                Next::Another => {
                    self.level += 1;
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The list at the current level has `count` elements: as expected, or from now on expected.
    fn learn(&mut self, count: usize) -> Result<(), Stop> {
        if *self.dimensions[self.level].get_or_insert(count) == count {
            return Ok(());
        }
        Err(self.wrong_size(Some(count)))
    }

    #[cold]
    fn wrong_size(&self, given: Option<usize>) -> Stop {
        Stop {
            fault: Fault::Size {
                level: self.level,
                expected: self.dimensions[self.level],
                given,
            },
            at: self.starts[self.level],
        }
    }
}
