//! DetectionOutput of SSD: boxes are decoded, overlapping ones of a class removed, the best kept.
//!
//! Caffe answers one list for all images of a batch. Here each row of the batch has its own list of
//! `keep_top_k` lines `[image, label, score, left, top, right, bottom]`, in Caffe's order; `image` is 0,
//! and lines without a detection are -1 throughout.

use super::{Context, index, signed};
use crate::caffe::text::{self, Message};
use crate::error::{LayerResult, Problem};
use crate::onnx::{Dim, ElementType, Op, Shape, Value};

const KNOWN: [&str; 12] = [
    "num_classes",
    "share_location",
    "background_label_id",
    "nms_param",
    "save_output_param",
    "code_type",
    "variance_encoded_in_target",
    "keep_top_k",
    "confidence_threshold",
    "visualize",
    "visualize_threshold",
    "save_file",
];
/// `-1` and the like: all of them.
const MAX_KEPT: u64 = 1 << 20;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    Corner,
    CenterSize,
    CornerSize,
}

struct Detection {
    classes: u64,
    background: Option<u64>,
    code: Code,
    variance_in_target: bool,
    confidence: f32,
    overlap: f32,
    /// Best boxes of a class that are looked at.
    candidates: u64,
    /// Lines of an image.
    kept: u64,
    priors: u64,
}

pub(super) fn detection_output(layer: &mut Context<'_>) -> LayerResult<Value> {
    let [location, confidence, priors] = layer.bottoms_exactly()?;
    let params = layer.params("detection_output_param", &KNOWN)?;
    let detection = Detection::read(params, &priors.shape)?;
    let rows = location.shape.0.first().copied().unwrap_or(Dim::Open);
    let boxes = Shape(vec![rows, Dim::Fixed(detection.priors), Dim::Fixed(4)]);
    let location = layer.reshape(&location, boxes)?;
    let boxes = decoded(layer, (&location, &priors), &detection)?;
    let scores = candidates(layer, &confidence, &detection)?;
    let kept = suppressed(layer, (&boxes, &scores), &detection)?;
    let best = best(layer, &kept, &detection)?;
    lines(layer, (&boxes, &best), &detection)
}

impl Detection {
    fn read(params: &Message, priors: &Shape) -> LayerResult<Self> {
        let nms = params.message("nms_param")?.unwrap_or(&text::EMPTY);
        if nms.float("eta")?.is_some_and(|eta| eta < 1.0) {
            return Err(Problem::Unsupported("nms_param.eta below 1".to_owned()));
        }
        if params.flag("share_location")? == Some(false) {
            return Err(Problem::Unsupported("share_location: false".to_owned()));
        }
        let classes = params.whole("num_classes")?.unwrap_or(0);
        let priors = priors.size(2)? / 4;
        if classes == 0 || priors == 0 {
            return Err(Problem::Misfit(
                "num_classes is 0, or there are no boxes".to_owned(),
            ));
        }
        let at_most = |name: &str, value: Option<i64>, all: u64| match value {
            Some(0) => Err(Problem::Misfit(format!("{name} is 0"))),
            Some(value) if value > 0 => Ok(all.min(value.unsigned_abs())),
            _ => Ok(all),
        };
        let candidates = at_most("top_k", nms.integer("top_k")?, priors)?;
        let all = candidates.saturating_mul(classes);
        let kept = at_most("keep_top_k", params.integer("keep_top_k")?, all)?;
        if kept > MAX_KEPT {
            return Err(Problem::Unsupported(format!("a keep_top_k of {kept}")));
        }
        let code = match params.word("code_type")?.unwrap_or("CORNER") {
            "CORNER" | "1" => Code::Corner,
            "CENTER_SIZE" | "2" => Code::CenterSize,
            "CORNER_SIZE" | "3" => Code::CornerSize,
            other => return Err(Problem::Unsupported(format!("code_type: {other}"))),
        };
        let background = params.integer("background_label_id")?.unwrap_or(0);
        Ok(Self {
            classes,
            background: u64::try_from(background)
                .ok()
                .filter(|&label| label < classes),
            code,
            variance_in_target: params.flag("variance_encoded_in_target")?.unwrap_or(false),
            confidence: params.float("confidence_threshold")?.unwrap_or(f32::MIN),
            overlap: nms.float("nms_threshold")?.unwrap_or(0.3),
            candidates,
            kept,
            priors,
        })
    }
}

/// Boxes `[N, priors, 4]` as corners.
fn decoded(
    layer: &mut Context<'_>,
    (location, priors): (&Value, &Value),
    detection: &Detection,
) -> LayerResult<Value> {
    let count = detection.priors;
    let pairs = layer.reshape(priors, Shape::fixed(&[2, count, 4]))?;
    let halves = split(layer, &pairs, 0, 2)?;
    let priors = layer.reshape(&halves[0], Shape::fixed(&[1, count, 4]))?;
    let corners = split(layer, &priors, 2, 2)?;
    let (low, high) = (&corners[0], &corners[1]);
    let mut offsets = location.clone();
    if !detection.variance_in_target {
        let variance = layer.reshape(&halves[1], Shape::fixed(&[1, count, 4]))?;
        offsets = layer.binary("Mul", location, &variance)?;
    }
    if detection.code == Code::Corner {
        return layer.binary("Add", &offsets, &priors);
    }
    let size = layer.binary("Sub", high, low)?;
    if detection.code == Code::CornerSize {
        let sizes = concat(layer, &[&size, &size], &priors.shape)?;
        let moved = layer.binary("Mul", &offsets, &sizes)?;
        return layer.binary("Add", &moved, &priors);
    }
    let parts = split(layer, &offsets, 2, 2)?;
    let sum = layer.binary("Add", low, high)?;
    let centre = layer.with_number("Mul", sum, 0.5)?;
    let moved = layer.binary("Mul", &parts[0], &size)?;
    let centre = layer.binary("Add", &moved, &centre)?;
    let grown = layer
        .graph
        .add(Op::new("Exp"), &[&parts[1]], parts[1].shape.clone())?;
    let size = layer.binary("Mul", &grown, &size)?;
    let half = layer.with_number("Mul", size, 0.5)?;
    let low = layer.binary("Sub", &centre, &half)?;
    let high = layer.binary("Add", &centre, &half)?;
    concat(layer, &[&low, &high], &location.shape)
}

/// Scores `[N, classes, priors]`; those of the background and beyond the best of a class are out of the race.
fn candidates(
    layer: &mut Context<'_>,
    confidence: &Value,
    detection: &Detection,
) -> LayerResult<Value> {
    let Detection {
        classes,
        priors,
        candidates,
        ..
    } = *detection;
    let rows = confidence.shape.0.first().copied().unwrap_or(Dim::Open);
    let shape = |[one, two]: [u64; 2]| Shape(vec![rows, Dim::Fixed(one), Dim::Fixed(two)]);
    let scores = layer.reshape(confidence, shape([priors, classes]))?;
    let turn = Op::new("Transpose").ints("perm", &[0, 2, 1]);
    let mut scores = layer
        .graph
        .add(turn, &[&scores], shape([classes, priors]))?;
    let out = layer.graph.float(f32::MIN)?;
    if let Some(background) = detection.background {
        let wanted: Vec<bool> = (0..classes).map(|label| label != background).collect();
        let wanted = layer.graph.bools(&[1, classes, 1], &wanted)?;
        scores = choose(layer, &wanted, (&scores, &out), &scores.shape)?;
    }
    if candidates == priors {
        return Ok(scores);
    }
    let (values, places) = top(layer, &scores, candidates, &shape([classes, candidates]))?;
    let sizes = layer.graph.add_as(
        Op::new("Shape"),
        &[&scores],
        (Shape::fixed(&[3]), ElementType::Int64),
    )?;
    let nothing = layer.graph.add_as(
        Op::new("Expand"),
        &[&out, &sizes],
        (scores.shape.clone(), ElementType::Float),
    )?;
    let op = Op::new("ScatterElements").int("axis", 2);
    layer
        .graph
        .add(op, &[&nothing, &places, &values], scores.shape.clone())
}

/// Scores `[N, classes · priors]` of what non-maximum suppression leaves; the lowest number elsewhere.
fn suppressed(
    layer: &mut Context<'_>,
    (boxes, scores): (&Value, &Value),
    detection: &Detection,
) -> LayerResult<Value> {
    let most = layer.graph.int64s(&[1], &[signed(detection.candidates)?])?;
    let overlap = layer.graph.floats(&[1], &[detection.overlap])?;
    let confidence = layer.graph.floats(&[1], &[detection.confidence])?;
    let found = (Shape(vec![Dim::Open, Dim::Fixed(3)]), ElementType::Int64);
    let op = Op::new("NonMaxSuppression");
    let places = layer
        .graph
        .add_as(op, &[boxes, scores, &most, &overlap, &confidence], found)?;
    let values = (Shape(vec![Dim::Open]), ElementType::Float);
    let values = layer
        .graph
        .add_as(Op::new("GatherND"), &[scores, &places], values)?;
    let out = layer.graph.float(f32::MIN)?;
    let sizes = (Shape::fixed(&[3]), ElementType::Int64);
    let sizes = layer.graph.add_as(Op::new("Shape"), &[scores], sizes)?;
    let expanded = (scores.shape.clone(), ElementType::Float);
    let nothing = layer
        .graph
        .add_as(Op::new("Expand"), &[&out, &sizes], expanded)?;
    let left = layer.graph.add(
        Op::new("ScatterND"),
        &[&nothing, &places, &values],
        scores.shape.clone(),
    )?;
    let all = detection.classes.saturating_mul(detection.priors);
    layer.reshape(&left, Shape(vec![scores.shape.0[0], Dim::Fixed(all)]))
}

/// What is kept of an image, each `[N, kept]`.
struct Best {
    scores: Value,
    labels: Value,
    boxes: Value,
    /// Whether there is a detection at all.
    there: Value,
}

/// The best of all classes, ordered by class and then by score.
fn best(layer: &mut Context<'_>, scores: &Value, detection: &Detection) -> LayerResult<Best> {
    let kept = detection.kept;
    let shape = Shape(vec![scores.shape.0[0], Dim::Fixed(kept)]);
    let (scores, places) = top(layer, scores, kept, &shape)?;
    let priors = layer.graph.int64s(&[], &[signed(detection.priors)?])?;
    let labels = layer.binary("Div", &places, &priors)?;
    let least = layer.graph.float(f32::MIN)?;
    let there = layer.graph.add_as(
        Op::new("Greater"),
        &[&scores, &least],
        (shape.clone(), ElementType::Bool),
    )?;
    // Lines without a detection come last, as if they were of a class after all others.
    let after = layer.graph.int64s(&[], &[signed(detection.classes)?])?;
    let class = choose(layer, &there, (&labels, &after), &shape)?;
    let (lines, ranks) = (signed(kept)?, (0..signed(kept)?).collect::<Vec<_>>());
    let lines = layer.graph.int64s(&[], &[lines])?;
    let ranks = layer.graph.int64s(&[1, kept], &ranks)?;
    let key = layer.binary("Mul", &class, &lines)?;
    let key = layer.binary("Add", &key, &ranks)?;
    let count = layer.graph.list(&[signed(kept)?])?;
    let op = Op::new("TopK")
        .int("axis", -1)
        .int("largest", 0)
        .int("sorted", 1);
    let results = vec![(shape.clone(), ElementType::Int64); 2];
    let sorted = layer
        .graph
        .add_many(op, &[Some(&key), Some(&count)], results)?;
    let boxes = layer.binary("Mod", &places, &priors)?;
    let mut ordered = |value: &Value| {
        let op = Op::new("GatherElements").int("axis", 1);
        layer.graph.add(op, &[value, &sorted[1]], shape.clone())
    };
    Ok(Best {
        scores: ordered(&scores)?,
        labels: ordered(&labels)?,
        boxes: ordered(&boxes)?,
        there: ordered(&there)?,
    })
}

/// `[N, kept, 7]`
fn lines(
    layer: &mut Context<'_>,
    (boxes, best): (&Value, &Best),
    detection: &Detection,
) -> LayerResult<Value> {
    let row = |columns: u64| {
        Shape(vec![
            boxes.shape.0[0],
            Dim::Fixed(detection.kept),
            Dim::Fixed(columns),
        ])
    };
    let column = |layer: &mut Context<'_>, value: &Value| layer.reshape(value, row(1));
    let places = column(layer, &best.boxes)?;
    let corners = layer.graph.add(
        Op::new("GatherND").int("batch_dims", 1),
        &[boxes, &places],
        row(4),
    )?;
    let labels = column(layer, &best.labels)?;
    let float = (row(1), ElementType::Float);
    let cast = Op::new("Cast").int("to", ElementType::Float as i64);
    let labels = layer.graph.add_as(cast, &[&labels], float)?;
    let scores = column(layer, &best.scores)?;
    let zero = layer.graph.float(0.0)?;
    let images = layer.binary("Mul", &labels, &zero)?;
    let lines = concat(layer, &[&images, &labels, &scores, &corners], &row(7))?;
    let there = column(layer, &best.there)?;
    let none = layer.graph.float(-1.0)?;
    choose(layer, &there, (&lines, &none), &row(7))
}

fn split(
    layer: &mut Context<'_>,
    value: &Value,
    axis: usize,
    parts: u64,
) -> LayerResult<Vec<Value>> {
    let size = value.shape.size(axis)? / parts;
    let sizes = layer.graph.list(&vec![signed(size)?; index(parts)?])?;
    let result = (value.shape.with(axis, Dim::Fixed(size)), value.element);
    let op = Op::new("Split").int("axis", super::signed_axis(axis));
    layer.graph.add_many(
        op,
        &[Some(value), Some(&sizes)],
        vec![result; index(parts)?],
    )
}

fn concat(layer: &mut Context<'_>, values: &[&Value], shape: &Shape) -> LayerResult<Value> {
    layer
        .graph
        .add(Op::new("Concat").int("axis", 2), values, shape.clone())
}

fn choose(
    layer: &mut Context<'_>,
    condition: &Value,
    (yes, no): (&Value, &Value),
    shape: &Shape,
) -> LayerResult<Value> {
    let result = (shape.clone(), yes.element);
    layer
        .graph
        .add_as(Op::new("Where"), &[condition, yes, no], result)
}

/// The largest along the last axis, and their places.
fn top(
    layer: &mut Context<'_>,
    value: &Value,
    count: u64,
    shape: &Shape,
) -> LayerResult<(Value, Value)> {
    let count = layer.graph.list(&[signed(count)?])?;
    let op = Op::new("TopK")
        .int("axis", -1)
        .int("largest", 1)
        .int("sorted", 1);
    let results = vec![
        (shape.clone(), ElementType::Float),
        (shape.clone(), ElementType::Int64),
    ];
    let mut found = layer
        .graph
        .add_many(op, &[Some(value), Some(&count)], results)?;
    let places = found.pop().expect("there are two results");
    Ok((found.remove(0), places))
}
