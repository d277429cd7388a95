//! Opens the object store or web server that a URL names.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::{ObjectStore, RetryConfig};

use crate::repository::place::Store;
use crate::settings::ModelSettings;

/// The client repeats requests that fail for so long.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
const RETRIES: usize = 4;
/// Large files take long; what must not be long is the silence in between.
const TIMES: [(&str, &str); 3] = [
    ("connect_timeout", "5s"),
    ("read_timeout", "30s"),
    ("timeout", "1day"),
];

/// A client for the URL. Credentials come from the settings, else from where the clouds' own tools look: variables of the
/// environment, files, the machine. That reading is the library's, not ours.
pub(super) fn open(
    store: Store,
    url: &str,
    settings: &ModelSettings,
) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let options = options(settings)?;
    let retry = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    };
    Ok(match store {
        Store::S3 => {
            let mut builder = AmazonS3Builder::from_env().with_url(url).with_retry(retry);
            for (name, value) in options {
                builder = builder.with_config(name.parse()?, value);
            }
            Arc::new(builder.build()?)
        }
        Store::Google => {
            let mut builder = GoogleCloudStorageBuilder::from_env()
                .with_url(url)
                .with_retry(retry);
            for (name, value) in options {
                builder = builder.with_config(name.parse()?, value);
            }
            Arc::new(builder.build()?)
        }
        Store::Azure => {
            let mut builder = MicrosoftAzureBuilder::from_env()
                .with_url(url)
                .with_retry(retry);
            for (name, value) in options {
                builder = builder.with_config(name.parse()?, value);
            }
            Arc::new(builder.build()?)
        }
        Store::Web => {
            let mut builder = HttpBuilder::new().with_url(url).with_retry(retry);
            if url.starts_with("http://") {
                builder = builder.with_config("allow_http".parse()?, "true");
            }
            for (name, value) in options {
                builder = builder.with_config(name.parse()?, value);
            }
            Arc::new(builder.build()?)
        }
    })
}

/// The options of the settings, with the content of the files that hold secret ones.
fn options(settings: &ModelSettings) -> anyhow::Result<Vec<(String, String)>> {
    let mut options: Vec<(String, String)> = TIMES
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    options.extend(
        settings
            .options
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    );
    for (name, path) in &settings.secrets {
        let value = fs::read_to_string(path)
            .with_context(|| format!("cannot read {}, the file of {name}", path.display()))?;
        let value = value.trim_end_matches(['\r', '\n']).to_owned();
        options.push((name.clone(), value));
    }
    Ok(options)
}
