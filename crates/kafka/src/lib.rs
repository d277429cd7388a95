//! Kafka clients that keep the promises of the pipeline: a group consumer that
//! commits only what is finished, a producer that never drops silently, a
//! follower without a group, a reader of single records, transactions, and the
//! admin calls around them.
//!
//! This crate is the only user of rdkafka and knows nothing of tensors, Arrow
//! or Avro: values are bytes here. Every client runs on threads of its own and
//! never blocks an async runtime, except `Admin`,
//! `Reader` and `Transactions`, whose calls block.

mod admin;
mod assigning;
mod block;
mod budget;
mod closing;
mod cluster;
mod committer;
mod committing;
mod context;
mod deliveries;
mod describing;
mod error;
mod failure;
mod follower;
mod following;
mod gathering;
mod group;
mod group_metrics;
mod guards;
mod headers;
mod intake;
mod ledger;
mod member;
mod membership;
pub mod metrics;
mod offsets;
mod outbox;
mod pace;
mod park;
mod partitions;
mod producer;
mod purging;
mod quota;
mod reader;
mod record;
mod revocation;
mod rewriting;
mod sending;
mod state;
mod ticket;
mod transactions;
mod winding_up;

pub use admin::{Admin, BrokerAddress, ClusterDescription, TopicOutcome, TopicSpec};
pub use block::{RecordBlock, RecordRef};
pub use cluster::Cluster;
pub use describing::{GroupDescription, PartitionLayout, TopicLayout};
pub use error::{Error, IntakeError};
pub use failure::Failure;
pub use follower::{FollowFrom, FollowPartitions, Follower, FollowerSettings};
pub use group::{Committing, GroupConsumer, GroupSettings};
pub use headers::Headers;
pub use intake::{Intake, StartAt, TopicPartition};
pub use membership::{LoneGroup, Membership};
pub use metrics::Metrics;
pub use offsets::PartitionLag;
pub use producer::{Compression, Producer, ProducerSettings};
pub use reader::{Reader, Span};
pub use record::{OutRecord, Record};
pub use rewriting::{RewriteError, Rewriter};
pub use sending::{Delivered, DeliveryError, DeliveryResult, NotSent, SendError};
pub use state::State;
pub use ticket::{Tenure, Ticket};
pub use transactions::{Transaction, TransactionError, TransactionSettings, Transactions};
