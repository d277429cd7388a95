//! Why an encoded image does not become pixels. The words are for the caller who sent it.

use std::error::Error;
use std::fmt;

/// The kinds of files that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Baseline and progressive.
    Jpeg,
    /// Every colour type and depth.
    Png,
    /// Lossy and lossless; of an animation the first frame.
    WebP,
    /// Uncompressed and run-length encoded.
    Bmp,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::WebP => "WebP",
            Format::Bmp => "BMP",
        })
    }
}

/// Why an encoded image is refused.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The first bytes are those of no format that is read here.
    #[error("{size_bytes} bytes are neither a JPEG, PNG, WebP nor BMP file")]
    UnknownFormat {
        /// How many bytes there are.
        size_bytes: usize,
    },
    /// The file ends before the image does.
    #[error("the {format} file ends before the image does")]
    Truncated {
        /// What it is.
        format: Format,
    },
    /// The decoder gave up.
    #[error("the {format} file is damaged: {source}")]
    Damaged {
        /// What it is.
        format: Format,
        /// What the decoder says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A kind of the format that is not read.
    #[error("the {format} file has {what}, which is not supported; convert it to PNG")]
    Unsupported {
        /// What it is.
        format: Format,
        /// What is not supported.
        what: &'static str,
    },
    /// More pixels than are allowed, by its header, whatever the size of the file.
    #[error(
        "the image of {width} × {height} pixels is larger than images.max_pixels, which is {max_pixels}; send a smaller one"
    )]
    TooLarge {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// What is allowed.
        max_pixels: usize,
    },
    /// It has no pixels.
    #[error("the {format} file has no pixels")]
    Empty {
        /// What it is.
        format: Format,
    },
    /// Nothing can be cut out of it.
    #[error("the image of {width} × {height} pixels is smaller than what is cut out of it, {} × {} pixels", .crop[1], .crop[0])]
    SmallerThanCrop {
        /// Pixels in a row, after resizing.
        width: usize,
        /// Rows, after resizing.
        height: usize,
        /// Height and width that are cut out.
        crop: [usize; 2],
    },
    /// The decoder panicked; that is our fault, but another try would end the same way.
    #[error("the image makes its decoder fail: {0}")]
    Panicked(String),
}

impl ImageError {
    pub(super) fn damaged(format: Format, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Damaged {
            format,
            source: source.into(),
        }
    }
}
