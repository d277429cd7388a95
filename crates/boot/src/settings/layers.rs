//! The sources of settings, each turned into one table of keys and values.

use std::ffi::OsStr;
use std::path::Path;

use config::{ConfigError, Map, Source, Value, ValueKind};

use super::SettingsError;

const PREFIX: &str = "MILLRACE_";

/// What one file, one variable or one flag says.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// For error messages: `file /etc/millrace.toml`.
    pub(super) origin: String,
    table: Map<String, Value>,
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.table.clone())
    }
}

impl Layer {
    pub(super) fn defaults(defaults: &toml::Table) -> Self {
        Self {
            origin: "the defaults".to_owned(),
            table: table(defaults),
        }
    }

    pub(super) fn file(path: &Path) -> Result<Self, SettingsError> {
        let text = std::fs::read_to_string(path).map_err(|source| SettingsError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let parsed: toml::Table = text
            .parse()
            .map_err(|error: toml::de::Error| syntax_error(path, &text, &error))?;
        Ok(Self {
            origin: format!("file {}", path.display()),
            table: table(&parsed),
        })
    }

    /// The layer of one environment variable, `None` if it is not a setting.
    pub(super) fn variable(
        name: &OsStr,
        value: &OsStr,
        defaults: &toml::Table,
    ) -> Result<Option<Self>, SettingsError> {
        let Some(name) = name.to_str() else {
            return Ok(None);
        };
        let Some(key) = name.strip_prefix(PREFIX) else {
            return Ok(None);
        };
        if value.is_empty() || is_service_link(key) {
            return Ok(None);
        }
        let value = value
            .to_str()
            .ok_or_else(|| SettingsError::NotText(name.to_owned()))?;
        let key = key.to_lowercase();
        let path: Vec<&str> = key.split("__").collect();
        Ok(Some(Self {
            origin: format!("environment variable {name}"),
            table: nested(&path, value, defaults),
        }))
    }

    pub(super) fn flag(assignment: &str, defaults: &toml::Table) -> Result<Self, SettingsError> {
        let (key, value) = assignment
            .split_once('=')
            .ok_or_else(|| SettingsError::NoValue(assignment.to_owned()))?;
        let path: Vec<&str> = key.trim().split('.').collect();
        Ok(Self {
            origin: format!("--set {key}"),
            table: nested(&path, value, defaults),
        })
    }
}

/// Kubernetes gives every container variables about the services beside it, such as `MILLRACE_INGEST_SERVICE_HOST`
/// and `MILLRACE_INGEST_PORT`: see "Accessing the Service" in its documentation.
fn is_service_link(key: &str) -> bool {
    !key.contains("__")
        && (key.contains("_SERVICE_") || key.contains("_PORT_") || key.ends_with("_PORT"))
}

fn syntax_error(path: &Path, text: &str, error: &toml::de::Error) -> SettingsError {
    let before = error
        .span()
        .and_then(|span| text.get(..span.start))
        .unwrap_or_default();
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    SettingsError::Syntax {
        path: path.to_owned(),
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        problem: error.message().to_owned(),
    }
}

/// `a.b.c = value` as tables in tables. The defaults tell where a map of free keys begins: it is an empty table there,
/// and the rest of the path is one key of it, since the names of Kafka's options have dots in them.
fn nested(path: &[&str], value: &str, defaults: &toml::Table) -> Map<String, Value> {
    let Some((first, rest)) = path.split_first() else {
        return Map::new();
    };
    let below = defaults.get(*first);
    let value = match below.and_then(toml::Value::as_table) {
        _ if rest.is_empty() => leaf(value, below),
        Some(free) if free.is_empty() => {
            let entry = (rest.join("."), leaf(value, None));
            Value::from(Map::from_iter([entry]))
        }
        known => Value::from(nested(rest, value, known.unwrap_or(&toml::Table::new()))),
    };
    Map::from_iter([((*first).to_owned(), value)])
}

/// A value written in a variable or a flag. Text stays text here: the setting's own type decides what it must be, so
/// that a name such as `12e5` is never taken for a number.
fn leaf(text: &str, default: Option<&toml::Value>) -> Value {
    if text.trim_start().starts_with(['[', '{', '"']) {
        // `[::]:8080` is not TOML but text.
        if let Ok(mut parsed) = format!("value = {text}").parse::<toml::Table>()
            && let Some(parsed) = parsed.remove("value")
        {
            return value(&parsed);
        }
    }
    if default.is_some_and(toml::Value::is_array) {
        let items = text
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        return Value::from(items.map(Value::from).collect::<Vec<_>>());
    }
    Value::from(text)
}

fn table(table: &toml::Table) -> Map<String, Value> {
    let entries = table.iter();
    entries
        .map(|(key, item)| (key.clone(), value(item)))
        .collect()
}

fn value(toml: &toml::Value) -> Value {
    let kind = match toml {
        toml::Value::String(text) => ValueKind::String(text.clone()),
        toml::Value::Integer(integer) => ValueKind::I64(*integer),
        toml::Value::Float(float) => ValueKind::Float(*float),
        toml::Value::Boolean(boolean) => ValueKind::Boolean(*boolean),
        toml::Value::Datetime(datetime) => ValueKind::String(datetime.to_string()),
        toml::Value::Array(items) => ValueKind::Array(items.iter().map(value).collect()),
        toml::Value::Table(inner) => ValueKind::Table(table(inner)),
    };
    Value::new(None, kind)
}
