//! Which cluster to talk to, and how its settings become librdkafka options:
//! our defaults first, the user's options over them, the safety options last.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::guards;

/// Oldest librdkafka without known silent losses in what we use.
const REQUIRED_LIBRDKAFKA: (i32, &str) = (0x020c_0100, "2.12.1");

/// The cluster, and any further librdkafka options (TLS, SASL, timeouts).
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// Name under which the broker logs and limits this process.
    pub client_id: String,
    /// librdkafka options by their own names; those that would undo a
    /// guarantee are refused at start.
    pub options: BTreeMap<String, String>,
    /// Options whose values stand in files, such as `sasl.password`; white
    /// space at a file's end does not count. They win over `options`.
    pub option_files: BTreeMap<String, PathBuf>,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            brokers: "127.0.0.1:9092".to_owned(),
            client_id: "millrace".to_owned(),
            options: BTreeMap::new(),
            option_files: BTreeMap::new(),
        }
    }
}

impl fmt::Debug for Cluster {
    /// Shows the names of the options, not their values: passwords and keys
    /// are among them.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Cluster")
            .field("brokers", &self.brokers)
            .field("client_id", &self.client_id)
            .field("options", &self.options.keys())
            .field("option_files", &self.option_files)
            .finish()
    }
}

impl Cluster {
    /// A cluster by its addresses, everything else by default.
    #[must_use]
    pub fn at(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            ..Self::default()
        }
    }

    /// Checks the settings without connecting.
    ///
    /// # Errors
    /// `LibraryTooOld`, `OptionRefused`, `OptionFile`, or `Settings` for an option that
    /// librdkafka does not know or whose value it refuses.
    pub fn check(&self) -> Result<(), Error> {
        self.client_config(&[], &[]).map(drop)
    }

    /// Options of one client: `defaults`, then the user's, then `safety`.
    pub(crate) fn client_config(
        &self,
        defaults: &[(&'static str, String)],
        safety: &[(&'static str, String)],
    ) -> Result<ClientConfig, Error> {
        require_library(rdkafka::util::get_rdkafka_version())?;
        let mut options = self.options.clone();
        for (key, path) in &self.option_files {
            options.insert(key.clone(), value_in(key, path)?);
        }
        for (key, value) in &options {
            guards::check(key, value)?;
        }
        let mut config = ClientConfig::new();
        // Which lines are shown is the tracing subscriber's decision.
        config.set_log_level(RDKafkaLogLevel::Info);
        for (key, value) in defaults {
            config.set(*key, value);
        }
        for (key, value) in &options {
            config.set(guards::canonical(key), value);
        }
        for (key, value) in safety {
            config.set(*key, value);
        }
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", &self.client_id);
        match config.create_native_config() {
            Ok(_) => Ok(config),
            Err(source) => Err(Error::Settings {
                client: "cluster",
                source: without_value(source),
            }),
        }
    }
}

fn value_in(key: &str, path: &Path) -> Result<String, Error> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::OptionFile {
        key: key.to_owned(),
        path: path.to_owned(),
        source: Arc::new(source),
    })?;
    Ok(text.trim_end().to_owned())
}

/// rdkafka repeats the value, which is a secret if a password's key is misspelt.
fn without_value(error: KafkaError) -> KafkaError {
    match error {
        KafkaError::ClientConfig(result, description, key, _) => {
            KafkaError::ClientConfig(result, description, key, "(value not shown)".to_owned())
        }
        other => other,
    }
}

fn require_library((number, text): (i32, String)) -> Result<(), Error> {
    let (required, name) = REQUIRED_LIBRDKAFKA;
    if number < required {
        return Err(Error::LibraryTooOld {
            found: text,
            required: name,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_option(key: &str, value: &str) -> Cluster {
        let mut cluster = Cluster::default();
        cluster.options.insert(key.to_owned(), value.to_owned());
        cluster
    }

    #[test]
    fn a_user_option_wins_over_our_default() {
        let config = with_option("session.timeout.ms", "30000")
            .client_config(&[("session.timeout.ms", "10000".to_owned())], &[])
            .unwrap();
        assert_eq!(config.get("session.timeout.ms"), Some("30000"));
    }

    #[test]
    fn a_user_option_under_its_other_name_wins_over_our_default_too() {
        let config = with_option("max.partition.fetch.bytes", "5")
            .client_config(&[("fetch.message.max.bytes", "9".to_owned())], &[])
            .unwrap();
        assert_eq!(config.get("fetch.message.max.bytes"), Some("5"));
        assert_eq!(config.get("max.partition.fetch.bytes"), None);
    }

    #[test]
    fn a_safety_option_wins_over_everything() {
        let config = with_option("acks", "-1")
            .client_config(&[("acks", "1".to_owned())], &[("acks", "all".to_owned())])
            .unwrap();
        assert_eq!(config.get("acks"), Some("all"));
    }

    #[test]
    fn options_that_undo_a_guarantee_are_refused_under_all_their_names() {
        for (key, value) in [
            ("enable.auto.commit", "true"),
            ("enable.auto.offset.store", "TRUE"),
            ("auto.offset.reset", "latest"),
            ("acks", "1"),
            ("request.required.acks", "0"),
            ("enable.idempotence", "false"),
            ("retries", "3"),
            ("delivery.timeout.ms", "1000"),
            ("metadata.broker.list", "elsewhere:9092"),
            ("max.in.flight.requests.per.connection", "6"),
            ("check.crcs", "false"),
        ] {
            let error = with_option(key, value).check().unwrap_err();
            assert!(
                matches!(error, Error::OptionRefused { .. }),
                "{key}={value}: {error}"
            );
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn harmless_repetitions_of_our_own_values_are_accepted() {
        for (key, value) in [
            ("acks", "all"),
            ("enable.auto.commit", "False"),
            ("auto.offset.reset", "earliest"),
        ] {
            with_option(key, value).check().unwrap();
        }
    }

    #[test]
    fn an_unknown_option_is_refused_with_its_name() {
        let error = with_option("sessoin.timeout.ms", "1").check().unwrap_err();
        assert!(error.to_string().contains("sessoin.timeout.ms"), "{error}");
    }

    #[test]
    fn an_old_librdkafka_is_refused() {
        let error = require_library((0x0206_01ff, "2.6.1".to_owned())).unwrap_err();
        assert!(error.to_string().contains("2.6.1"), "{error}");
    }

    #[test]
    fn a_value_can_stand_in_a_file() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("password");
        std::fs::write(&path, "hunter2\n").unwrap();
        let mut cluster = with_option("sasl.password", "overridden");
        let key = "sasl.password".to_owned();
        cluster.option_files.insert(key.clone(), path);
        let config = cluster.client_config(&[], &[]).unwrap();
        assert_eq!(config.get("sasl.password"), Some("hunter2"));
        let missing = folder.path().join("missing");
        cluster.option_files.insert(key, missing);
        let error = cluster.check().unwrap_err().to_string();
        assert!(error.contains("sasl.password"), "{error}");
    }

    #[test]
    fn an_option_that_undoes_a_guarantee_is_refused_from_a_file_too() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("acks");
        std::fs::write(&path, "0").unwrap();
        let mut cluster = Cluster::default();
        cluster.option_files.insert("acks".to_owned(), path);
        let error = cluster.check().unwrap_err();
        assert!(matches!(error, Error::OptionRefused { .. }), "{error}");
    }

    #[test]
    fn the_value_of_a_misspelt_option_is_not_shown() {
        let error = with_option("sasl.pasword", "hunter2").check().unwrap_err();
        assert!(error.to_string().contains("sasl.pasword"), "{error}");
        for shown in [format!("{error:?}"), error.to_string()] {
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let cluster = with_option("sasl.password", "hunter2");
        assert!(!format!("{cluster:?}").contains("hunter2"));
        let refused = format!("{:?}", cluster.client_config(&[], &[]).unwrap());
        assert!(!refused.contains("hunter2"));
    }
}
