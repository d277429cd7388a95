//! Resizing with the arithmetic of Pillow's `Image.resize`, bit for bit: weights in fixed point with 22 bits, first
//! across, then down, rounded to bytes after each.

use super::pixels::Pixels;

/// Bits after the point of a weight: 8 bits of sample and 2 bits of headroom leave 22 of 32.
const PRECISION_BITS: u32 = 32 - 8 - 2;

/// Which old pixels a new one is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// A triangle as wide as two new pixels: Pillow's `BILINEAR`.
    Bilinear,
    /// A triangle of two old pixels whatever the new size: `INTER_LINEAR` of OpenCV and `antialias=False` elsewhere.
    BilinearPoint,
    /// Every old pixel whose centre lies in the new one counts the same: Pillow's `BOX`.
    Area,
}

/// A new size, and the part of it that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Height and width of the whole resized image.
    pub(super) size: [usize; 2],
    /// Top and left of what is wanted of it.
    pub(super) start: [usize; 2],
    /// Height and width of what is wanted of it.
    pub(super) wanted: [usize; 2],
}

/// The wanted part of the resized image, as if all of it were computed and then cut out.
pub(super) fn resample(pixels: Pixels, window: &Window, kernel: Kernel) -> Pixels {
    let [height, width] = window.size;
    let down = Axis {
        old: pixels.height,
        new: height,
        start: window.start[0],
        count: window.wanted[0],
    };
    let across = Axis {
        old: pixels.width,
        new: width,
        start: window.start[1],
        count: window.wanted[1],
    };
    if down.is_whole() && across.is_whole() {
        return pixels;
    }
    let (rows, columns) = (taps(&down, kernel), taps(&across, kernel));
    let bytes = match pixels.channels {
        1 => passes::<1>(&pixels, &rows, &columns),
        _ => passes::<3>(&pixels, &rows, &columns),
    };
    Pixels {
        width: across.count,
        height: down.count,
        channels: pixels.channels,
        bytes,
    }
}

/// One direction: `count` new pixels from `start` on, of `new` that are made of `old`.
#[derive(Debug)]
struct Axis {
    old: usize,
    new: usize,
    start: usize,
    count: usize,
}

impl Axis {
    fn is_whole(&self) -> bool {
        self.old == self.new && self.count == self.new
    }
}

/// What one new pixel is made of: the old ones from `first` on, times the weights.
#[derive(Debug)]
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

impl Taps {
    fn end(&self) -> usize {
        self.first + self.weights.len()
    }
}

fn taps(axis: &Axis, kernel: Kernel) -> Vec<Taps> {
    let wanted = axis.start..axis.start + axis.count;
    if axis.old == axis.new {
        // Pillow leaves a side alone that keeps its length.
        let alone = |first| Taps {
            first,
            weights: vec![1 << PRECISION_BITS],
        };
        return wanted.map(alone).collect();
    }
    wanted.map(|place| taps_of(place, axis, kernel)).collect()
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "sides are far below 2^52, places are clamped to them, and weights are at most 1"
)]
fn taps_of(place: usize, axis: &Axis, kernel: Kernel) -> Taps {
    let ratio = axis.old as f64 / axis.new as f64;
    let stretch = match kernel {
        Kernel::BilinearPoint => 1.0,
        Kernel::Bilinear | Kernel::Area => ratio.max(1.0),
    };
    let support = match kernel {
        Kernel::Area => 0.5 * stretch,
        Kernel::Bilinear | Kernel::BilinearPoint => stretch,
    };
    let centre = (place as f64 + 0.5) * ratio;
    let first = (centre - support + 0.5).max(0.0) as usize;
    let end = ((centre + support + 0.5) as usize).min(axis.old);
    let weight = |old: usize| {
        let distance = (old as f64 - centre + 0.5) * (1.0 / stretch);
        match kernel {
            Kernel::Area if distance > -0.5 && distance <= 0.5 => 1.0,
            Kernel::Area => 0.0,
            Kernel::Bilinear | Kernel::BilinearPoint => (1.0 - distance.abs()).max(0.0),
        }
    };
    let exact: Vec<f64> = (first..end).map(weight).collect();
    let sum: f64 = exact.iter().sum();
    let one = f64::from(1u32 << PRECISION_BITS);
    let fixed = |weight: &f64| {
        let share = if sum == 0.0 { *weight } else { weight / sum };
        (0.5 + share * one) as i32
    };
    Taps {
        first,
        weights: exact.iter().map(fixed).collect(),
    }
}

/// Both passes, one old row after another, so that no more than one of them is held: an image may be a strip of
/// millions of rows.
fn passes<const C: usize>(pixels: &Pixels, rows: &[Taps], columns: &[Taps]) -> Vec<u8> {
    let old_stride = pixels.width * C;
    let stride = columns.len() * C;
    let mut sums = vec![1i32 << (PRECISION_BITS - 1); rows.len() * stride];
    let mut narrow = Vec::with_capacity(stride);
    let first = rows.iter().map(|it| it.first).min().unwrap_or(0);
    let end = rows.iter().map(Taps::end).max().unwrap_or(0);
    // New rows begin and end in order, so those that an old one belongs to stand together.
    let mut done = 0;
    for old in first..end {
        while rows.get(done).is_some_and(|it| it.end() <= old) {
            done += 1;
        }
        let row = &pixels.bytes[old * old_stride..(old + 1) * old_stride];
        pass_across::<C>(row, columns, &mut narrow);
        for (new, taps) in rows.iter().enumerate().skip(done) {
            if taps.first > old {
                break;
            }
            let Some(weight) = taps.weights.get(old - taps.first) else {
                continue;
            };
            let sums = &mut sums[new * stride..(new + 1) * stride];
            for (sum, sample) in sums.iter_mut().zip(&narrow) {
                *sum += i32::from(*sample) * weight;
            }
        }
    }
    sums.into_iter().map(to_byte).collect()
}

fn pass_across<const C: usize>(row: &[u8], columns: &[Taps], narrow: &mut Vec<u8>) {
    narrow.clear();
    for taps in columns {
        let mut sums = [1i32 << (PRECISION_BITS - 1); C];
        let old = &row[taps.first * C..taps.end() * C];
        for (pixel, weight) in old.chunks_exact(C).zip(&taps.weights) {
            for channel in 0..C {
                sums[channel] += i32::from(pixel[channel]) * weight;
            }
        }
        narrow.extend(sums.map(to_byte));
    }
}

fn to_byte(sum: i32) -> u8 {
    let rounded = (sum >> PRECISION_BITS).clamp(0, 255);
    u8::try_from(rounded).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(height: usize, width: usize) -> Window {
        Window {
            size: [height, width],
            start: [0, 0],
            wanted: [height, width],
        }
    }

    fn slope() -> Pixels {
        Pixels {
            width: 4,
            height: 1,
            channels: 1,
            bytes: vec![0, 40, 80, 120],
        }
    }

    #[test]
    fn a_slope_is_resized_as_pillow_does_it() {
        let resized = |width, kernel| resample(slope(), &whole(1, width), kernel).bytes;
        assert_eq!(resized(2, Kernel::Bilinear), [29, 91]);
        assert_eq!(resized(2, Kernel::Area), [20, 100]);
        assert_eq!(resized(2, Kernel::BilinearPoint), [20, 100]);
        assert_eq!(
            resized(8, Kernel::Bilinear),
            [0, 10, 30, 50, 70, 90, 110, 120]
        );
        assert_eq!(resized(8, Kernel::Area), [0, 0, 40, 40, 80, 80, 120, 120]);
    }

    #[test]
    fn a_part_is_what_the_whole_has_there() {
        let bytes: Vec<u8> = (0..37 * 23 * 3u32)
            .map(|it| u8::try_from(it * 7919 % 256).unwrap())
            .collect();
        let pixels = Pixels {
            width: 37,
            height: 23,
            channels: 3,
            bytes,
        };
        for kernel in [Kernel::Bilinear, Kernel::BilinearPoint, Kernel::Area] {
            let all = resample(pixels.clone(), &whole(11, 50), kernel);
            let window = Window {
                size: [11, 50],
                start: [3, 9],
                wanted: [5, 20],
            };
            let part = resample(pixels.clone(), &window, kernel);
            for row in 0..5 {
                let from = ((row + 3) * 50 + 9) * 3;
                assert_eq!(
                    part.bytes[row * 60..(row + 1) * 60],
                    all.bytes[from..from + 60]
                );
            }
        }
    }
}
