//! Whether a change of what is wanted of a model is done, by what its replicas say.

use millrace_wire::avro::{
    Canary, ControlChange, ModelControl, ModelDescriptor, ModelState, Progress,
};

use crate::golden;

/// What a replica says of a version that it serves, going by the control record at offset 7.
fn serves(replica: &str, version: i64) -> ModelDescriptor {
    let message = golden::read("avro", "model-available.avro");
    ModelDescriptor {
        version,
        replica: replica.to_owned(),
        labels: Vec::new(),
        control_offset: 7,
        canary_percent: 0,
        ..ModelDescriptor::decode(&message).unwrap()
    }
}

fn rests(replica: &str, version: i64, state: ModelState, reason: &str) -> ModelDescriptor {
    ModelDescriptor {
        state,
        reason: reason.to_owned(),
        ..serves(replica, version)
    }
}

fn labelled(mut it: ModelDescriptor, label: &str, percent: i32) -> ModelDescriptor {
    it.labels = vec![label.to_owned()];
    it.canary_percent = percent;
    it
}

#[track_caller]
fn check(change: &ControlChange, said: &[ModelDescriptor], expected: &str) {
    let said: Vec<&ModelDescriptor> = said.iter().collect();
    let shown = match change.progress(7, &said) {
        Progress::Done => "done".to_owned(),
        Progress::Waiting(sentence) => format!("waiting: {sentence}"),
        Progress::Failed(sentence) => format!("failed: {sentence}"),
    };
    assert_eq!(shown, expected);
}

fn stable(version: i64) -> ControlChange {
    ControlChange::SetLabel {
        label: "stable".to_owned(),
        version,
    }
}

#[test]
fn a_change_is_waited_for_until_every_replica_goes_by_it_and_rests() {
    check(
        &ControlChange::Load,
        &[],
        "waiting: no infer process that knows the model is alive",
    );
    let mut late = serves("b", 1);
    late.control_offset = 6;
    check(
        &ControlChange::Load,
        &[serves("a", 1), late],
        "waiting: 1 of 2 replicas have not followed it yet: b",
    );
    let loading = rests("b", 2, ModelState::Loading, "");
    check(
        &ControlChange::Load,
        &[serves("a", 1), serves("b", 1), loading],
        "waiting: b loads version 2",
    );
    let unloading = rests("a", 1, ModelState::Unloading, "");
    check(
        &ControlChange::Unload,
        &[unloading],
        "waiting: a unloads version 1",
    );
}

#[test]
fn a_label_is_set_when_every_replica_serves_its_version_under_it() {
    let [a, b] = ["a", "b"].map(|it| labelled(serves(it, 2), "stable", 0));
    check(&stable(2), &[a.clone(), b], "done");
    check(
        &stable(2),
        &[a.clone(), serves("b", 1)],
        "failed: b: there is no version 2",
    );
    check(
        &stable(2),
        &[a.clone(), serves("b", 2)],
        "failed: b: version 2 has no such label",
    );
    let failed = rests("b", 2, ModelState::Failed, "no such operator");
    check(
        &stable(2),
        &[a.clone(), serves("b", 1), failed],
        "failed: b: version 2 failed to load: no such operator",
    );
    let removed = ControlChange::RemoveLabel {
        label: "stable".to_owned(),
    };
    check(&removed, &[a], "failed: a: version 2 still has it");
    check(&removed, &[serves("a", 2)], "done");
}

#[test]
fn a_canary_runs_when_its_label_gets_its_share_everywhere() {
    let canary = |percent| {
        ControlChange::Canary(Canary {
            label: "canary".to_owned(),
            percent,
        })
    };
    let running = labelled(serves("a", 2), "canary", 5);
    check(&canary(5), &[serves("a", 1), running.clone()], "done");
    check(
        &canary(6),
        std::slice::from_ref(&running),
        "failed: a: no version has the label canary",
    );
    check(&canary(0), &[running], "failed: a: the canary still runs");
    check(&canary(0), &[serves("a", 1)], "done");
}

#[test]
fn a_model_is_loaded_when_nothing_failed_and_unloaded_when_nothing_is_served() {
    let ended = rests("a", 1, ModelState::End, "unloaded on request");
    let failed = rests("a", 2, ModelState::Failed, "no such operator");
    check(&ControlChange::Load, &[serves("a", 1)], "done");
    check(
        &ControlChange::Load,
        &[serves("a", 1), failed.clone()],
        "failed: a: version 2 failed to load: no such operator",
    );
    check(
        &ControlChange::Load,
        std::slice::from_ref(&ended),
        "failed: a: it has no version",
    );
    check(&ControlChange::Unload, &[ended.clone(), failed], "done");
    check(
        &ControlChange::Unload,
        &[ended, serves("b", 1)],
        "failed: b: version 1 is still served",
    );
}

#[test]
fn changes_add_up_in_one_record() {
    let mut control = ModelControl::of("m");
    stable(2).apply(&mut control);
    let canary = Canary {
        label: "canary".to_owned(),
        percent: 5,
    };
    ControlChange::Canary(canary.clone()).apply(&mut control);
    ControlChange::Unload.apply(&mut control);
    ControlChange::RemoveLabel {
        label: "old".to_owned(),
    }
    .apply(&mut control);
    assert!(control.unloaded);
    assert_eq!(control.canary, Some(canary));
    let labels: Vec<_> = control.labels.iter().collect();
    assert_eq!(
        labels,
        [(&"old".to_owned(), &None), (&"stable".to_owned(), &Some(2))]
    );
    ControlChange::Load.apply(&mut control);
    assert!(!control.unloaded);
}
