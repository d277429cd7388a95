//! Which Kafka options a user may not set, and why; and one name for options
//! that librdkafka knows by several.

use crate::error::Error;

/// An option that this crate depends on.
struct Guard {
    /// Canonical name.
    key: &'static str,
    /// Values that change nothing; empty when the option is always ours.
    allowed: &'static [&'static str],
    reason: &'static str,
}

const fn ours(key: &'static str, reason: &'static str) -> Guard {
    Guard {
        key,
        allowed: &[],
        reason,
    }
}

const fn only(key: &'static str, allowed: &'static [&'static str], reason: &'static str) -> Guard {
    Guard {
        key,
        allowed,
        reason,
    }
}

const GUARDS: &[Guard] = &[
    ours("bootstrap.servers", "set kafka.brokers instead"),
    ours("client.id", "set kafka.client_id instead"),
    ours("group.id", "the group follows from the topic prefix"),
    ours("group.instance.id", "set the instance id of the service"),
    only(
        "group.protocol",
        &["classic"],
        "only the classic group protocol is supported",
    ),
    only(
        "enable.auto.commit",
        &["false"],
        "offsets are committed only when results are durable",
    ),
    only(
        "enable.auto.offset.store",
        &["false"],
        "offsets are committed only when results are durable",
    ),
    only(
        "auto.offset.reset",
        &["earliest", "smallest", "beginning"],
        "any other start skips records silently",
    ),
    only("check.crcs", &["true"], "damaged records must be noticed"),
    ours("enable.partition.eof", "followers depend on it"),
    ours("statistics.interval.ms", "readiness depends on it"),
    only(
        "acks",
        &["all", "-1"],
        "a result counts only when all in-sync replicas have it",
    ),
    only(
        "enable.idempotence",
        &["true"],
        "retries would duplicate and reorder records",
    ),
    only(
        "max.in.flight",
        &["1", "2", "3", "4", "5"],
        "more than 5 requests in flight cannot be kept in order",
    ),
    ours(
        "message.timeout.ms",
        "records are retried until delivered or until the service's own deadline",
    ),
    ours(
        "message.send.max.retries",
        "records are retried until delivered or until the service's own deadline",
    ),
    only(
        "delivery.report.only.error",
        &["false"],
        "every delivery has to be reported",
    ),
    ours("linger.ms", "set the linger of the service"),
    ours("message.max.bytes", "set the record limit of the service"),
    ours(
        "queue.buffering.max.messages",
        "memory is bounded by the service's own byte budget",
    ),
    ours(
        "queue.buffering.max.kbytes",
        "memory is bounded by the service's own byte budget",
    ),
    ours("transactional.id", "transactions are not offered"),
    only(
        "allow.auto.create.topics",
        &["false"],
        "topics are created by millrace topics apply",
    ),
];

/// Refuses an option that would undo a guarantee.
pub(crate) fn check(key: &str, value: &str) -> Result<(), Error> {
    let canonical = canonical(key);
    for guard in GUARDS {
        if guard.key == canonical && !guard.allowed.contains(&value.to_lowercase().as_str()) {
            return Err(Error::OptionRefused {
                key: key.to_owned(),
                value: value.to_owned(),
                reason: guard.reason,
            });
        }
    }
    Ok(())
}

/// librdkafka's aliases, so that an option set under its other name cannot
/// escape the checks or win by the accident of being applied last.
pub(crate) fn canonical(key: &str) -> &str {
    match key {
        "metadata.broker.list" => "bootstrap.servers",
        "request.required.acks" => "acks",
        "queue.buffering.max.ms" => "linger.ms",
        "retries" => "message.send.max.retries",
        "delivery.timeout.ms" => "message.timeout.ms",
        "max.in.flight.requests.per.connection" => "max.in.flight",
        "compression.type" | "compression.codec" => "compression.codec",
        "max.partition.fetch.bytes" => "fetch.message.max.bytes",
        "sasl.mechanism" => "sasl.mechanisms",
        other => other,
    }
}
