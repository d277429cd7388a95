//! Where a database is and how its connection is protected: a URL from the settings, or from a file that only we read.

use std::fs;
use std::path::{Path, PathBuf};

/// The address of a database, without what concerns TLS.
pub(crate) struct Address {
    /// With user and password: never to be logged.
    pub(crate) url: String,
    pub(crate) tls: Tls,
}

/// How the connection is protected, as libpq's `sslmode` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    pub(crate) mode: TlsMode,
    /// The authorities that are trusted, as PEM.
    pub(crate) root: Option<PathBuf>,
}

/// Values of `sslmode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// Never.
    Disable,
    /// If the server offers it, unchecked.
    Prefer,
    /// Always, unchecked.
    Require,
    /// The certificate must be signed by `sslrootcert`.
    VerifyCa,
    /// It must also name the host.
    VerifyFull,
}

/// Why there is no usable address. Never holds the URL itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("set either url or url_file")]
    NoneOrBoth,
    #[error("url_file {} cannot be read", .0.display())]
    File(PathBuf, #[source] std::io::Error),
    #[error("the url does not begin with {0}://")]
    Scheme(&'static str),
    #[error(
        "sslmode is {0:?}; use \"disable\", \"prefer\", \"require\", \"verify-ca\" or \"verify-full\""
    )]
    Mode(String),
    #[error("sslmode {0} needs sslrootcert, a PEM file of the trusted authorities")]
    NoRoot(String),
}

impl Address {
    /// Takes the URL from one of two settings and its TLS parameters out of it.
    ///
    /// # Errors
    /// Both or none are set, the file cannot be read, the scheme or a TLS parameter is wrong.
    pub(crate) fn resolve(
        url: Option<&str>,
        url_file: Option<&Path>,
        schemes: &[&'static str],
    ) -> Result<Self, AddressError> {
        let text = match (url, url_file) {
            (Some(url), None) => url.to_owned(),
            (None, Some(file)) => fs::read_to_string(file)
                .map_err(|error| AddressError::File(file.to_owned(), error))?,
            _ => return Err(AddressError::NoneOrBoth),
        };
        Self::parse(text.trim(), schemes)
    }

    fn parse(text: &str, schemes: &[&'static str]) -> Result<Self, AddressError> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        if !schemes.iter().any(|known| scheme == Some(*known)) {
            return Err(AddressError::Scheme(
                schemes.first().copied().unwrap_or_default(),
            ));
        }
        let (base, query) = text.split_once('?').unwrap_or((text, ""));
        let mut mode = "prefer".to_owned();
        let mut root = None;
        let mut others = Vec::new();
        for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = percent_decoded(value),
                Some(("sslrootcert", value)) => root = Some(PathBuf::from(percent_decoded(value))),
                _ => others.push(parameter),
            }
        }
        let tls = Tls {
            mode: TlsMode::parse(&mode)?,
            root,
        };
        if tls.root.is_none() && matches!(tls.mode, TlsMode::VerifyCa | TlsMode::VerifyFull) {
            return Err(AddressError::NoRoot(mode));
        }
        let url = match others.is_empty() {
            true => base.to_owned(),
            false => format!("{base}?{}", others.join("&")),
        };
        Ok(Self { url, tls })
    }
}

impl TlsMode {
    fn parse(text: &str) -> Result<Self, AddressError> {
        Ok(match text {
            "disable" => Self::Disable,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            other => return Err(AddressError::Mode(other.to_owned())),
        })
    }
}

/// `%41` becomes `A`; what is no such sequence stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let digits = (byte == b'%')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(digits.unwrap_or(byte));
        if digits.is_some() {
            rest = &after[2..];
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMES: &[&str] = &["postgresql", "postgres"];

    #[test]
    fn tls_parameters_are_taken_out_of_the_url() {
        let url = "postgres://u:p@h/d?sslmode=verify-full&application_name=x&sslrootcert=%2Fca.crt";
        let address = Address::resolve(Some(url), None, SCHEMES).unwrap();
        assert_eq!(address.url, "postgres://u:p@h/d?application_name=x");
        assert_eq!(address.tls.mode, TlsMode::VerifyFull);
        assert_eq!(address.tls.root.unwrap(), Path::new("/ca.crt"));
    }

    #[test]
    fn url_may_stand_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secret");
        fs::write(&file, "postgresql://u@h/d\n").unwrap();
        let address = Address::resolve(None, Some(&file), SCHEMES).unwrap();
        assert_eq!(address.url, "postgresql://u@h/d");
        assert_eq!(address.tls.mode, TlsMode::Prefer);
    }

    #[test]
    fn wrong_addresses_say_what_is_wrong_and_hide_the_password() {
        let cases = [
            ("mysql://u:hush@h/d", "postgresql://"),
            ("postgres://u:hush@h/d?sslmode=on", "\"on\""),
            ("postgres://u:hush@h/d?sslmode=verify-ca", "sslrootcert"),
        ];
        for (url, fragment) in cases {
            let error = Address::resolve(Some(url), None, SCHEMES).err().unwrap();
            let text = error.to_string();
            assert!(text.contains(fragment) && !text.contains("hush"), "{text}");
        }
        assert!(Address::resolve(None, None, SCHEMES).is_err());
    }
}
