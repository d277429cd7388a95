//! A decoded image: what every file format becomes, and what is done to it before it is resized.

/// Rows of pixels from the top, each pixel 1 byte (grey) or 3 (red, green, blue).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pixels {
    pub(super) width: usize,
    pub(super) height: usize,
    /// 1 or 3.
    pub(super) channels: usize,
    /// `height × width × channels`.
    pub(super) bytes: Vec<u8>,
}

impl Pixels {
    /// Of pixels of 1 to 4 samples, of which the second and the fourth are opacity, which is dropped: what lies under a
    /// transparent pixel counts, as with Pillow's `convert("RGB")`.
    pub(super) fn without_alpha([width, height, samples]: [usize; 3], bytes: Vec<u8>) -> Self {
        let channels = if samples >= 3 { 3 } else { 1 };
        let bytes = if samples == channels {
            bytes
        } else {
            let mut kept = Vec::with_capacity(width * height * channels);
            for pixel in bytes.chunks_exact(samples.max(1)) {
                kept.extend_from_slice(&pixel[..channels]);
            }
            kept
        };
        Self {
            width,
            height,
            channels,
            bytes,
        }
    }

    /// In one channel: the brightness of ITU-R 601, rounded as Pillow rounds it.
    pub(super) fn into_grey(self) -> Self {
        if self.channels == 1 {
            return self;
        }
        let bytes = self.bytes.chunks_exact(3).map(brightness).collect();
        Self {
            channels: 1,
            bytes,
            ..self
        }
    }

    /// Turned and mirrored so that it stands upright; `orientation` is the number of the EXIF tag, 1 to 8.
    pub(super) fn upright(self, orientation: u8) -> Self {
        if !(2..=8).contains(&orientation) {
            return self;
        }
        let (old_width, old_height) = (self.width, self.height);
        let (width, height) = if orientation >= 5 {
            (old_height, old_width)
        } else {
            (old_width, old_height)
        };
        let mut bytes = Vec::with_capacity(self.bytes.len());
        for y in 0..height {
            for x in 0..width {
                let (from_x, from_y) = match orientation {
                    2 => (old_width - 1 - x, y),
                    3 => (old_width - 1 - x, old_height - 1 - y),
                    4 => (x, old_height - 1 - y),
                    5 => (y, x),
                    6 => (y, old_height - 1 - x),
                    7 => (old_width - 1 - y, old_height - 1 - x),
                    _ => (old_width - 1 - y, x),
                };
                let start = (from_y * old_width + from_x) * self.channels;
                bytes.extend_from_slice(&self.bytes[start..start + self.channels]);
            }
        }
        Self {
            width,
            height,
            channels: self.channels,
            bytes,
        }
    }
}

fn brightness(pixel: &[u8]) -> u8 {
    let [red, green, blue] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
    let sum = red * 19_595 + green * 38_470 + blue * 7_471 + 0x8000;
    u8::try_from(sum >> 16).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(width: usize, height: usize) -> Pixels {
        let bytes = (0..width * height)
            .map(|index| u8::try_from(index).unwrap())
            .collect();
        Pixels {
            width,
            height,
            channels: 1,
            bytes,
        }
    }

    #[test]
    fn every_orientation_puts_the_first_pixel_where_exif_says_and_keeps_all_others() {
        // 0 1 2
        // 3 4 5
        let cases: [(u8, [usize; 2], [u8; 6]); 8] = [
            (1, [3, 2], [0, 1, 2, 3, 4, 5]),
            (2, [3, 2], [2, 1, 0, 5, 4, 3]),
            (3, [3, 2], [5, 4, 3, 2, 1, 0]),
            (4, [3, 2], [3, 4, 5, 0, 1, 2]),
            (5, [2, 3], [0, 3, 1, 4, 2, 5]),
            (6, [2, 3], [3, 0, 4, 1, 5, 2]),
            (7, [2, 3], [5, 2, 4, 1, 3, 0]),
            (8, [2, 3], [2, 5, 1, 4, 0, 3]),
        ];
        for (orientation, [width, height], expected) in cases {
            let turned = numbered(3, 2).upright(orientation);
            assert_eq!(turned.bytes, expected, "orientation {orientation}");
            assert_eq!([turned.width, turned.height], [width, height]);
        }
    }

    #[test]
    fn opacity_is_dropped() {
        let pixels = Pixels::without_alpha([1, 1, 4], vec![10, 20, 30, 0]);
        assert_eq!((pixels.channels, pixels.bytes), (3, vec![10, 20, 30]));
        let pixels = Pixels::without_alpha([2, 1, 2], vec![7, 0, 8, 255]);
        assert_eq!((pixels.channels, pixels.bytes), (1, vec![7, 8]));
    }

    #[test]
    fn grey_is_what_pillow_makes_of_the_primary_colours() {
        let bytes = vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 9, 9];
        let grey = Pixels::without_alpha([4, 1, 3], bytes).into_grey();
        assert_eq!(grey.bytes, [76, 150, 29, 9]);
    }
}
