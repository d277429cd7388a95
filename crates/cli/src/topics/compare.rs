//! Topics as they are beside topics as they are described.

use std::collections::BTreeMap;

use millrace_kafka::{Admin, TopicLayout, TopicSpec};

use crate::findings::{Finding, Findings, Verdict};
use crate::lane::BULK_END;

const MIN_IN_SYNC: &str = "min.insync.replicas";

/// What the cluster says of one topic.
#[derive(Clone, Debug)]
pub(crate) struct Actual {
    pub(crate) layout: TopicLayout,
    pub(crate) config: BTreeMap<String, String>,
}

/// Asks the cluster for the topics that are described.
pub(crate) fn actual(
    admin: &Admin,
    specs: &[TopicSpec],
) -> anyhow::Result<BTreeMap<String, Actual>> {
    let mut found = BTreeMap::new();
    for layout in admin.layouts()? {
        if specs.iter().any(|spec| spec.name == layout.name) {
            let config = admin.topic_config(&layout.name)?;
            found.insert(layout.name.clone(), Actual { layout, config });
        }
    }
    Ok(found)
}

/// One finding per difference, and one for a topic without any.
pub(crate) fn compare(
    specs: &[TopicSpec],
    actual: &BTreeMap<String, Actual>,
    brokers: usize,
    findings: &mut Findings,
) {
    for spec in specs {
        let before = findings.0.len();
        match actual.get(&spec.name) {
            None => findings.error(&spec.name, missing(spec)),
            Some(actual) => {
                partitions(spec, actual, findings);
                replicas(spec, actual, brokers, findings);
                config(spec, actual, findings);
            }
        }
        if findings.0.len() == before {
            let (partitions, replication) = (spec.partitions, spec.replication);
            let text = format!("as described: partitions {partitions}, replication {replication}");
            findings.ok(&spec.name, text);
        }
    }
}

fn missing(spec: &TopicSpec) -> String {
    let parts = [".requests.", ".results."];
    let model = parts
        .iter()
        .find_map(|part| Some(spec.name.split_once(part)?.1));
    let apply = match model {
        Some(model) => {
            let model = model.strip_suffix(BULK_END).unwrap_or(model);
            format!("millrace topics apply --model {model}")
        }
        None => "millrace topics apply".to_owned(),
    };
    format!("is missing; create it: {apply}")
}

fn partitions(spec: &TopicSpec, actual: &Actual, findings: &mut Findings) {
    let (name, count) = (&spec.name, actual.layout.partitions.len());
    let described = usize::try_from(spec.partitions).unwrap_or_default();
    if count < described {
        findings.error(
            name,
            format!(
                "has {count} partitions, described are {described}; add some: kafka-topics.sh \
                 --alter --topic {name} --partitions {described} (keys then move)"
            ),
        );
    } else if count > described {
        findings.warning(
            name,
            format!(
                "has {count} partitions, described are {described}; partitions cannot be taken \
                 away, so say {count} in a file of your own (--file)"
            ),
        );
    }
    let leaderless = actual
        .layout
        .partitions
        .iter()
        .filter(|it| it.leader.is_none())
        .count();
    if leaderless > 0 {
        findings.error(
            name,
            format!(
                "has {leaderless} partitions without a leader: their brokers are down; start them"
            ),
        );
    }
}

/// Copies of a topic's worst partition, and how many of them writing needs.
struct Copies {
    replicas: usize,
    in_sync: usize,
    least: usize,
}

fn replicas(spec: &TopicSpec, actual: &Actual, brokers: usize, findings: &mut Findings) {
    let of = |get: fn(&millrace_kafka::PartitionLayout) -> usize| {
        let counts = actual.layout.partitions.iter().map(get);
        counts.min().unwrap_or_default()
    };
    let least = actual.config.get(MIN_IN_SYNC);
    let copies = Copies {
        replicas: of(|it| it.replicas),
        in_sync: of(|it| it.in_sync),
        least: least.and_then(|text| text.parse().ok()).unwrap_or(1),
    };
    let (replicas, name) = (copies.replicas, &spec.name);
    let described = usize::try_from(spec.replication).unwrap_or_default();
    if replicas < described {
        let text = format!(
            "has {replicas} replicas, described are {described}; give it more: \
             kafka-reassign-partitions.sh, or delete it and apply again"
        );
        findings.error(name, text);
    }
    match refusal(&copies) {
        Some(text) => findings.error(name, text),
        None => findings
            .0
            .extend(risk(&copies, brokers).map(|text| Finding {
                verdict: Verdict::Warning,
                subject: name.clone(),
                finding: text,
            })),
    }
}

/// Why nothing can be written now.
fn refusal(copies: &Copies) -> Option<String> {
    let Copies {
        replicas,
        in_sync,
        least,
    } = copies;
    if least > replicas {
        return Some(format!(
            "has {replicas} replicas and {MIN_IN_SYNC}={least}, so nothing can be written; lower \
             it, or give the topic more replicas"
        ));
    }
    (in_sync < least).then(|| {
        format!(
            "has a partition with {in_sync} replicas in sync, {MIN_IN_SYNC}={least}: writing is \
             refused until brokers come back; start them"
        )
    })
}

/// What would be lost if a broker went now.
fn risk(copies: &Copies, brokers: usize) -> Option<String> {
    let Copies {
        replicas,
        in_sync,
        least,
    } = copies;
    match (replicas, least) {
        _ if in_sync < replicas => Some(format!(
            "has a partition with {in_sync} of {replicas} replicas in sync; a broker is down or slow"
        )),
        (1, _) if brokers > 1 => Some(format!(
            "has one replica on {brokers} brokers: it goes when its broker goes; millrace topics \
             apply --replication {} makes new topics safer",
            brokers.min(3)
        )),
        (2.., 1) => Some(format!(
            "has {replicas} replicas and {MIN_IN_SYNC}=1: what one broker alone took can be lost; \
             set it to 2"
        )),
        _ => None,
    }
}

fn config(spec: &TopicSpec, actual: &Actual, findings: &mut Findings) {
    for (key, described) in &spec.config {
        let given = actual.config.get(key).map_or("nothing", String::as_str);
        if !is_same(described, given) {
            let name = &spec.name;
            findings.error(
                name,
                format!(
                    "has {key}={given}, described is {described}; set it: kafka-configs.sh --alter \
                     --topic {name} --add-config {key}={described}"
                ),
            );
        }
    }
}

/// `0.1` and `0.10` are the same.
fn is_same(described: &str, given: &str) -> bool {
    let number = |text: &str| text.parse::<f64>().ok();
    described == given || number(described).is_some_and(|it| number(given) == Some(it))
}

#[cfg(test)]
mod tests {
    use millrace_kafka::PartitionLayout;

    use super::*;

    fn spec() -> TopicSpec {
        TopicSpec {
            name: "mill.requests.digits".to_owned(),
            partitions: 2,
            replication: 1,
            config: BTreeMap::from([("retention.ms".to_owned(), "1000".to_owned())]),
        }
    }

    fn actual(partitions: i32, replicas: usize, config: &[(&str, &str)]) -> Actual {
        let partition = |partition| PartitionLayout {
            partition,
            leader: Some(1),
            replicas,
            in_sync: replicas,
        };
        let config = config
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        Actual {
            layout: TopicLayout {
                name: spec().name,
                partitions: (0..partitions).map(partition).collect(),
            },
            config: config.collect(),
        }
    }

    /// Verdicts and sentences, as one text.
    fn compared(spec: TopicSpec, actual: Option<Actual>, brokers: usize) -> String {
        let mut findings = Findings::default();
        let actual = actual
            .map(|it| (spec.name.clone(), it))
            .into_iter()
            .collect();
        compare(&[spec], &actual, brokers, &mut findings);
        format!("{findings:?}")
    }

    #[test]
    fn a_topic_as_described_is_well() {
        let text = compared(spec(), Some(actual(2, 1, &[("retention.ms", "1000")])), 1);
        assert!(text.contains("Ok") && !text.contains("Error"), "{text}");
    }

    #[test]
    fn a_missing_topic_is_named_with_the_command_that_makes_it() {
        let text = compared(spec(), None, 1);
        assert!(
            text.contains("millrace topics apply --model digits"),
            "{text}"
        );
    }

    #[test]
    fn each_difference_says_what_to_do() {
        let retention = [("retention.ms", "5")];
        let text = compared(spec(), Some(actual(1, 1, &retention)), 1);
        assert!(text.contains("--partitions 2"), "{text}");
        assert!(text.contains("--add-config retention.ms=1000"), "{text}");
        let text = compared(spec(), Some(actual(3, 1, &[("retention.ms", "1000")])), 3);
        assert!(text.contains("say 3 in a file"), "{text}");
        assert!(text.contains("--replication 3"), "{text}");
    }

    #[test]
    fn replication_below_what_writing_needs_is_an_error() {
        let config = [("retention.ms", "1000"), (MIN_IN_SYNC, "2")];
        let text = compared(spec(), Some(actual(2, 1, &config)), 3);
        assert!(text.contains("nothing can be written"), "{text}");
        let mut broken = actual(2, 3, &config);
        broken.layout.partitions[1].in_sync = 1;
        let text = compared(spec(), Some(broken.clone()), 3);
        assert!(text.contains("refused until brokers come back"), "{text}");
        broken.layout.partitions[1].in_sync = 2;
        broken.layout.partitions[0].leader = None;
        let text = compared(spec(), Some(broken), 3);
        assert!(text.contains("2 of 3 replicas in sync"), "{text}");
        assert!(text.contains("without a leader"), "{text}");
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(is_same("0.1", "0.10") && is_same("compact", "compact"));
        assert!(!is_same("0.1", "0.2") && !is_same("compact", "delete"));
    }
}
