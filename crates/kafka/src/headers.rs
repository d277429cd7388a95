//! Record headers: an ordered multimap, kept exactly as the producer wrote it.

use std::borrow::Cow;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr;

use rdkafka::bindings;
use rdkafka::message::{BorrowedMessage, Header, OwnedHeaders};
use rdkafka::types::RDKafkaRespErr;

/// Header names and values in order; names may repeat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Cow<'static, str>, Option<Vec<u8>>)>);

impl Headers {
    /// No headers; does not allocate.
    #[must_use]
    pub fn new() -> Self {
        Self(Vec::new())
    }

    /// No headers yet, room for `count` of them.
    #[must_use]
    pub fn with_capacity(count: usize) -> Self {
        Self(Vec::with_capacity(count))
    }

    /// Appends a header; earlier ones of the same name stay.
    pub fn push(&mut self, name: impl Into<Cow<'static, str>>, value: Option<Vec<u8>>) {
        self.0.push((name.into(), value));
    }

    /// Appends a header with a value.
    pub fn push_text(&mut self, name: impl Into<Cow<'static, str>>, value: impl AsRef<str>) {
        self.push(name, Some(value.as_ref().as_bytes().to_vec()));
    }

    /// Names and values in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, Option<&[u8]>)> {
        self.0
            .iter()
            .map(|(name, value)| (&**name, value.as_deref()))
    }

    /// Value of the first header of this name. A header without a value reads
    /// like a missing one.
    #[must_use]
    pub fn get_first(&self, name: &str) -> Option<&[u8]> {
        self.0
            .iter()
            .find(|(candidate, _)| candidate == name)
            .and_then(|(_, value)| value.as_deref())
    }

    /// How many headers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len))
            .sum()
    }

    pub(crate) fn to_native(&self) -> Option<OwnedHeaders> {
        if self.0.is_empty() {
            return None;
        }
        let mut native = OwnedHeaders::new_with_capacity(self.0.len());
        for (key, value) in &self.0 {
            let value = value.as_deref();
            native = native.insert(Header { key, value });
        }
        Some(native)
    }
}

impl From<Vec<(String, Option<Vec<u8>>)>> for Headers {
    fn from(pairs: Vec<(String, Option<Vec<u8>>)>) -> Self {
        let pairs = pairs.into_iter();
        Self(pairs.map(|(name, value)| (name.into(), value)).collect())
    }
}

/// Copies the headers of a message.
pub(crate) fn copy_from(message: &BorrowedMessage<'_>) -> Headers {
    let given = of(message);
    let mut headers = Headers::with_capacity(given.count);
    for (name, value) in given {
        headers.push(
            name.to_string_lossy().into_owned(),
            value.map(<[u8]>::to_vec),
        );
    }
    headers
}

/// The headers of a message, in its own memory.
///
/// rdkafka 0.39's own accessor unwraps the conversion of names to UTF-8, so one
/// record with a Latin-1 header name would take the polling thread down
/// (`BorrowedHeaders::try_get` in rdkafka `src/message.rs`). Names that are not
/// UTF-8 are to be carried with replacement characters instead.
#[expect(
    unsafe_code,
    reason = "rdkafka's safe accessor panics on foreign input"
)]
pub(crate) fn of<'a>(message: &'a BorrowedMessage<'_>) -> HeadersOf<'a> {
    let mut list: *mut bindings::rd_kafka_headers_t = ptr::null_mut();
    // SAFETY: the message is alive for the whole call and `list` is only read
    // when librdkafka says that it was set.
    let answer = unsafe { bindings::rd_kafka_message_headers(message.ptr(), &raw mut list) };
    let none = answer != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || list.is_null();
    let count = match none {
        true => 0,
        // SAFETY: `list` belongs to the message, which outlives this function.
        false => unsafe { bindings::rd_kafka_header_cnt(list) },
    };
    HeadersOf {
        list,
        count,
        next: 0,
        of: PhantomData,
    }
}

/// Reads the headers of a message, which it borrows.
pub(crate) struct HeadersOf<'a> {
    list: *mut bindings::rd_kafka_headers_t,
    count: usize,
    next: usize,
    of: PhantomData<&'a ()>,
}

impl<'a> Iterator for HeadersOf<'a> {
    type Item = (&'a CStr, Option<&'a [u8]>);

    #[expect(unsafe_code, reason = "as `of`, which makes this")]
    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.count {
            let mut name = ptr::null();
            let mut value = ptr::null();
            let mut size = 0;
            // SAFETY: there is a list if the count is not 0, it lives as long as
            // the message, and the three pointers are valid for writing.
            let answer = unsafe {
                bindings::rd_kafka_header_get_all(
                    self.list,
                    self.next,
                    &raw mut name,
                    &raw mut value,
                    &raw mut size,
                )
            };
            self.next += 1;
            if answer != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
                continue;
            }
            // SAFETY: librdkafka terminates names with NUL and keeps name and
            // value alive as long as the message, which is borrowed.
            return Some(unsafe {
                let name = CStr::from_ptr(name);
                let value = (!value.is_null())
                    .then(|| std::slice::from_raw_parts(value.cast::<u8>(), size));
                (name, value)
            });
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_names_keep_their_order_and_the_first_is_found() {
        let mut headers = Headers::new();
        headers.push_text("a", "1");
        headers.push("b", None);
        headers.push_text("a", "2");
        assert_eq!(headers.get_first("a"), Some(b"1".as_slice()));
        assert_eq!(headers.get_first("b"), None);
        let names: Vec<&str> = headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a", "b", "a"]);
        assert_eq!(headers.size_bytes(), 5);
    }
}
