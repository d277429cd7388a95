//! `millrace topics check`.

use crate::connection::Connection;
use crate::findings::Findings;
use crate::output::Output;

use super::compare;
use super::description::Description;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    description: Description,
}

pub(super) fn run(args: &Args, connection: &Connection, output: Output) -> anyhow::Result<()> {
    let mut findings = Findings::default();
    let specs = args.description.specs_of_all_models(connection)?;
    let actual = compare::actual(&connection.admin, &specs)?;
    let brokers = connection.admin.describe()?.brokers.len();
    compare::compare(&specs, &actual, brokers, &mut findings);
    findings.conclude(output)
}
