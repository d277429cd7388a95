//! `millrace-load`: measure, print the table, leave the report and the ledger behind.

use std::io::Write as _;

use clap::Parser as _;
use millrace_load::machine::Machine;
use millrace_load::options::{Options, Scenario};
use millrace_load::reference::Reference;
use millrace_load::report::Ledger;
use millrace_load::{compute, delivery, predict, stream, swap, telemetry};

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let machine = Machine::look(&options);
    let dir = tempfile::TempDir::new()?;
    let mut reference =
        Reference::load(&options.library, &options.models.join("ffnn/1/model.onnx"))?;
    let mut ledger = Ledger {
        machine,
        plan: options.plan(),
        infer_settings: options.infer_settings.clone(),
        stream: None,
        predict: None,
        compute: None,
        swap: None,
        delivery: None,
        telemetry: None,
    };
    if options.wants(Scenario::Predict) {
        ledger.predict = Some(predict::measure(&options, &mut reference, dir.path())?);
    }
    if options.wants(Scenario::Stream) {
        ledger.stream = Some(stream::measure(&options, &mut reference, dir.path())?);
    }
    if options.wants(Scenario::Compute) {
        ledger.compute = Some(compute::measure(
            &options,
            reference.environment(),
            dir.path(),
        )?);
    }
    if options.wants(Scenario::Swap) {
        ledger.swap = Some(swap::measure(&options, &mut reference, dir.path())?);
    }
    if options.wants(Scenario::Delivery) {
        ledger.delivery = Some(delivery::measure(&options, &mut reference, dir.path())?);
    }
    if options.wants(Scenario::Telemetry) {
        ledger.telemetry = Some(telemetry::measure(&options, &mut reference, dir.path())?);
    }
    let table = ledger.write(&options.reports)?;
    write!(std::io::stdout(), "{table}")?;
    Ok(())
}
