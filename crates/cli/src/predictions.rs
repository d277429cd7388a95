//! The outputs of a model as JSON values, row by row, and as short text for tables.

use anyhow::{Context, bail};
use millrace_wire::Record;
use millrace_wire::json::{Format, JsonRules, Strictness, write_predictions};
use serde_json::{Map, Value};

/// What is not finite becomes null, so that the text is JSON.
pub(crate) const STRICT: JsonRules = JsonRules {
    strictness: Strictness::Strict,
    plain_bytes: millrace_wire::json::PlainBytes::Text,
};

/// The outputs of each instance, by name.
pub(crate) fn outputs(record: &Record) -> anyhow::Result<Vec<Map<String, Value>>> {
    let mut text = Vec::new();
    write_predictions(Format::Row, record, &STRICT, &mut text)?;
    let answer: Value = serde_json::from_slice(&text).context("the outputs are no JSON")?;
    let single = match record.columns() {
        [column] => Some(column.name().to_owned()),
        _ => None,
    };
    let Some(Value::Array(predictions)) = answer.get("predictions").cloned() else {
        bail!("the outputs have no rows");
    };
    let named = |prediction| match (prediction, &single) {
        (prediction, Some(name)) => Map::from_iter([(name.clone(), prediction)]),
        (Value::Object(outputs), None) => outputs,
        (other, None) => Map::from_iter([(String::new(), other)]),
    };
    Ok(predictions.into_iter().map(named).collect())
}

/// Numbers of a table need few digits.
pub(crate) fn short(value: &Value) -> String {
    match value {
        Value::Number(number) if number.is_f64() => {
            let value = number.as_f64().unwrap_or(f64::NAN);
            format!("{value:.4}")
        }
        Value::Array(elements) => {
            let elements: Vec<String> = elements.iter().map(short).collect();
            format!("[{}]", elements.join(","))
        }
        other => other.to_string(),
    }
}
