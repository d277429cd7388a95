//! `[images.<input>]`: which inputs are encoded images, and how these become rows.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The inputs that are encoded images, by name. Whether the options fit the input is seen when the model is loaded.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub(crate) struct ImageSections {
    pub(crate) inputs: BTreeMap<String, ImageOptions>,
}

/// What the model was trained on. The steps run in the order of the fields.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImageOptions {
    /// Whether EXIF says which way is up.
    pub orientation: Orientation,
    /// The order of the channels that the model takes.
    pub channels: Channels,
    /// The size after resizing; without it the model's own, or else the image's.
    pub resize: Option<ResizeTo>,
    /// How it is resized.
    pub filter: Filter,
    /// Whether `bilinear` looks at all pixels that a smaller image is made of, as Pillow does, or at four, as OpenCV does.
    pub antialias: bool,
    /// Height and width that are cut out of the middle.
    pub crop: Option<[usize; 2]>,
    /// What 0 to 255 is multiplied by.
    pub scale: f64,
    /// What is then taken away: one number, or one per channel in the order of `channels`.
    pub mean: Vec<f64>,
    /// What is then divided by: one number, or one per channel in the order of `channels`.
    pub std: Vec<f64>,
    /// The order of a row's dimensions; without it what the model's shape says.
    pub layout: Option<Layout>,
}

/// A size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(
    untagged,
    expecting = "expected [height, width], or one number for the shorter side"
)]
pub enum ResizeTo {
    /// Height and width, whatever the image's.
    Exactly([usize; 2]),
    /// The shorter side; the longer one follows, rounded down.
    Shorter(usize),
}

/// How an image is resized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// Linear between neighbours.
    #[default]
    Bilinear,
    /// The mean of the pixels whose centres lie in the new one.
    Area,
}

/// The channels of one pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Channels {
    /// Red first.
    #[default]
    #[serde(rename = "RGB")]
    Rgb,
    /// Blue first.
    #[serde(rename = "BGR")]
    Bgr,
    /// One channel: brightness.
    #[serde(rename = "grey", alias = "gray")]
    Grey,
}

/// The order of a row's dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Layout {
    /// Height, width, channels.
    #[serde(rename = "HWC")]
    Hwc,
    /// Channels, height, width.
    #[serde(rename = "CHW")]
    Chw,
}

/// Which way is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Orientation {
    /// As EXIF says, so that the model sees what a person sees.
    #[default]
    Exif,
    /// As the pixels are stored.
    Ignore,
}

impl Default for ImageOptions {
    fn default() -> Self {
        Self {
            orientation: Orientation::Exif,
            channels: Channels::Rgb,
            resize: None,
            filter: Filter::Bilinear,
            antialias: true,
            crop: None,
            scale: 1.0,
            mean: Vec::new(),
            std: Vec::new(),
            layout: None,
        }
    }
}
