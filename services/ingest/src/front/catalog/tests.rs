//! The catalog through its door: records of the models topic in, answers out.

use millrace_wire::avro::TensorDescription;

use super::*;

const NOW: i64 = 1_700_000_000_000;

fn descriptor(model: &str, version: i64, replica: &str) -> ModelDescriptor {
    let tensor = |name: &str| TensorDescription {
        name: name.into(),
        dtype: "FP32".into(),
        shape: vec![-1, 4],
    };
    ModelDescriptor {
        model: model.into(),
        version,
        replica: replica.into(),
        state: ModelState::Available,
        reason: String::new(),
        labels: Vec::new(),
        engine: "onnx".into(),
        weights_sha256: String::new(),
        inputs: vec![tensor("x")],
        outputs: vec![tensor("y")],
        max_batch_rows: 32,
        control_offset: -1,
        canary_percent: 0,
        delivery: String::new(),
        lanes: Vec::new(),
        backlog_records: 0,
        lease_until_unix_ms: NOW + 10_000,
    }
}

fn publish(catalog: &Catalog, descriptor: &ModelDescriptor) {
    let key = format!(
        "{}/{}/{}",
        descriptor.model, descriptor.version, descriptor.replica
    );
    let value = descriptor.encode().unwrap();
    catalog
        .apply(Some(key.as_bytes()), Some(&value), NOW)
        .unwrap();
}

fn catalog_of(descriptors: &[ModelDescriptor]) -> Catalog {
    let catalog = Catalog::default();
    catalog.set_reading(true);
    for descriptor in descriptors {
        publish(&catalog, descriptor);
    }
    catalog
}

fn refusal(catalog: &Catalog, model: &str, wanted: &Wanted) -> String {
    catalog.find(model, wanted, NOW).unwrap_err().to_string()
}

#[test]
fn the_newest_available_version_is_the_default() {
    let mut loading = descriptor("m", 3, "a");
    loading.state = ModelState::Loading;
    let catalog = catalog_of(&[descriptor("m", 1, "a"), descriptor("m", 2, "a"), loading]);
    let served = catalog.find("m", &Wanted::Latest, NOW).unwrap();
    assert_eq!((served.model.as_str(), served.version), ("m", 2));
    assert_eq!(served.signature.inputs[0].name, "x");
    assert_eq!(
        catalog.find("m", &Wanted::Version(1), NOW).unwrap().version,
        1
    );
}

#[test]
fn a_label_picks_its_version() {
    let mut stable = descriptor("m", 1, "a");
    stable.labels = vec!["stable".into()];
    let catalog = catalog_of(&[stable, descriptor("m", 2, "a")]);
    let stable = Wanted::Label("stable".into());
    assert_eq!(catalog.find("m", &stable, NOW).unwrap().version, 1);
    assert_eq!(
        refusal(&catalog, "m", &Wanted::Label("canary".into())),
        "Unrecognized servable version label: canary of m; its labels: stable"
    );
}

fn labelled(version: i64, replica: &str, label: &str) -> ModelDescriptor {
    ModelDescriptor {
        labels: vec![label.to_owned()],
        ..descriptor("m", version, replica)
    }
}

fn in_state(version: i64, replica: &str, state: ModelState) -> ModelDescriptor {
    ModelDescriptor {
        state,
        ..descriptor("m", version, replica)
    }
}

#[test]
fn who_names_no_version_gets_the_stable_one_also_while_it_is_not_there_yet() {
    let catalog = catalog_of(&[labelled(1, "a", "stable"), descriptor("m", 2, "a")]);
    let latest = |catalog: &Catalog| catalog.find("m", &Wanted::Latest, NOW);
    assert_eq!(latest(&catalog).unwrap().version, 1);
    let mut loading = labelled(1, "a", "stable");
    loading.state = ModelState::Loading;
    publish(&catalog, &loading);
    let refused = latest(&catalog).unwrap_err();
    assert!(matches!(refused, NotServed::NoReplica { .. }), "{refused}");
    assert!(refused.to_string().contains("being loaded"), "{refused}");
    publish(&catalog, &descriptor("m", 1, "a"));
    assert_eq!(latest(&catalog).unwrap().version, 2);
}

#[test]
fn while_replicas_disagree_a_label_is_what_most_of_them_can_answer() {
    let catalog = catalog_of(&[
        labelled(1, "a", "stable"),
        descriptor("m", 1, "b"),
        labelled(2, "b", "stable"),
    ]);
    let stable = Wanted::Label("stable".into());
    let found = |wanted: &Wanted| catalog.find("m", wanted, NOW).unwrap().version;
    assert_eq!((found(&stable), found(&Wanted::Latest)), (1, 1));
    // The other replica has loaded it too, and still says that the old one is stable.
    publish(&catalog, &descriptor("m", 2, "a"));
    assert_eq!((found(&stable), found(&Wanted::Latest)), (2, 2));
}

#[test]
fn a_version_that_nobody_serves_any_more_is_unknown_and_one_to_come_is_not() {
    let second = Wanted::Version(2);
    let refused = |said: &[ModelDescriptor]| {
        let catalog = catalog_of(said);
        catalog.find("m", &second, NOW).unwrap_err()
    };
    let served = descriptor("m", 3, "a");
    let gone = "Servable not found for request: Specific(m, 2); its versions: 3";
    for state in [ModelState::End, ModelState::Unloading] {
        let refused = refused(&[served.clone(), in_state(2, "a", state)]);
        assert_eq!(refused.to_string(), gone, "{state:?}");
    }
    let mut dead = descriptor("m", 2, "b");
    dead.lease_until_unix_ms = NOW - 1;
    assert_eq!(refused(&[served.clone(), dead.clone()]).to_string(), gone);
    // Nobody at all is alive, or who is stops: that passes.
    let stopping = [3, 2].map(|version| in_state(version, "a", ModelState::Unloading));
    let loading = [served.clone(), in_state(2, "a", ModelState::Loading)];
    let failed = [served, in_state(2, "a", ModelState::Failed)];
    for said in [&[dead][..], &stopping, &loading, &failed] {
        let refused = refused(said);
        assert!(matches!(refused, NotServed::NoReplica { .. }), "{refused}");
    }
}

#[test]
fn a_model_that_was_unloaded_is_told_so_and_a_version_on_its_way_is_waited_for() {
    let ended = [1, 2].map(|version| ModelDescriptor {
        reason: "unloaded on request".into(),
        ..in_state(version, "a", ModelState::End)
    });
    let catalog = catalog_of(&ended);
    let refused = catalog.find("m", &Wanted::Latest, NOW).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "Servable not found for request: Latest(m): unloaded on request"
    );
    assert!(matches!(refused, NotServed::Unloaded { .. }));
    publish(&catalog, &in_state(1, "b", ModelState::Loading));
    let refused = catalog.find("m", &Wanted::Latest, NOW).unwrap_err();
    assert!(matches!(refused, NotServed::NoReplica { .. }), "{refused}");
}

#[test]
fn the_repository_tells_why_a_version_is_not_served() {
    let status = |state, reason: &str| VersionStatus {
        version: 1,
        state,
        reason: reason.into(),
    };
    let checks = [
        (Some(ModelState::Available), "x", ("READY", "")),
        (Some(ModelState::Loading), "", ("LOADING", "")),
        (
            Some(ModelState::Failed),
            "broken",
            ("UNAVAILABLE", "broken"),
        ),
        (Some(ModelState::End), "", ("UNAVAILABLE", "unloaded")),
        (
            Some(ModelState::End),
            "by policy",
            ("UNAVAILABLE", "by policy"),
        ),
    ];
    for (state, reason, expected) in checks {
        assert_eq!(status(state, reason).in_index(), expected);
    }
}

#[test]
fn while_the_topic_cannot_be_read_nothing_is_unknown_and_the_served_are_served() {
    let find = |catalog: &Catalog, model, now| catalog.find(model, &Wanted::Latest, now);
    let refused = find(&Catalog::default(), "m", NOW).unwrap_err();
    assert_eq!(refused, NotServed::NotRead);

    let catalog = catalog_of(&[descriptor("m", 1, "a")]);
    catalog.set_reading(false);
    assert!(find(&catalog, "m", NOW).is_ok());
    assert_eq!(
        find(&catalog, "other", NOW).unwrap_err(),
        NotServed::NotRead
    );
    let after_its_lease = find(&catalog, "m", NOW + 10_000).unwrap_err();
    assert_eq!(after_its_lease, NotServed::NotRead);
}

#[test]
fn what_is_unknown_is_refused_with_what_is_known() {
    let catalog = catalog_of(&[descriptor("a", 1, "r"), descriptor("b", 2, "r")]);
    assert_eq!(
        refusal(&catalog, "half", &Wanted::Latest),
        "Servable not found for request: Latest(half); models served: a, b"
    );
    assert_eq!(
        refusal(&catalog, "b", &Wanted::Version(7)),
        "Servable not found for request: Specific(b, 7); its versions: 2"
    );
}

#[test]
fn a_replica_whose_lease_ran_out_is_gone_but_its_model_is_not_unknown() {
    let catalog = catalog_of(&[descriptor("m", 1, "a")]);
    let after = NOW + 10_000;
    let refused = catalog.find("m", &Wanted::Latest, after).unwrap_err();
    assert!(matches!(refused, NotServed::NoReplica { .. }), "{refused}");
    assert!(catalog.only_model(|_| true, after) == Err(NotServed::Nothing));

    let mut renewed = descriptor("m", 1, "a");
    renewed.lease_until_unix_ms = after + 10_000;
    publish(&catalog, &renewed);
    assert_eq!(catalog.only_model(|_| true, after), Ok("m".into()));
}

#[test]
fn one_live_replica_is_enough() {
    let mut dead = descriptor("m", 1, "dead");
    dead.lease_until_unix_ms = NOW - 1;
    let catalog = catalog_of(&[dead, descriptor("m", 1, "live")]);
    assert!(catalog.find("m", &Wanted::Latest, NOW).is_ok());
}

#[test]
fn a_tombstone_removes_its_replica_only() {
    let catalog = catalog_of(&[descriptor("m", 1, "a"), descriptor("m", 1, "b")]);
    catalog.apply(Some(b"m/1/a"), None, NOW).unwrap();
    assert!(catalog.find("m", &Wanted::Latest, NOW).is_ok());
    catalog.apply(Some(b"m/1/b"), None, NOW).unwrap();
    let refused = catalog.find("m", &Wanted::Latest, NOW).unwrap_err();
    assert!(
        matches!(refused, NotServed::UnknownModel { .. }),
        "{refused}"
    );
}

#[test]
fn replicas_long_gone_are_forgotten() {
    let mut old = descriptor("old", 1, "a");
    old.lease_until_unix_ms = NOW - FORGET_AFTER_MS - 1;
    let catalog = catalog_of(&[old, descriptor("m", 1, "a")]);
    let refused = catalog.find("old", &Wanted::Latest, NOW).unwrap_err();
    assert!(
        matches!(refused, NotServed::UnknownModel { .. }),
        "{refused}"
    );
}

#[test]
fn the_state_says_why_a_model_is_not_served() {
    let mut loading = descriptor("loading", 1, "a");
    loading.state = ModelState::Loading;
    let mut failed = descriptor("failed", 1, "a");
    failed.state = ModelState::Failed;
    failed.reason = "no such file".into();
    let catalog = catalog_of(&[loading, failed]);
    assert_eq!(
        refusal(&catalog, "loading", &Wanted::Latest),
        "model loading is not served at the moment: it is being loaded"
    );
    assert_eq!(
        refusal(&catalog, "failed", &Wanted::Latest),
        "model failed is not served at the moment: it failed to load: no such file"
    );
}

#[test]
fn a_request_without_a_model_means_the_only_one() {
    assert_eq!(
        catalog_of(&[]).only_model(|_| true, NOW),
        Err(NotServed::Nothing)
    );
    let catalog = catalog_of(&[descriptor("a", 1, "r")]);
    assert_eq!(catalog.only_model(|_| true, NOW), Ok("a".into()));
    publish(&catalog, &descriptor("b", 1, "r"));
    let refused = catalog.only_model(|_| true, NOW).unwrap_err().to_string();
    assert!(refused.contains("/v1/models/MODEL:predict"), "{refused}");
    assert!(refused.ends_with("models served: a, b"), "{refused}");
}

#[test]
fn the_status_of_a_version_is_the_best_of_its_live_replicas() {
    let mut failed = descriptor("m", 1, "a");
    failed.state = ModelState::Failed;
    failed.reason = "broken".into();
    let mut gone = descriptor("m", 2, "a");
    gone.lease_until_unix_ms = NOW - 1;
    let catalog = catalog_of(&[failed.clone(), descriptor("m", 1, "b"), gone]);
    let versions = catalog.versions("m", &Wanted::Latest, NOW).unwrap();
    assert_eq!(
        versions,
        [
            VersionStatus {
                version: 2,
                state: None,
                reason: String::new()
            },
            VersionStatus {
                version: 1,
                state: Some(ModelState::Available),
                reason: String::new()
            },
        ]
    );
}

#[test]
fn a_record_that_is_no_descriptor_changes_nothing() {
    let catalog = catalog_of(&[descriptor("m", 1, "a")]);
    let other = descriptor("other", 1, "a").encode().unwrap();
    assert!(catalog.apply(None, Some(&other), NOW).is_err());
    assert!(catalog.apply(Some(b"\xff/1/a"), Some(&other), NOW).is_err());
    assert!(catalog.apply(Some(b"m/one/a"), Some(&other), NOW).is_err());
    assert!(catalog.apply(Some(b"m/1/a"), Some(&other), NOW).is_err());
    assert!(
        catalog
            .apply(Some(b"m/1/a"), Some(b"garbage"), NOW)
            .is_err()
    );
    assert_eq!(catalog.only_model(|_| true, NOW), Ok("m".into()));
}
