//! The brokers that answer.

use crate::connection::Connection;
use crate::findings::Findings;

/// Answers how many there are.
pub(super) fn look(connection: &Connection, findings: &mut Findings) -> anyhow::Result<usize> {
    let cluster = connection.admin.describe()?;
    let addresses: Vec<String> = cluster
        .brokers
        .iter()
        .map(|broker| format!("{} (node {})", broker.address, broker.id))
        .collect();
    let text = format!(
        "{} answer at {}: {}; cluster {}; librdkafka {} here, Kafka does not tell its own version",
        cluster.brokers.len(),
        connection.cluster.brokers,
        addresses.join(", "),
        cluster.cluster_id.as_deref().unwrap_or("without an id"),
        cluster.librdkafka
    );
    findings.ok("brokers", text);
    Ok(cluster.brokers.len())
}
