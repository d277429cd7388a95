//! One table that says what each Kafka error means for the pipeline.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

/// The three ways to fail, and with them the three ways to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Failure {
    /// This record can never succeed: dead-letter it and advance.
    Poison,
    /// May succeed later: keep trying, do not advance.
    Transient,
    /// Nobody can go on: stop with the offset unmoved.
    Fatal,
}

impl Failure {
    /// Lower-case name, used as a metric label.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Failure::Poison => "poison",
            Failure::Transient => "transient",
            Failure::Fatal => "fatal",
        }
    }
}

pub(crate) fn classify(error: &KafkaError) -> Failure {
    match error {
        KafkaError::MessageConsumptionFatal(_) => Failure::Fatal,
        KafkaError::PartitionEOF(_) | KafkaError::NoMessageReceived => Failure::Transient,
        KafkaError::AdminOp(code) => classify_code(*code),
        other => other
            .rdkafka_error_code()
            .map_or(Failure::Fatal, classify_code),
    }
}

/// Codes that are not named here, among them those that do not exist yet, are
/// fatal: stopping loses nothing, going on might.
pub(crate) fn classify_code(code: Code) -> Failure {
    if POISON.contains(&code) {
        Failure::Poison
    } else if TRANSIENT.contains(&code) {
        Failure::Transient
    } else {
        Failure::Fatal
    }
}

/// What an operator can do about an error, where that is known.
pub(crate) fn advice(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownTopicId => {
            "the topic does not exist or was deleted; create it (millrace topics apply) and start again"
        }
        Code::UnknownPartition => "the topic has no such partition; check its partition count",
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => {
            "the Kafka user lacks a permission; grant it on the broker and start again"
        }
        Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL => {
            "the broker did not accept our credentials; check the sasl.* and ssl.* options"
        }
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => {
            "the record is larger than the topic's max.message.bytes"
        }
        Code::FencedInstanceId | Code::UnreleasedInstanceId => {
            "another process runs with the same instance id; give each replica its own"
        }
        _ => return None,
    })
}

pub(crate) fn advice_suffix(error: &KafkaError) -> String {
    let code = match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    code.and_then(advice)
        .map_or_else(String::new, |advice| format!("; {advice}"))
}

const POISON: &[Code] = &[
    Code::BadMessage,
    Code::BadCompression,
    Code::InvalidMessage,
    Code::InvalidMessageSize,
    Code::InvalidRecord,
    Code::InvalidTimestamp,
    Code::MessageBatchTooLarge,
    Code::MessageSizeTooLarge,
    Code::PolicyViolation,
    Code::UnknownPartition,
];

const TRANSIENT: &[Code] = &[
    Code::AllBrokersDown,
    Code::AssignmentLost,
    Code::BrokerDestroy,
    Code::BrokerNotAvailable,
    Code::BrokerTransportFailure,
    Code::ConcurrentTransactions,
    Code::CoordinatorLoadInProgress,
    Code::CoordinatorNotAvailable,
    Code::DestroyBroker,
    Code::EligibleLeadersNotAvailable,
    Code::FencedLeaderEpoch,
    Code::FetchSessionIdNotFound,
    Code::ISRInsufficient,
    Code::IllegalGeneration,
    Code::InProgress,
    Code::Interrupted,
    Code::InvalidFetchSessionEpoch,
    Code::KafkaStorageError,
    Code::LeaderNotAvailable,
    Code::ListenerNotFound,
    Code::MemberIdRequired,
    Code::MessageTimedOut,
    Code::NetworkException,
    Code::NodeUpdate,
    Code::NotController,
    Code::NotCoordinator,
    Code::NotEnoughReplicas,
    Code::NotEnoughReplicasAfterAppend,
    Code::NotLeaderForPartition,
    Code::OffsetNotAvailable,
    Code::OperationTimedOut,
    Code::Outdated,
    Code::PollExceeded,
    Code::PreferredLeaderNotAvailable,
    Code::PreviousInProgress,
    Code::PurgeInflight,
    Code::PurgeQueue,
    Code::QueueFull,
    Code::RebalanceInProgress,
    Code::ReplicaNotAvailable,
    Code::RequestTimedOut,
    Code::Resolve,
    Code::Retry,
    Code::StaleBrokerEpoch,
    Code::StaleControllerEpoch,
    Code::ThrottlingQuotaExceeded,
    Code::TimedOutQueue,
    Code::UnknownLeaderEpoch,
    Code::UnknownMemberId,
    Code::UnstableOffsetCommit,
    Code::WaitCache,
    Code::WaitingForCoordinator,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_that_the_broker_will_never_take_is_poison() {
        for code in [Code::MessageSizeTooLarge, Code::InvalidRecord] {
            assert_eq!(
                classify(&KafkaError::MessageProduction(code)),
                Failure::Poison
            );
        }
    }

    #[test]
    fn a_broker_that_is_away_is_transient() {
        for code in [
            Code::AllBrokersDown,
            Code::BrokerTransportFailure,
            Code::NotEnoughReplicas,
            Code::RebalanceInProgress,
        ] {
            assert_eq!(classify(&KafkaError::Global(code)), Failure::Transient);
        }
    }

    #[test]
    fn a_missing_topic_and_a_missing_permission_are_fatal_and_say_what_to_do() {
        for code in [
            Code::UnknownTopicOrPartition,
            Code::UnknownTopic,
            Code::TopicAuthorizationFailed,
            Code::GroupAuthorizationFailed,
            Code::SaslAuthenticationFailed,
        ] {
            let error = KafkaError::MessageConsumption(code);
            assert_eq!(classify(&error), Failure::Fatal, "{code:?}");
            assert!(advice_suffix(&error).len() > 20, "{code:?}");
        }
    }

    #[test]
    fn anything_unknown_is_fatal() {
        assert_eq!(classify_code(Code::Unknown), Failure::Fatal);
        assert_eq!(classify(&KafkaError::Canceled), Failure::Fatal);
        assert_eq!(
            classify(&KafkaError::MessageConsumptionFatal(
                Code::BrokerTransportFailure
            )),
            Failure::Fatal
        );
    }

    #[test]
    fn no_code_has_two_meanings() {
        for code in POISON {
            assert!(!TRANSIENT.contains(code), "{code:?}");
        }
    }
}
