//! `millrace models load`, `unload` and `canary`: whether a model is served, and who tries a version first.

use millrace_wire::avro::{Canary, ControlChange};

use crate::connection::Connection;
use crate::output::Output;

use super::change::{self, Asked, Patience};
use super::labels::{has_label, label};

#[derive(clap::Args)]
pub(crate) struct ModelArgs {
    /// The model
    model: String,
    #[command(flatten)]
    patience: Patience,
}

#[derive(clap::Args)]
pub(crate) struct CanaryArgs {
    /// The model
    model: String,
    /// The label that gets a share, such as canary
    #[arg(value_parser = label, required_unless_present = "off")]
    label: Option<String>,
    /// Its share of the requests that name no version, in percent
    #[arg(value_parser = percent, required_unless_present = "off")]
    percent: Option<i32>,
    /// Stop it: all requests that name no version go to the stable one
    #[arg(long, conflicts_with_all = ["label", "percent"])]
    off: bool,
    #[command(flatten)]
    patience: Patience,
}

/// Reads `5` or `5%`.
fn percent(text: &str) -> Result<i32, String> {
    let digits = text.strip_suffix('%').unwrap_or(text).trim_end();
    let percent = digits.parse().ok().filter(|it| (0..=100).contains(it));
    percent.ok_or_else(|| "expected whole percent, 0 to 100, such as 5".to_owned())
}

pub(super) fn load(
    args: &ModelArgs,
    connection: &Connection,
    output: Output,
) -> anyhow::Result<()> {
    let asked = Asked {
        model: &args.model,
        change: ControlChange::Load,
        outcome: "it is served".to_owned(),
    };
    change::run((connection, output), &asked, &args.patience, |_| Ok(()))
}

pub(super) fn unload(
    args: &ModelArgs,
    connection: &Connection,
    output: Output,
) -> anyhow::Result<()> {
    let asked = Asked {
        model: &args.model,
        change: ControlChange::Unload,
        outcome: "it is unloaded".to_owned(),
    };
    change::run((connection, output), &asked, &args.patience, |_| Ok(()))
}

pub(super) fn canary(
    args: &CanaryArgs,
    connection: &Connection,
    output: Output,
) -> anyhow::Result<()> {
    let model = args.model.as_str();
    let canary = match (&args.label, args.percent) {
        (Some(label), Some(percent)) => Canary {
            label: label.clone(),
            percent,
        },
        _ => Canary {
            label: running(connection, model)?,
            percent: 0,
        },
    };
    let outcome = match canary.percent {
        0 => "no share goes to a canary".to_owned(),
        percent => format!("{percent} % of the requests go to label {}", canary.label),
    };
    let asked = Asked {
        model,
        change: ControlChange::Canary(canary.clone()),
        outcome,
    };
    change::run(
        (connection, output),
        &asked,
        &args.patience,
        |said| match canary.percent {
            0 => Ok(()),
            _ => has_label(said, model, &canary.label),
        },
    )
}

/// The label of the canary that runs, by what was asked for; any name stops one of `model.toml`.
fn running(connection: &Connection, model: &str) -> anyhow::Result<String> {
    let wanted = change::wanted(connection)?.remove(model);
    let label = wanted.and_then(|it| it.canary).map(|it| it.label);
    Ok(label.unwrap_or_else(|| "canary".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_may_have_its_sign() {
        assert_eq!(percent("5"), Ok(5));
        assert_eq!(percent("100%"), Ok(100));
        assert_eq!(percent("0 %"), Ok(0));
        for wrong in ["101", "-1", "0.5", "", "%", "five"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }
}
