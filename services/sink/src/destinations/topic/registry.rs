//! The schema registry: a schema in, its id out.

use std::fs;
use std::time::Duration;

use anyhow::Context;
use schema_registry_converter::blocking::schema_registry::{
    SrSettings, get_all_subjects, post_schema,
};
use schema_registry_converter::schema_registry_common::{SchemaType, SuppliedSchema};

use super::encode::EncodeError;
use super::settings::RegistrySettings;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A registry that speaks Confluent's protocol.
pub(super) struct Registry {
    client: SrSettings,
    url: String,
    subject: String,
}

impl Registry {
    pub(super) fn open(settings: &RegistrySettings, topic: &str) -> anyhow::Result<Self> {
        let url = settings.url.trim_end_matches('/').to_owned();
        let mut builder = SrSettings::new_builder(url.clone());
        builder.set_timeout(TIMEOUT);
        if let (Some(username), Some(file)) = (&settings.username, &settings.password_file) {
            let password = fs::read_to_string(file).with_context(|| {
                format!("cannot read registry.password_file {}", file.display())
            })?;
            builder.set_basic_authorization(username, Some(password.trim_end()));
        }
        let client = builder
            .build()
            .with_context(|| format!("cannot use the schema registry {url}"))?;
        let subject = settings.subject.clone();
        Ok(Self {
            client,
            url,
            subject: subject.unwrap_or_else(|| format!("{topic}-value")),
        })
    }

    /// Whether the registry answers.
    pub(super) fn ask(&self) -> anyhow::Result<()> {
        let subjects = get_all_subjects(&self.client);
        subjects
            .map(drop)
            .with_context(|| format!("the schema registry {} does not answer", self.url))
    }

    /// The id of an Avro schema, which is registered if it is new.
    pub(super) fn id_of(&self, schema: &str) -> Result<u32, EncodeError> {
        let supplied = SuppliedSchema::new(None, SchemaType::Avro, schema.to_owned());
        let registered = post_schema(&self.client, self.subject.clone(), supplied);
        registered
            .map(|it| it.id)
            .map_err(|source| EncodeError::Registry {
                url: self.url.clone(),
                subject: self.subject.clone(),
                transient: source.retriable,
                source,
            })
    }
}
