//! The run-length encoding of BMP.

/// How many bits an index has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunLength {
    /// 4: `BI_RLE4`.
    Nibbles,
    /// 8: `BI_RLE8`.
    Bytes,
}

/// The palette indices of all pixels, row by row as the file has them; 0 where it jumps over some. `None` when the data
/// end before the image does, or leave it.
pub(super) fn unpack_runs(
    data: &[u8],
    [width, height]: [usize; 2],
    kind: RunLength,
) -> Option<Vec<u8>> {
    let mut canvas = Canvas {
        indices: vec![0; width * height],
        width,
        height,
        x: 0,
        y: 0,
    };
    let mut rest = data;
    while canvas.y < height {
        let (&[count, value], after) = rest.split_first_chunk::<2>()?;
        rest = after;
        match (count, value) {
            (0, 0) => (canvas.x, canvas.y) = (0, canvas.y + 1),
            (0, 1) => break,
            (0, 2) => {
                let (&[right, up], after) = rest.split_first_chunk::<2>()?;
                rest = after;
                canvas.x += usize::from(right);
                canvas.y += usize::from(up);
            }
            (0, literal) => {
                let size_bytes = match kind {
                    RunLength::Bytes => usize::from(literal),
                    RunLength::Nibbles => usize::from(literal).div_ceil(2),
                };
                let (packed, after) = rest.split_at_checked(size_bytes.next_multiple_of(2))?;
                rest = after;
                for place in 0..usize::from(literal) {
                    canvas.put(index_at(packed, place, kind)?)?;
                }
            }
            (count, value) => {
                let pair = match kind {
                    RunLength::Bytes => [value, value],
                    RunLength::Nibbles => [value >> 4, value & 15],
                };
                for place in 0..usize::from(count) {
                    canvas.put(pair[place % 2])?;
                }
            }
        }
    }
    Some(canvas.indices)
}

fn index_at(packed: &[u8], place: usize, kind: RunLength) -> Option<u8> {
    match kind {
        RunLength::Bytes => packed.get(place).copied(),
        RunLength::Nibbles => packed.get(place / 2).map(|pair| match place % 2 {
            0 => pair >> 4,
            _ => pair & 15,
        }),
    }
}

struct Canvas {
    indices: Vec<u8>,
    width: usize,
    height: usize,
    x: usize,
    y: usize,
}

impl Canvas {
    fn put(&mut self, index: u8) -> Option<()> {
        if self.x >= self.width || self.y >= self.height {
            return None;
        }
        *self.indices.get_mut(self.y * self.width + self.x)? = index;
        self.x += 1;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_literals_jumps_and_ends_of_lines_are_unpacked() {
        // Two 5s, end of line, a literal of 3 padded to 4, then one up and one right, one 9, the end.
        let data = [2, 5, 0, 0, 0, 3, 1, 2, 3, 0, 0, 0, 0, 2, 1, 0, 1, 9, 0, 1];
        let indices = unpack_runs(&data, [3, 3], RunLength::Bytes);
        assert_eq!(indices.unwrap(), [5, 5, 0, 1, 2, 3, 0, 9, 0]);
        let nibbles = unpack_runs(&[3, 0x12, 0, 1], [3, 1], RunLength::Nibbles);
        assert_eq!(nibbles.unwrap(), [1, 2, 1]);
    }

    #[test]
    fn data_that_end_early_or_leave_the_image_are_refused() {
        assert_eq!(unpack_runs(&[2], [2, 1], RunLength::Bytes), None);
        assert_eq!(unpack_runs(&[3, 5, 0, 1], [2, 1], RunLength::Bytes), None);
        // A run may not go on in the next row either.
        let long = [3, 5, 0, 0, 1, 5, 0, 1];
        assert_eq!(unpack_runs(&long, [2, 2], RunLength::Bytes), None);
        assert_eq!(unpack_runs(&[0, 200, 1], [9, 9], RunLength::Bytes), None);
    }
}
