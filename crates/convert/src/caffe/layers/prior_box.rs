//! PriorBox of SSD: boxes that depend on sizes alone, so they are computed here, once.

use super::{Context, index};
use crate::caffe::text::Message;
use crate::error::{LayerResult, Problem};
use crate::onnx::Value;

const KNOWN: [&str; 13] = [
    "min_size",
    "max_size",
    "aspect_ratio",
    "flip",
    "clip",
    "variance",
    "img_size",
    "img_h",
    "img_w",
    "step",
    "step_h",
    "step_w",
    "offset",
];
const MAX_BOXES: u64 = 1 << 22;

/// Boxes around each place of a feature map.
struct Priors {
    /// Width and height of each, in pixels.
    boxes: Vec<[f32; 2]>,
    image: [f32; 2],
    step: [f32; 2],
    offset: f32,
    clip: bool,
    variance: [f32; 4],
}

/// `[1, 2, places · boxes · 4]`: the boxes' corners as parts of the image, then their variances.
pub(super) fn prior_box(layer: &mut Context<'_>) -> LayerResult<Value> {
    let [map, image] = layer.bottoms_exactly()?;
    let params = layer.params("prior_box_param", &KNOWN)?;
    let size = [map.shape.size(3)?, map.shape.size(2)?];
    let priors = Priors::read(params, (size, [image.shape.size(3)?, image.shape.size(2)?]))?;
    let count = u64::try_from(priors.boxes.len()).unwrap_or(u64::MAX);
    let places = size[0].saturating_mul(size[1]);
    let boxes = Some(places.saturating_mul(count)).filter(|&boxes| boxes > 0 && boxes <= MAX_BOXES);
    let boxes = boxes
        .ok_or_else(|| Problem::Misfit(format!("it makes none or more than {MAX_BOXES} boxes")))?;
    let mut numbers = Vec::with_capacity(index(boxes * 8)?);
    for row in 0..size[1] {
        for column in 0..size[0] {
            for &sides in &priors.boxes {
                numbers.extend_from_slice(&priors.corners([column, row], sides));
            }
        }
    }
    for _ in 0..boxes {
        numbers.extend_from_slice(&priors.variance);
    }
    layer.graph.floats(&[1, 2, boxes * 4], &numbers)
}

impl Priors {
    fn read(params: &Message, (map, image): ([u64; 2], [u64; 2])) -> LayerResult<Self> {
        let own_image = pair(
            params.whole("img_w")?,
            params.whole("img_h")?,
            params.whole("img_size")?,
        );
        let image = own_image.unwrap_or(image).map(number);
        let map = map.map(number);
        let steps = pair(
            params.float("step_w")?,
            params.float("step_h")?,
            params.float("step")?,
        );
        let step = steps.filter(|step| step.iter().all(|&step| step > 0.0));
        Ok(Self {
            boxes: boxes(params)?,
            image,
            step: step.unwrap_or([image[0] / map[0], image[1] / map[1]]),
            offset: params.float("offset")?.unwrap_or(0.5),
            clip: params.flag("clip")?.unwrap_or(false),
            variance: match params.floats("variance")?.as_slice() {
                [] => [0.1; 4],
                [one] => [*one; 4],
                &[a, b, c, d] => [a, b, c, d],
                other => {
                    return Err(Problem::Misfit(format!(
                        "it has {} variances, not 1 or 4",
                        other.len()
                    )));
                }
            },
        })
    }

    /// Left, top, right, bottom of a box around a place, as parts of the image.
    fn corners(&self, place: [u64; 2], sides: [f32; 2]) -> [f32; 4] {
        let at = |axis: usize, half: f32| {
            let centre = (number(place[axis]) + self.offset) * self.step[axis];
            let part = (centre + half * sides[axis]) / self.image[axis];
            if self.clip {
                part.clamp(0.0, 1.0)
            } else {
                part
            }
        };
        [at(0, -0.5), at(1, -0.5), at(0, 0.5), at(1, 0.5)]
    }
}

/// Per size: a square of it, one between it and the larger size, then one per further ratio.
fn boxes(params: &Message) -> LayerResult<Vec<[f32; 2]>> {
    let (least, most) = (params.floats("min_size")?, params.floats("max_size")?);
    if least.is_empty() || !(most.is_empty() || most.len() == least.len()) {
        let (least, most) = (least.len(), most.len());
        return Err(Problem::Misfit(format!(
            "it has {least} min_size and {most} max_size"
        )));
    }
    let ratios = ratios(params)?;
    let mut boxes = Vec::new();
    for (place, least) in least.iter().enumerate() {
        // Caffe keeps sizes as integers when it makes the boxes.
        let least = least.trunc();
        boxes.push([least; 2]);
        if let Some(most) = most.get(place) {
            boxes.push([(least * most.trunc()).sqrt(); 2]);
        }
        for ratio in &ratios {
            boxes.push([least * ratio.sqrt(), least / ratio.sqrt()]);
        }
    }
    Ok(boxes)
}

/// Ratios other than 1 in their order, each followed by its inverse unless `flip` is off.
fn ratios(params: &Message) -> LayerResult<Vec<f32>> {
    let flip = params.flag("flip")?.unwrap_or(true);
    let mut ratios = vec![1.0_f32];
    for ratio in params.floats("aspect_ratio")? {
        if ratio <= 0.0 {
            return Err(Problem::Misfit(format!(
                "aspect_ratio {ratio} is not above 0"
            )));
        }
        if ratios.iter().any(|known| (known - ratio).abs() < 1e-6) {
            continue;
        }
        ratios.push(ratio);
        if flip {
            ratios.push(1.0 / ratio);
        }
    }
    ratios.remove(0);
    Ok(ratios)
}

/// Two values, or one for both.
fn pair<T: Copy>(width: Option<T>, height: Option<T>, both: Option<T>) -> Option<[T; 2]> {
    match (width, height) {
        (Some(width), Some(height)) => Some([width, height]),
        _ => both.map(|both| [both; 2]),
    }
}

#[allow(clippy::cast_precision_loss, reason = "sizes of images are small")]
fn number(size: u64) -> f32 {
    size as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> LayerResult<Vec<[f32; 2]>> {
        boxes(&Message::parse(text).unwrap())
    }

    #[test]
    fn boxes_are_in_caffes_order() {
        let all = of("min_size: 4.5 max_size: 9 aspect_ratio: 4 aspect_ratio: 1").unwrap();
        assert_eq!(all, [[4.0, 4.0], [6.0, 6.0], [8.0, 2.0], [2.0, 8.0]]);
        assert_eq!(
            of("min_size: 4 aspect_ratio: 4 flip: false").unwrap().len(),
            2
        );
        assert!(of("").is_err() && of("min_size: 1 max_size: 2 max_size: 3").is_err());
        assert!(of("min_size: 1 aspect_ratio: 0").is_err());
    }
}
