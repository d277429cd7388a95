//! Opens the place that `claims.url` names.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ObjectStore, RetryConfig};

use crate::bucket::Bucket;
use crate::error::ClaimError;
use crate::folder::Folder;
use crate::settings::ClaimSettings;
use crate::shelf::Shelf;

/// The client repeats what fails for so long; whoever waits repeats all of it, for longer.
const RETRY_TIMEOUT: Duration = Duration::from_secs(5);
const RETRIES: usize = 2;
/// Large objects take long; what must not be long is the silence in between.
const TIMES: [(&str, &str); 3] = [
    ("connect_timeout", "5s"),
    ("read_timeout", "10s"),
    ("timeout", "10m"),
];

/// What a URL names.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    Folder(PathBuf),
    /// And the prefix within the bucket.
    S3(&'a str),
    Google(&'a str),
    Azure(&'a str),
}

impl<'a> Place<'a> {
    /// `None` for a scheme that we do not know, or no bucket.
    pub(crate) fn parse(url: &'a str) -> Option<Self> {
        let Some((scheme, rest)) = url.split_once("://") else {
            return Some(Self::Folder(url.into()));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if scheme == "file" {
            return Some(Self::Folder(rest.into()));
        }
        match scheme {
            _ if bucket.is_empty() => None,
            "s3" | "s3a" => Some(Self::S3(prefix)),
            "gs" => Some(Self::Google(prefix)),
            "az" | "abfs" | "abfss" => Some(Self::Azure(prefix)),
            _ => None,
        }
    }
}

/// The folder or bucket of the settings. No bucket is asked yet.
pub(crate) fn shelf(settings: &ClaimSettings) -> Result<Box<dyn Shelf>, ClaimError> {
    let unusable = |problem: String| ClaimError::Down(format!("{}: {problem}", settings.url));
    let place = Place::parse(&settings.url)
        .ok_or_else(|| unusable("it is no folder and no URL of a bucket".to_owned()))?;
    let prefix = match &place {
        Place::Folder(root) => return Ok(Box::new(Folder::new(root.clone()))),
        Place::S3(prefix) | Place::Google(prefix) | Place::Azure(prefix) => *prefix,
    };
    let options = options(settings).map_err(unusable)?;
    let store =
        client(&settings.url, &place, options).map_err(|error| unusable(error.to_string()))?;
    Ok(Box::new(Bucket::new(store, prefix)?))
}

/// The options of the settings, with the content of the files that hold secret ones.
fn options(settings: &ClaimSettings) -> Result<Vec<(String, String)>, String> {
    let ours = TIMES
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let given = settings
        .options
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()));
    let mut options: Vec<_> = ours.chain(given).collect();
    for (name, path) in &settings.secrets {
        let value = fs::read_to_string(path).map_err(|error| {
            format!(
                "cannot read {}, the file of {name}: {error}",
                path.display()
            )
        })?;
        options.push((
            name.clone(),
            value.trim_end_matches(['\r', '\n']).to_owned(),
        ));
    }
    Ok(options)
}

/// Credentials come from the options, else from where the clouds' own tools look: variables of the environment, files,
/// the machine. That reading is the library's, not ours.
fn client(
    url: &str,
    place: &Place<'_>,
    options: Vec<(String, String)>,
) -> object_store::Result<Box<dyn ObjectStore>> {
    let retry = RetryConfig {
        max_retries: RETRIES,
        retry_timeout: RETRY_TIMEOUT,
        ..RetryConfig::default()
    };
    Ok(match place {
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
        Place::S3(_) | Place::Folder(_) => {
            let mut builder = AmazonS3Builder::from_env().with_url(url).with_retry(retry);
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
    fn a_url_names_a_folder_or_a_prefix_of_a_bucket() {
        for (url, expected) in [
            ("/data/claims", Some(Place::Folder("/data/claims".into()))),
            ("file:///data", Some(Place::Folder("/data".into()))),
            ("s3://bucket/a/b", Some(Place::S3("a/b"))),
            ("gs://bucket", Some(Place::Google(""))),
            ("az://container/a", Some(Place::Azure("a"))),
            ("s3://", None),
            ("ftp://host/a", None),
        ] {
            assert_eq!(Place::parse(url), expected, "{url}");
        }
    }
}
