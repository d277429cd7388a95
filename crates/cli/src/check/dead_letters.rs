//! Whether dead letters are there, and whether they become more.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::connection::Connection;
use crate::findings::Findings;
use crate::topics::compare::Actual;

/// How many records the topic held, and when.
pub(super) struct Ends {
    at: Instant,
    first: i64,
    end: i64,
}

/// `None` if there is no topic for them.
pub(super) fn ends(
    connection: &Connection,
    actual: &BTreeMap<String, Actual>,
) -> anyhow::Result<Option<Ends>> {
    let topic = connection.topic("dead-letters");
    match actual.contains_key(&topic) {
        true => Ok(Some(read(connection, &topic)?)),
        false => Ok(None),
    }
}

pub(super) fn look(
    connection: &Connection,
    before: Option<Ends>,
    findings: &mut Findings,
) -> anyhow::Result<()> {
    let Some(before) = before else {
        return Ok(());
    };
    let now = read(connection, &connection.topic("dead-letters"))?;
    let more = now.end - before.end;
    let held = now.end - now.first;
    if more > 0 {
        let seconds = (now.at - before.at).as_secs_f64();
        let text = format!(
            "{more} more within {seconds:.0} s; see why: millrace dead-letters list --since 1m"
        );
        findings.warning("dead letters", text);
    } else if held > 0 {
        let text = format!(
            "the topic holds {held} records and does not grow; see millrace dead-letters list"
        );
        findings.ok("dead letters", text);
    } else {
        findings.ok("dead letters", "there are none");
    }
    Ok(())
}

fn read(connection: &Connection, topic: &str) -> anyhow::Result<Ends> {
    let at = Instant::now();
    let spans = connection.admin.spans(topic)?;
    Ok(Ends {
        at,
        first: spans.values().map(|span| span.start).sum(),
        end: spans.values().map(|span| span.end).sum(),
    })
}
