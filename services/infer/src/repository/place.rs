//! What `models.path` names: a folder, a prefix of a bucket, or a folder of a web server.

use std::path::{Path, PathBuf};

/// What `models.path` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// Something behind a URL.
    Remote {
        /// Who serves it.
        store: Store,
        /// All of the URL.
        url: String,
        /// What stands behind the bucket; empty for web servers.
        prefix: String,
    },
}

/// Who serves a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Store {
    S3,
    Google,
    Azure,
    /// A web server, which cannot be asked for its files.
    Web,
}

impl Place {
    /// Understands a path or a URL.
    ///
    /// # Errors
    /// Says what can be given instead.
    pub(crate) fn parse(path: &Path) -> Result<Self, String> {
        let Some((scheme, rest)) = path.to_str().and_then(|text| text.split_once("://")) else {
            return Ok(Self::Folder(path.to_owned()));
        };
        let store = match scheme {
            "file" => return Ok(Self::Folder(PathBuf::from(rest))),
            "s3" | "s3a" => Store::S3,
            "gs" => Store::Google,
            "az" | "abfs" | "abfss" => Store::Azure,
            "http" | "https" => Store::Web,
            _ => {
                return Err(format!(
                    "is {:?}; give a folder, or a URL with s3, gs, az, abfs, abfss, https, http or file",
                    path.display().to_string()
                ));
            }
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(format!(
                "is {:?}, which names no bucket or host",
                path.display().to_string()
            ));
        }
        let prefix = match store {
            Store::Web => "",
            Store::S3 | Store::Google | Store::Azure => prefix.trim_matches('/'),
        };
        Ok(Self::Remote {
            store,
            url: format!("{scheme}://{}", rest.trim_end_matches('/')),
            prefix: prefix.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_folder_a_bucket_or_a_web_server() {
        let folder = |path: &str| Place::Folder(path.into());
        let remote = |store, url: &str, prefix: &str| Place::Remote {
            store,
            url: url.to_owned(),
            prefix: prefix.to_owned(),
        };
        for (path, expected) in [
            ("/data/models", folder("/data/models")),
            ("file:///data", folder("/data")),
            ("s3://b/a/m/", remote(Store::S3, "s3://b/a/m", "a/m")),
            ("gs://b", remote(Store::Google, "gs://b", "")),
            ("az://c/m", remote(Store::Azure, "az://c/m", "m")),
            ("https://h/m/", remote(Store::Web, "https://h/m", "")),
        ] {
            assert_eq!(Place::parse(Path::new(path)), Ok(expected));
        }
        assert!(
            Place::parse(Path::new("ftp://h/m"))
                .unwrap_err()
                .contains("s3, gs")
        );
        assert!(Place::parse(Path::new("s3://")).is_err());
    }
}
