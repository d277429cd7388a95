//! Tests of what should be loaded, where records go, and what may go.

use std::collections::{BTreeMap, BTreeSet};

use millrace_wire::avro::{self, ModelControl};

use super::{Plan, Routes, plan, routes, to_retire};
use crate::repository::{Policy, VersionOptions};

fn set(versions: &[i64]) -> BTreeSet<i64> {
    versions.iter().copied().collect()
}

fn labels(labels: &[(&str, i64)]) -> BTreeMap<String, i64> {
    let owned = |(label, version): &(&str, i64)| ((*label).to_owned(), *version);
    labels.iter().map(owned).collect()
}

fn options(policy: Policy, of: &[(&str, i64)]) -> VersionOptions {
    VersionOptions {
        policy,
        labels: labels(of),
        ..VersionOptions::default()
    }
}

fn wanted(present: &[i64], failed: &[i64], policy: Policy) -> BTreeSet<i64> {
    plan(&set(present), &set(failed), &options(policy, &[]), None).wanted
}

#[test]
fn a_policy_says_which_versions_are_loaded() {
    assert_eq!(wanted(&[1, 2, 10], &[], Policy::default()), set(&[10]));
    assert_eq!(wanted(&[1, 2, 10], &[], Policy::Latest(2)), set(&[2, 10]));
    assert_eq!(wanted(&[1, 2], &[], Policy::Latest(9)), set(&[1, 2]));
    assert_eq!(wanted(&[1, 2, 10], &[], Policy::All), set(&[1, 2, 10]));
    let only = plan(
        &set(&[1, 2, 10]),
        &set(&[]),
        &options(Policy::Only(vec![1, 7]), &[]),
        None,
    );
    assert_eq!((only.wanted, only.missing), (set(&[1]), set(&[7])));
}

#[test]
fn the_latest_are_counted_without_those_that_cannot_be_loaded() {
    assert_eq!(wanted(&[1, 2, 3], &[3], Policy::Latest(1)), set(&[2]));
    assert_eq!(wanted(&[1, 2, 3], &[1, 2, 3], Policy::Latest(1)), set(&[]));
    assert_eq!(wanted(&[1, 2], &[2], Policy::Only(vec![2])), set(&[2]));
}

#[test]
fn a_label_makes_its_version_wanted_and_operators_go_before_model_toml() {
    let options = options(Policy::default(), &[("stable", 1), ("old", 2)]);
    let planned = plan(&set(&[1, 2, 3, 4]), &set(&[]), &options, None);
    assert_eq!(planned.wanted, set(&[1, 2, 4]));
    let control = ModelControl {
        labels: BTreeMap::from([("stable".to_owned(), Some(3)), ("old".to_owned(), None)]),
        ..ModelControl::of("m")
    };
    let planned = plan(&set(&[1, 2, 3, 4]), &set(&[]), &options, Some(&control));
    assert_eq!(planned.wanted, set(&[3, 4]));
    assert_eq!(planned.labels, labels(&[("stable", 3)]));
}

#[test]
fn what_is_unloaded_on_request_wants_nothing() {
    let control = ModelControl {
        unloaded: true,
        ..ModelControl::of("m")
    };
    let options = options(Policy::All, &[("stable", 1)]);
    let planned = plan(&set(&[1, 2]), &set(&[]), &options, Some(&control));
    assert!(planned.unloaded && planned.wanted.is_empty());
}

#[test]
fn the_canary_of_operators_goes_before_that_of_model_toml_and_none_stops_it() {
    let mut options = options(Policy::default(), &[("next", 2)]);
    options.canary = toml::from_str("label = \"next\"\npercent = 2.5").ok();
    let asked = |canary: Option<(&str, i32)>| {
        let control = ModelControl {
            canary: canary.map(|(label, percent)| avro::Canary {
                label: label.to_owned(),
                percent,
            }),
            ..ModelControl::of("m")
        };
        plan(&set(&[1, 2]), &set(&[]), &options, Some(&control)).canary
    };
    assert_eq!(asked(None), Some(("next".to_owned(), 2.5)));
    assert_eq!(asked(Some(("other", 5))), Some(("other".to_owned(), 5.0)));
    assert_eq!(asked(Some(("next", 0))), None);
}

fn asked(of: &[(&str, i64)], canary: Option<(&str, f64)>) -> Plan {
    Plan {
        labels: labels(of),
        canary: canary.map(|(label, percent)| (label.to_owned(), percent)),
        ..Plan::default()
    }
}

#[test]
fn the_default_is_stable_or_else_the_newest_that_can_answer() {
    let none = BTreeMap::new();
    let default = |plan: &Plan, usable: &[i64], coming: &[i64]| {
        routes(plan, &none, &set(usable), &set(coming)).default
    };
    assert_eq!(default(&asked(&[], None), &[1, 2], &[3]), Some(2));
    assert_eq!(
        default(&asked(&[("stable", 1)], None), &[1, 2], &[]),
        Some(1)
    );
    assert_eq!(
        default(&asked(&[("stable", 9)], None), &[1, 2], &[]),
        Some(2)
    );
    assert_eq!(
        default(&asked(&[("stable", 3)], None), &[1, 2], &[3]),
        Some(3)
    );
    assert_eq!(default(&asked(&[], None), &[], &[3]), Some(3));
}

#[test]
fn a_label_moves_when_its_new_version_can_answer() {
    let plan = asked(&[("stable", 3)], None);
    let before = labels(&[("stable", 2)]);
    assert_eq!(
        routes(&plan, &before, &set(&[2]), &set(&[3])).labels,
        before
    );
    let after = routes(&plan, &before, &set(&[2, 3]), &set(&[]));
    assert_eq!(after.labels, labels(&[("stable", 3)]));
    // It could not be loaded: the label stays, and so does what it stands for.
    let failed = routes(&plan, &before, &set(&[2, 4]), &set(&[]));
    assert_eq!((failed.labels, failed.default), (before, Some(2)));
}

#[test]
fn a_canary_needs_a_version_that_can_answer_and_is_not_the_default() {
    let plan = asked(&[("next", 2)], Some(("next", 5.0)));
    let canary = |usable: &[i64], coming: &[i64]| {
        routes(&plan, &BTreeMap::new(), &set(usable), &set(coming)).canary
    };
    assert_eq!(canary(&[1], &[2]), None);
    assert_eq!(
        canary(&[1, 2], &[]),
        None,
        "2 is the newest, so it is the default"
    );
    assert_eq!(canary(&[1, 2, 3], &[]), Some((2, 5.0)));
}

fn retired(wanted: &[i64], of: &[(&str, i64)], usable: &[i64], coming: &[i64]) -> BTreeSet<i64> {
    let plan = Plan {
        wanted: set(wanted),
        ..Plan::default()
    };
    let routes = Routes {
        labels: labels(of),
        ..Routes::default()
    };
    to_retire(&plan, &routes, &set(usable), &set(coming))
}

#[test]
fn an_old_version_goes_when_the_new_one_can_answer() {
    assert_eq!(retired(&[2], &[], &[1], &[2]), set(&[]));
    assert_eq!(retired(&[2], &[], &[1, 2], &[]), set(&[1]));
}

#[test]
fn an_old_version_stays_when_the_new_one_cannot_be_loaded() {
    assert_eq!(retired(&[2], &[], &[1], &[]), set(&[]));
}

#[test]
fn a_version_with_a_label_stays() {
    assert_eq!(retired(&[4], &[("stable", 2)], &[1, 2, 4], &[]), set(&[1]));
}

#[test]
fn when_nothing_is_wanted_everything_goes() {
    assert_eq!(
        retired(&[], &[("stable", 1)], &[1, 2], &[3]),
        set(&[1, 2, 3])
    );
}

#[test]
fn what_is_being_loaded_and_not_wanted_any_more_goes_at_once() {
    assert_eq!(retired(&[3], &[], &[1], &[2, 3]), set(&[2]));
}
