//! Tests of a slot before and after its engines are there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use millrace_wire::{DType, Signature, Status, TensorSpec};

use super::{Slot, Station};
use crate::batch::BatchLimits;
use crate::engine::LoadError;
use crate::metrics::Metrics;
use crate::models::LoadedModel;
use crate::pipeline::outcome::{Refusal, Stage};
use crate::settings::Settings;

/// A model without engines: nobody takes from its queue.
fn model() -> LoadedModel {
    let spec = |name: &str| TensorSpec {
        name: name.to_owned(),
        dtype: DType::Float32,
        shape: vec![None, Some(4)],
    };
    LoadedModel {
        name: "m".to_owned(),
        version: 3,
        sha256: "ab".repeat(32),
        engine: "onnx",
        signature: Signature {
            inputs: vec![spec("x")],
            outputs: vec![spec("y")],
        },
        inputs: vec![spec("x")],
        images: None,
        batch: BatchLimits {
            max_rows: 8,
            max_bytes: 1 << 20,
            max_delay: Duration::ZERO,
        },
        engines: Vec::new(),
        build: Arc::new(|| Err(LoadError::NoInputs)),
    }
}

fn station(rings: &Arc<AtomicUsize>) -> Station {
    let rings = Arc::clone(rings);
    let bell = Box::new(move || {
        rings.fetch_add(1, Ordering::Relaxed);
    });
    let metrics = Metrics::default().of_model("m").of_version(3);
    let images = Settings::default().images;
    Station::new(&model(), metrics, bell, (&images, 10))
}

#[test]
fn a_slot_has_its_station_from_its_first_engines_on_and_keeps_it() {
    let rings = Arc::default();
    let slot = Slot::new(3);
    assert!(slot.station().is_none());
    let (first, waiting) = slot.open(station(&rings));
    assert!(waiting.is_empty());
    let (second, _) = slot.open(station(&rings));
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(first.served.version, 3);
}

#[test]
fn the_bell_rings_once_while_engines_are_away_and_again_the_next_time() {
    let rings: Arc<AtomicUsize> = Arc::default();
    let station = station(&rings);
    let rung = || rings.load(Ordering::Relaxed);
    station.ring_unless(true);
    assert_eq!(rung(), 0, "engines are there");
    station.close();
    station.ring_unless(false);
    station.ring_unless(false);
    assert_eq!(rung(), 1);
    station.reopen();
    station.close();
    station.ring_unless(false);
    assert_eq!(rung(), 2);
}

#[test]
fn a_station_without_engine_threads_has_ended() {
    let station = station(&Arc::default());
    assert!(station.has_ended());
    let (go, wait) = std::sync::mpsc::channel::<()>();
    station.man(vec![std::thread::spawn(move || {
        let _ = wait.recv();
    })]);
    assert!(!station.has_ended());
    drop(go);
    while !station.has_ended() {
        std::thread::yield_now();
    }
}

#[test]
fn a_barred_slot_has_nothing_to_hand_out_twice() {
    let slot = Slot::new(3);
    let refusal = Refusal::new(Status::Unavailable, Stage::Load, "it is no model");
    assert!(slot.bar(refusal.clone()).is_empty());
    assert!(slot.bar(refusal).is_empty());
}
