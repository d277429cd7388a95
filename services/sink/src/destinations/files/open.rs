//! Opens the place that a URL names: a local folder, or a bucket of S3, Google Cloud Storage or Azure.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ObjectStore, RetryConfig};
use uuid::Uuid;

use super::FilesSettings;
use super::bucket::Bucket;
use super::folder::Folder;
use super::shelf::Shelf;

/// The client repeats what fails for so long; the pipeline repeats all of it, for longer.
const RETRY_TIMEOUT: Duration = Duration::from_secs(15);
const RETRIES: usize = 3;

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place<'a> {
    Folder(PathBuf),
    /// And the prefix within the bucket.
    S3(&'a str),
    Google(&'a str),
    Azure(&'a str),
}

/// Opens the place for one pipeline of one process.
pub(super) fn shelf(settings: &FilesSettings) -> anyhow::Result<Box<dyn Shelf>> {
    let owner = Uuid::new_v4().simple().to_string();
    let layout = settings.layout();
    let place = place(&settings.url)
        .ok_or_else(|| anyhow!("{:?} is no folder and no URL of a bucket", settings.url))?;
    let prefix = match place {
        Place::Folder(path) => return Ok(Box::new(Folder::open(&path, owner, layout)?)),
        Place::S3(prefix) | Place::Google(prefix) | Place::Azure(prefix) => prefix,
    };
    let options = options(settings)?;
    let opened = store(settings, &place, &options)
        .and_then(|store| Bucket::open(store, prefix, owner, layout));
    let bucket = opened.with_context(|| {
        format!(
            "cannot use {}; check the bucket, its region and the credentials",
            settings.url
        )
    })?;
    Ok(Box::new(bucket))
}

/// What the URL names; `None` for a scheme that we do not know.
pub(super) fn place(url: &str) -> Option<Place<'_>> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Some(Place::Folder(Path::new(url).to_owned()));
    };
    let prefix = rest.split_once('/').map_or("", |(_, prefix)| prefix);
    match scheme {
        "file" => Some(Place::Folder(Path::new(rest).to_owned())),
        "s3" | "s3a" => Some(Place::S3(prefix)),
        "gs" => Some(Place::Google(prefix)),
        "az" | "abfs" | "abfss" => Some(Place::Azure(prefix)),
        _ => None,
    }
}

/// The options of the settings, with the content of the files that hold secret ones.
fn options(settings: &FilesSettings) -> anyhow::Result<Vec<(String, String)>> {
    let mut options: Vec<(String, String)> = settings
        .options
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    for (name, path) in &settings.secrets {
        let value = fs::read_to_string(path)
            .with_context(|| format!("cannot read {}, the file of {name}", path.display()))?;
        options.push((
            name.clone(),
            value.trim_end_matches(['\r', '\n']).to_owned(),
        ));
    }
    Ok(options)
}

/// Credentials come from the options, else from where the clouds' own tools look: variables of
/// the environment, files, the machine. That reading is the library's, not ours.
fn store(
    settings: &FilesSettings,
    place: &Place<'_>,
    options: &[(String, String)],
) -> anyhow::Result<Box<dyn ObjectStore>> {
    let retry = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    };
    let url = settings.url.as_str();
    Ok(match place {
        Place::Folder(path) => return Err(anyhow!("{} is no bucket", path.display())),
        Place::S3(_) => {
            let mut builder = AmazonS3Builder::from_env().with_url(url).with_retry(retry);
            for (name, value) in options {
                builder = builder.with_config(name.parse()?, value);
            }
            Box::new(builder.build()?)
        }
        Place::Google(_) => {
            let mut builder = GoogleCloudStorageBuilder::from_env()
                .with_url(url)
                .with_retry(retry);
            for (name, value) in options {
                builder = builder.with_config(name.parse()?, value);
            }
            Box::new(builder.build()?)
        }
        Place::Azure(_) => {
            let mut builder = MicrosoftAzureBuilder::from_env()
                .with_url(url)
                .with_retry(retry);
            for (name, value) in options {
                builder = builder.with_config(name.parse()?, value);
            }
            Box::new(builder.build()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn url_names_a_folder_or_a_prefix_of_a_bucket() {
        for (url, expected) in [
            ("/data/results", Some(Place::Folder("/data/results".into()))),
            ("file:///data", Some(Place::Folder("/data".into()))),
            ("s3://bucket/a/b", Some(Place::S3("a/b"))),
            ("s3://bucket", Some(Place::S3(""))),
            ("gs://bucket/a", Some(Place::Google("a"))),
            ("az://container/a", Some(Place::Azure("a"))),
            ("ftp://host/a", None),
        ] {
            assert_eq!(place(url), expected, "{url}");
        }
    }
}
