//! Elements of fixed size, written straight into the buffer that becomes the tensor.

use std::marker::PhantomData;

use arrow::buffer::{Buffer, MutableBuffer};

use super::element::Element;
use super::limits::{JsonLimits, Strictness};
use super::nested::{Leaves, Length};
use super::scanner::{Scanner, skip_whitespace};
use super::stop::{Fault, MISSING_COMMA_IN_LIST, Stop, syntax};

/// The elements of one input so far; the buffer may be longer than what is filled.
#[derive(Debug)]
pub(super) struct FixedValues {
    buffer: MutableBuffer,
    filled: usize,
    max_elements: usize,
    strictness: Strictness,
}

impl FixedValues {
    pub(super) fn new(limits: &JsonLimits) -> Self {
        Self {
            buffer: MutableBuffer::new(0),
            filled: 0,
            max_elements: limits.max_elements,
            strictness: limits.rules.strictness,
        }
    }

    /// Elements so far.
    pub(super) fn len(&self) -> usize {
        self.filled
    }

    /// The elements from `first` on.
    pub(super) fn from<T: arrow::datatypes::ArrowNativeType>(&self, first: usize) -> &[T] {
        let places = self.buffer.typed_data::<T>();
        places.get(first..self.filled).unwrap_or_default()
    }

    /// The elements, each of `size_bytes`, at a 64-byte boundary.
    pub(super) fn finish(mut self, size_bytes: usize) -> Buffer {
        self.buffer.truncate(self.filled * size_bytes);
        self.buffer.into()
    }

    /// The same values, to be read as elements of type `E`.
    pub(super) fn of<E: Element>(&mut self) -> FixedLeaves<'_, E> {
        FixedLeaves {
            values: self,
            element: PhantomData,
        }
    }

    /// Zeroed places for the next elements: `wanted`, or fewer if the body cannot hold that many.
    fn places<T: arrow::datatypes::ArrowNativeType>(
        &mut self,
        wanted: Option<usize>,
        scanner: &Scanner<'_>,
    ) -> Result<&mut [T], Stop> {
        // An element takes at least one byte, and one for the comma or bracket after it.
        let possible = scanner.remaining() / 2 + 1;
        let allowed = self.max_elements - self.filled;
        if allowed == 0 {
            return Err(Stop {
                fault: Fault::TooManyElements,
                at: scanner.at(),
            });
        }
        let guess = self.filled.max(64);
        let count = wanted.unwrap_or(guess).min(possible).min(allowed);
        let end = self.filled + count;
        if end * size_of::<T>() > self.buffer.len() {
            self.grow::<T>(end, scanner);
        }
        let places = self.buffer.typed_data_mut::<T>();
        Ok(&mut places[self.filled..end])
    }

    /// Makes the buffer at least `end` elements long, with room for what the rest of the body
    /// will bring if it goes on like this.
    #[cold]
    fn grow<T>(&mut self, end: usize, scanner: &Scanner<'_>) {
        let possible = self.filled + scanner.remaining() / 2 + 1;
        let so_far = scanner.at().max(1);
        let forecast = self.filled + self.filled.saturating_mul(scanner.remaining()) / so_far;
        let room = (forecast + forecast / 16)
            .min(possible)
            .min(self.max_elements);
        let missing = room.saturating_sub(self.filled) * size_of::<T>();
        let spare = self.buffer.len() - self.filled * size_of::<T>();
        self.buffer.reserve(missing.saturating_sub(spare));
        let roomy = end.max((2 * self.filled + 64).min(possible).min(self.max_elements));
        self.buffer.resize(roomy * size_of::<T>(), 0);
    }
}

/// [`FixedValues`] together with their element type.
pub(super) struct FixedLeaves<'v, E> {
    values: &'v mut FixedValues,
    element: PhantomData<E>,
}

impl<E: Element> Leaves for FixedLeaves<'_, E> {
    fn read_one(&mut self, scanner: &mut Scanner<'_>) -> Result<(), Stop> {
        scanner.peek();
        let (value, end) = E::read(scanner.bytes(), scanner.at())?;
        if self.values.strictness == Strictness::Strict && !E::is_finite(value) {
            return Err(Stop {
                fault: Fault::NotFinite,
                at: scanner.at(),
            });
        }
        if let [place] = self.values.places(Some(1), scanner)? {
            *place = value;
        }
        self.values.filled += 1;
        scanner.advance_to(end);
        Ok(())
    }

    fn read_list(
        &mut self,
        scanner: &mut Scanner<'_>,
        expected: Option<usize>,
    ) -> Result<Length, Stop> {
        let mut count = 0;
        loop {
            let wanted = expected.map(|expected| expected - count);
            if wanted == Some(0) {
                return Ok(Length::Over);
            }
            let strictness = self.values.strictness;
            let places = self.values.places(wanted, scanner)?;
            let read = fill::<E>(scanner.bytes(), scanner.at(), places)?;
            if strictness == Strictness::Strict {
                check_finite::<E>(scanner, places.get(..read.count).unwrap_or_default())?;
            }
            self.values.filled += read.count;
            count += read.count;
            scanner.advance_to(read.end);
            if read.closed {
                return Ok(Length::Exactly(count));
            }
        }
    }
}

/// Stops at the first of the values just read that is not finite.
fn check_finite<E: Element>(scanner: &Scanner<'_>, values: &[E::Native]) -> Result<(), Stop> {
    let Some(first) = values.iter().position(|&value| !E::is_finite(value)) else {
        return Ok(());
    };
    let mut scanner = scanner.clone();
    for _ in 0..first {
        scanner.peek();
        let (_, end) = E::read(scanner.bytes(), scanner.at())?;
        scanner.advance_to(end);
        scanner.after_element()?;
    }
    scanner.peek();
    Err(Stop {
        fault: Fault::NotFinite,
        at: scanner.at(),
    })
}

/// What [`fill`] read.
struct Filled {
    count: usize,
    end: usize,
    /// True if the list ended, false if the places did and another element follows.
    closed: bool,
}

/// The loop that everything else is for: elements of one list into `places`, from `at` on.
fn fill<E: Element>(bytes: &[u8], mut at: usize, places: &mut [E::Native]) -> Result<Filled, Stop> {
    let mut count = 0;
    for place in places {
        at = skip_whitespace(bytes, at);
        (*place, at) = E::read(bytes, at)?;
        count += 1;
        if bytes.get(at) != Some(&b',') {
            at = skip_whitespace(bytes, at);
            match bytes.get(at) {
                Some(b',') => {}
                Some(b']') => {
                    let end = at + 1;
                    return Ok(Filled {
                        count,
                        end,
                        closed: true,
                    });
                }
                _ => return Err(syntax(MISSING_COMMA_IN_LIST, at)),
            }
        }
        at += 1;
    }
    Ok(Filled {
        count,
        end: at,
        closed: false,
    })
}
