//! What a request shows of its caller, over HTTP and gRPC alike.

use super::error::AccessError;

/// A longer secret is none of ours, and is not even hashed.
const MAX_SECRET_BYTES: usize = 8 << 10;

/// The names of the headers, and of gRPC's metadata.
pub(crate) const AUTHORIZATION: &str = "authorization";
pub(crate) const X_API_KEY: &str = "x-api-key";

/// What a caller shows: the text of an API key or of a token.
#[derive(Clone, Copy)]
pub(crate) struct Presented<'a>(&'a str);

impl<'a> Presented<'a> {
    /// Takes the secret out of all values of the two headers; `None` when there is none.
    ///
    /// # Errors
    /// `Malformed` for more than one value, another scheme than `Bearer`, or
    /// anything that cannot be a secret of ours.
    pub(crate) fn of<V: AsRef<[u8]> + ?Sized + 'a>(
        authorization: impl IntoIterator<Item = &'a V>,
        api_key: impl IntoIterator<Item = &'a V>,
    ) -> Result<Option<Self>, AccessError> {
        let mut found = None;
        let bearers = authorization
            .into_iter()
            .map(|value| bearer(value.as_ref()));
        let keys = api_key.into_iter().map(|value| Some(value.as_ref()));
        for secret in bearers.chain(keys) {
            let secret = secret.ok_or(AccessError::Malformed)?;
            if found.replace(secret).is_some() {
                return Err(AccessError::Malformed);
            }
        }
        found.map(Self::checked).transpose()
    }

    fn checked(secret: &'a [u8]) -> Result<Self, AccessError> {
        let is_plausible = (1..=MAX_SECRET_BYTES).contains(&secret.len())
            && secret.iter().all(u8::is_ascii_graphic);
        let text = std::str::from_utf8(secret).ok().filter(|_| is_plausible);
        text.map(Self).ok_or(AccessError::Malformed)
    }

    /// The secret itself; it must never be shown.
    pub(crate) fn secret(self) -> &'a str {
        self.0
    }

    /// Three parts with dots between them: no API key looks like this.
    pub(crate) fn is_token(self) -> bool {
        self.0.bytes().filter(|byte| *byte == b'.').count() == 2
    }
}

/// What follows the scheme `Bearer`, which RFC 9110 lets stand in any case.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked("bearer ".len())?;
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer ");
    is_bearer.then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(
        authorization: &[&str],
        api_key: &[&str],
        expected: Result<Option<&str>, AccessError>,
    ) {
        let given = Presented::of(
            authorization.iter().map(|value| value.as_bytes()),
            api_key.iter().map(|value| value.as_bytes()),
        );
        assert_eq!(given.map(|it| it.map(Presented::secret)), expected);
    }

    #[test]
    fn either_header_brings_the_secret() {
        check(&[], &[], Ok(None));
        check(&["Bearer abc"], &[], Ok(Some("abc")));
        check(&["bEARER  abc "], &[], Ok(Some("abc")));
        check(&[], &["abc"], Ok(Some("abc")));
    }

    #[test]
    fn anything_else_is_malformed() {
        let malformed = || Err(AccessError::Malformed);
        check(&["Basic dXNlcjpwYXNz"], &[], malformed());
        check(&["Bearer"], &[], malformed());
        check(&["Bearer "], &[], malformed());
        check(&["Bearer a b"], &[], malformed());
        check(&["Bearer ä"], &[], malformed());
        check(&[""], &[], malformed());
        check(&[], &[""], malformed());
        check(&["Bearer a", "Bearer a"], &[], malformed());
        check(&["Bearer a"], &["a"], malformed());
        check(&[], &["a", "a"], malformed());
        check(&[], &[&"x".repeat(MAX_SECRET_BYTES + 1)], malformed());
    }
}
