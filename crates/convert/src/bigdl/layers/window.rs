//! Windows that go over images: sizes of what comes out, and how much lies beyond the edges.

use crate::bigdl::messages::Module;
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, checked};

/// What stands for padding so that each stride gives one result.
const SAME: i64 = -1;

/// How a window goes along each axis of an image.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) axes: Vec<Steps>,
}

/// How a window goes along one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Steps {
    pub(super) kernel: u64,
    pub(super) stride: u64,
    pub(super) pad: Pad,
    pub(super) dilation: u64,
}

/// What lies beyond the edges.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pad {
    /// So much on either side.
    Both(u64),
    /// As much as makes a result of each stride.
    Same,
}

/// Names of a window's attributes for each axis: kernel, stride, padding, dilation (empty: none).
pub(super) type Names = [&'static str; 4];

impl Window {
    /// A window by its attributes; it is `SAME` where the padding of all axes is -1.
    pub(super) fn of(module: &Module, names: &[Names]) -> LayerResult<Self> {
        let mut axes = Vec::with_capacity(names.len());
        for [kernel, stride, pad, dilation] in names {
            let pad = match (module.int_or(pad, 0)?, *pad) {
                (SAME, _) => Pad::Same,
                (pad, name) => Pad::Both(
                    u64::try_from(pad).map_err(|_| Problem::Misfit(format!("{name} is {pad}")))?,
                ),
            };
            axes.push(Steps {
                kernel: module.size(kernel)?,
                stride: module.size(stride)?,
                pad,
                dilation: if dilation.is_empty() {
                    1
                } else {
                    module.size(dilation)?
                },
            });
        }
        let same = axes.iter().filter(|it| it.pad == Pad::Same).count();
        if same != 0 && same != axes.len() {
            return Err(Problem::Misfit(
                "padding is -1 for one axis alone".to_owned(),
            ));
        }
        Ok(Self { axes })
    }

    pub(super) fn is_same(&self) -> bool {
        self.axes.iter().all(|it| it.pad == Pad::Same)
    }

    pub(super) fn list(&self, of: impl Fn(&Steps) -> u64) -> LayerResult<Vec<i64>> {
        self.axes
            .iter()
            .map(|steps| super::arrange::signed(of(steps)))
            .collect()
    }
}

impl Steps {
    /// How far apart the first and the last element of a window are, and one.
    pub(super) fn reach(&self) -> LayerResult<u64> {
        checked(
            self.kernel
                .checked_sub(1)
                .and_then(|it| it.checked_mul(self.dilation))
                .and_then(|it| it.checked_add(1)),
        )
    }

    /// Padding before and behind, and the number of results, for so many elements.
    pub(super) fn place(&self, size: u64, ceil: bool) -> LayerResult<(u64, u64, u64)> {
        let reach = self.reach()?;
        let pad = match self.pad {
            Pad::Both(pad) => pad,
            Pad::Same => {
                let count = size.div_ceil(self.stride);
                let span = checked(
                    count
                        .saturating_sub(1)
                        .checked_mul(self.stride)
                        .and_then(|it| it.checked_add(reach)),
                )?;
                let beyond = span.saturating_sub(size);
                return Ok((beyond / 2, beyond - beyond / 2, count));
            }
        };
        let padded = checked(pad.checked_mul(2).and_then(|it| it.checked_add(size)))?;
        let room = padded.checked_sub(reach);
        let room = room.ok_or_else(|| {
            Problem::Misfit(format!("a window of {reach} is larger than {padded}"))
        })?;
        let mut count = if ceil {
            room.div_ceil(self.stride)
        } else {
            room / self.stride
        } + 1;
        // A window must not begin behind the image.
        if ceil && pad > 0 && (count - 1).saturating_mul(self.stride) >= size.saturating_add(pad) {
            count -= 1;
        }
        let end = checked(
            (count - 1)
                .checked_mul(self.stride)
                .and_then(|it| it.checked_add(reach)),
        )?;
        Ok((pad, pad.max(end.saturating_sub(size + pad)), count))
    }

    /// The number of results where the size may be open.
    pub(super) fn results(&self, size: Dim, ceil: bool) -> LayerResult<Dim> {
        match size {
            Dim::Fixed(size) => Ok(Dim::Fixed(self.place(size, ceil)?.2)),
            Dim::Open => Ok(Dim::Open),
            Dim::Batch => Err(Problem::MixesRows("a window".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(kernel: u64, stride: u64, pad: Pad) -> Steps {
        Steps {
            kernel,
            stride,
            pad,
            dilation: 1,
        }
    }

    #[test]
    fn windows_are_counted_down_or_up() {
        assert_eq!(steps(3, 2, Pad::Both(0)).place(8, false), Ok((0, 0, 3)));
        assert_eq!(steps(3, 2, Pad::Both(0)).place(8, true), Ok((0, 1, 4)));
        assert_eq!(steps(3, 2, Pad::Both(1)).place(8, true), Ok((1, 2, 5)));
    }

    #[test]
    fn a_window_that_would_begin_in_the_padding_is_left_out() {
        assert_eq!(steps(2, 2, Pad::Both(1)).place(7, true), Ok((1, 1, 4)));
        assert_eq!(steps(2, 2, Pad::Both(1)).place(6, true), Ok((1, 1, 4)));
    }

    #[test]
    fn same_padding_has_its_odd_element_behind() {
        assert_eq!(steps(3, 2, Pad::Same).place(8, false), Ok((0, 1, 4)));
        assert_eq!(steps(2, 2, Pad::Same).place(7, false), Ok((0, 1, 4)));
    }

    #[test]
    fn hostile_sizes_are_refused() {
        assert!(steps(5, 1, Pad::Both(1)).place(2, false).is_err());
        assert!(
            steps(u64::MAX, 1, Pad::Both(u64::MAX))
                .place(2, false)
                .is_err()
        );
        assert!(steps(1, 1, Pad::Same).place(u64::MAX, false).is_err());
        let dilated = Steps {
            dilation: u64::MAX,
            ..steps(3, 1, Pad::Same)
        };
        assert!(dilated.place(4, false).is_err());
    }
}
