//! Settings are read as a service reads them; only the environment is made up.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    replica: Option<String>,
    kafka: Kafka,
    batch: Batch,
    names: Vec<String>,
    pipelines: Vec<Pipeline>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Kafka {
    brokers: String,
    options: BTreeMap<String, String>,
}

/// Without `serde(default)`: a file that sets one key only must not lose the others' defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    max_rows: usize,
    #[serde(with = "humantime_serde")]
    max_delay: Duration,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pipeline {
    name: String,
    rows: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            replica: None,
            kafka: Kafka {
                brokers: "127.0.0.1:9092".to_owned(),
                options: BTreeMap::new(),
            },
            batch: Batch {
                max_rows: 64,
                max_delay: Duration::from_millis(2),
            },
            names: vec!["all".to_owned()],
            pipelines: Vec::new(),
        }
    }
}

impl Validate for Settings {
    fn validate(&self) -> Result<(), InvalidSetting> {
        match self.batch.max_rows {
            0 => Err(InvalidSetting::new(
                "batch.max_rows",
                "is 0; it must be at least 1",
            )),
            _ => Ok(()),
        }
    }
}

fn load_from(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[&str],
) -> Result<Settings, SettingsError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("millrace.toml");
    std::fs::write(&path, file).unwrap();
    let args = CommonArgs {
        config: Some(path),
        set: flags.iter().map(|&flag| flag.to_owned()).collect(),
        check_config: false,
        ready: false,
    };
    let environment = environment.iter();
    load_with(
        &args,
        environment.map(|(name, value)| (name.into(), value.into())),
    )
}

fn check_error(file: &str, environment: &[(&str, &str)], flags: &[&str], parts: &[&str]) -> String {
    let error = load_from(file, environment, flags).unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "{error:?} does not say {part:?}");
    }
    error
}

#[test]
fn nothing_given_means_the_defaults() {
    assert_eq!(load_from("", &[], &[]).unwrap(), Settings::default());
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let file = "[batch]\nmax_rows = 1\n[kafka]\nbrokers = 'file:1'";
    let environment = [
        ("MILLRACE_KAFKA__BROKERS", "env:1"),
        ("MILLRACE_REPLICA", "r1"),
    ];
    let settings = load_from(file, &environment, &["replica=r2"]).unwrap();
    assert_eq!(settings.batch.max_rows, 1);
    assert_eq!(settings.batch.max_delay, Duration::from_millis(2));
    assert_eq!(settings.kafka.brokers, "env:1");
    assert_eq!(settings.replica.as_deref(), Some("r2"));
}

#[test]
fn text_becomes_what_the_setting_is() {
    let flags = ["batch.max_rows=8", "batch.max_delay=250ms", "replica=12e5"];
    let settings = load_from("", &[], &flags).unwrap();
    assert_eq!(settings.batch.max_rows, 8);
    assert_eq!(settings.batch.max_delay, Duration::from_millis(250));
    assert_eq!(settings.replica.as_deref(), Some("12e5"));
}

#[test]
fn lists_and_tables_can_be_given_in_a_flag_or_variable() {
    let environment = [("MILLRACE_NAMES", "a, b")];
    let flags = [
        r#"pipelines=[{ name = "p", rows = 3 }]"#,
        "kafka.brokers=[::1]:9092",
    ];
    let settings = load_from("", &environment, &flags).unwrap();
    assert_eq!(settings.names, ["a", "b"]);
    assert_eq!(settings.pipelines[0].rows, Some(3));
    assert_eq!(settings.kafka.brokers, "[::1]:9092");
    assert_eq!(
        load_from("", &[], &[r#"names=["c"]"#]).unwrap().names,
        ["c"]
    );
}

#[test]
fn free_keys_keep_their_dots_from_every_source() {
    let file = "[kafka.options]\n'linger.ms' = '1'";
    let environment = [("MILLRACE_KAFKA__OPTIONS__SASL__USERNAME", "me")];
    let flags = ["kafka.options.socket.timeout.ms=5"];
    let options = load_from(file, &environment, &flags).unwrap().kafka.options;
    let expected = [
        ("linger.ms", "1"),
        ("sasl.username", "me"),
        ("socket.timeout.ms", "5"),
    ];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(options, BTreeMap::from(expected));
}

#[test]
fn unknown_key_is_named_with_its_source_and_the_known_ones() {
    let known = "expected `brokers` or `options`";
    check_error(
        "[kafka]\nbrokrs = 'x'",
        &[],
        &[],
        &["millrace.toml: unknown key kafka.brokrs", known],
    );
    let variable = [("MILLRACE_KAFKA__BROKRS", "x")];
    check_error(
        "",
        &variable,
        &[],
        &[
            "environment variable MILLRACE_KAFKA__BROKRS",
            "kafka.brokrs",
        ],
    );
    check_error(
        "",
        &[],
        &["kafka.brokrs=x"],
        &["--set kafka.brokrs: unknown key kafka.brokrs"],
    );
    check_error("typo = 1", &[], &[], &["unknown key typo", "`pipelines`"]);
    check_error(
        "[[pipelines]]\nname = 'a'\nrow = 1",
        &[],
        &[],
        &["unknown key pipelines[0].row"],
    );
}

#[test]
fn wrong_type_names_key_source_and_expectation() {
    check_error(
        "",
        &[],
        &["batch.max_rows=many"],
        &["--set batch.max_rows", "\"many\"", "an integer"],
    );
    check_error("", &[], &["batch.max_rows=-1"], &["batch.max_rows"]);
    check_error(
        "[batch]\nmax_delay = 'soon'",
        &[],
        &[],
        &["millrace.toml", "batch.max_delay", "soon"],
    );
    check_error(
        "[[pipelines]]\nrows = 1",
        &[],
        &[],
        &["pipelines[0]", "missing", "name"],
    );
}

#[test]
fn broken_rule_names_the_key() {
    check_error(
        "[batch]\nmax_rows = 0",
        &[],
        &[],
        &["batch.max_rows is 0; it must be at least 1"],
    );
}

#[test]
fn malformed_file_is_located_but_not_quoted() {
    let file = "[kafka.options]\n'sasl.password' = 'hunter2";
    let error = check_error(file, &[], &[], &["millrace.toml, line 2, column"]);
    assert!(!error.contains("hunter2"), "{error:?} shows a password");
}

#[test]
fn missing_file_and_valueless_flag_say_what_to_do() {
    let args = CommonArgs {
        config: Some("/nowhere/millrace.toml".into()),
        ..CommonArgs::default()
    };
    let error = load_with::<Settings>(&args, std::iter::empty()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("/nowhere/millrace.toml; give --config a readable")
    );
    check_error(
        "",
        &[],
        &["batch.max_rows"],
        &["write --set key.path=value"],
    );
}

#[test]
fn variables_that_are_not_settings_are_left_alone() {
    let environment = [
        ("PATH", "/bin"),
        ("MILLRACE_REPLICA", ""),
        ("MILLRACE_INGEST_SERVICE_HOST", "10.0.0.1"),
        ("MILLRACE_INGEST_PORT", "tcp://10.0.0.1:8080"),
        ("MILLRACE_INGEST_PORT_8080_TCP_ADDR", "10.0.0.1"),
    ];
    assert_eq!(
        load_from("", &environment, &[]).unwrap(),
        Settings::default()
    );
    check_error(
        "",
        &[("MILLRACE_REPLIKA", "x")],
        &[],
        &["unknown key replika"],
    );
}
