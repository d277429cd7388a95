//! Who holds which idempotency key: what every replica concludes from the same topic.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

/// Keys are forgotten so much after their time, so that clocks may differ.
const GRACE_MS: i64 = 60_000;

/// The hash of a caller, a model and a key, or of a request's content.
pub(crate) type Digest = [u8; 16];

/// A record of the topic of claims, as JSON; the record's key is the claimed
/// key's digest in hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Event {
    /// A request is about to be sent; the first one that claims a key wins.
    Claimed {
        /// The request's id.
        id: String,
        /// The digest of its content, in hexadecimal.
        content: String,
        at_unix_ms: i64,
        /// Until then the request is sent, or the claim is void.
        lease_until_unix_ms: i64,
        /// From then on the key is free again, whatever happened.
        expires_unix_ms: i64,
    },
    /// The broker has the request.
    Sent {
        id: String,
        partition: i32,
        offset: i64,
        at_unix_ms: i64,
    },
    /// The request was not sent, or its outcome is not worth keeping.
    Released { id: String },
}

/// Who holds a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) id: String,
    pub(super) content: Digest,
    lease_until_unix_ms: i64,
    expires_unix_ms: i64,
    pub(super) sent: Option<Sent>,
}

/// Where a request is, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) at_unix_ms: i64,
}

impl Claim {
    fn is_live(&self, at_unix_ms: i64) -> bool {
        let leased = self.sent.is_some() || at_unix_ms < self.lease_until_unix_ms;
        leased && at_unix_ms < self.expires_unix_ms
    }
}

/// All keys that are held, at most so many.
#[derive(Debug)]
pub(super) struct Books {
    claims: HashMap<Digest, Claim>,
    /// In the order of their claims; may name claims that are no more.
    order: VecDeque<(Digest, String)>,
    limit: usize,
}

impl Books {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            claims: HashMap::new(),
            order: VecDeque::new(),
            limit,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.claims.len() >= self.limit
    }

    /// Who holds the key at that time.
    pub(super) fn holder(&self, key: &Digest, at_unix_ms: i64) -> Option<&Claim> {
        self.claims
            .get(key)
            .filter(|claim| claim.is_live(at_unix_ms))
    }

    /// Takes in the next record of the topic. For a claim: whether it won.
    pub(super) fn apply(&mut self, key: Digest, event: Event) -> Option<bool> {
        match event {
            Event::Claimed {
                id,
                content,
                at_unix_ms,
                lease_until_unix_ms,
                expires_unix_ms,
            } => {
                let claim = Claim {
                    id,
                    content: digest_of(&content)?,
                    lease_until_unix_ms,
                    expires_unix_ms,
                    sent: None,
                };
                Some(self.claim(key, claim, at_unix_ms))
            }
            Event::Sent {
                id,
                partition,
                offset,
                at_unix_ms,
            } => {
                let held = self.claims.get_mut(&key).filter(|claim| claim.id == id)?;
                held.sent = Some(Sent {
                    partition,
                    offset,
                    at_unix_ms,
                });
                None
            }
            Event::Released { id } => {
                self.claims.get(&key).filter(|claim| claim.id == id)?;
                self.claims.remove(&key);
                None
            }
        }
    }

    fn claim(&mut self, key: Digest, claim: Claim, at_unix_ms: i64) -> bool {
        if let Some(held) = self.holder(&key, at_unix_ms) {
            return held.id == claim.id;
        }
        self.order.push_back((key, claim.id.clone()));
        self.claims.insert(key, claim);
        self.forget(at_unix_ms);
        true
    }

    /// Drops what is over, and the oldest when there are too many after all.
    fn forget(&mut self, now_unix_ms: i64) {
        if self.order.len() > 2 * self.limit {
            let claims = &self.claims;
            self.order
                .retain(|(key, id)| holds(claims, key, id).is_some());
        }
        while let Some((key, id)) = self.order.front() {
            let held = holds(&self.claims, key, id);
            let over = held.is_none_or(|it| it.expires_unix_ms + GRACE_MS < now_unix_ms);
            if !over && self.claims.len() <= self.limit {
                return;
            }
            if held.is_some() {
                self.claims.remove(key);
            }
            self.order.pop_front();
        }
    }
}

/// The claim of a key, if it is still the one of that request.
fn holds<'a>(claims: &'a HashMap<Digest, Claim>, key: &Digest, id: &str) -> Option<&'a Claim> {
    claims.get(key).filter(|claim| claim.id == id)
}

/// Reads 32 hexadecimal digits.
pub(super) fn digest_of(text: &str) -> Option<Digest> {
    if text.len() != 32 || !text.bytes().all(|it| it.is_ascii_hexdigit()) {
        return None;
    }
    let number = u128::from_str_radix(text, 16).ok()?;
    Some(number.to_be_bytes())
}

/// As 32 hexadecimal digits.
pub(super) fn text_of(digest: &Digest) -> String {
    format!("{:032x}", u128::from_be_bytes(*digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Digest = [7; 16];

    fn claimed(id: &str, at_unix_ms: i64) -> Event {
        Event::Claimed {
            id: id.to_owned(),
            content: text_of(&[1; 16]),
            at_unix_ms,
            lease_until_unix_ms: at_unix_ms + 100,
            expires_unix_ms: at_unix_ms + 1_000,
        }
    }

    fn sent(id: &str) -> Event {
        Event::Sent {
            id: id.to_owned(),
            partition: 1,
            offset: 2,
            at_unix_ms: 3,
        }
    }

    fn released(id: &str) -> Event {
        Event::Released { id: id.to_owned() }
    }

    #[test]
    fn the_first_claim_wins_and_a_repeated_one_is_the_same() {
        let mut books = Books::new(10);
        assert_eq!(books.apply(KEY, claimed("a", 0)), Some(true));
        assert_eq!(books.apply(KEY, claimed("b", 1)), Some(false));
        assert_eq!(books.apply(KEY, claimed("a", 0)), Some(true));
        assert_eq!(books.holder(&KEY, 1).unwrap().id, "a");
        assert_eq!(books.apply([8; 16], claimed("b", 1)), Some(true));
    }

    #[test]
    fn a_claim_whose_request_was_not_sent_in_time_is_void() {
        let mut books = Books::new(10);
        books.apply(KEY, claimed("a", 0));
        assert_eq!(books.holder(&KEY, 100), None);
        assert_eq!(books.apply(KEY, claimed("b", 100)), Some(true));
        books.apply(KEY, sent("a"));
        assert_eq!(
            books.holder(&KEY, 150).unwrap().sent,
            None,
            "a came too late"
        );
    }

    #[test]
    fn a_sent_request_holds_its_key_until_it_expires() {
        let mut books = Books::new(10);
        books.apply(KEY, claimed("a", 0));
        books.apply(KEY, sent("a"));
        assert_eq!(books.apply(KEY, claimed("b", 999)), Some(false));
        assert_eq!(books.holder(&KEY, 999).unwrap().sent.unwrap().offset, 2);
        assert_eq!(books.apply(KEY, claimed("b", 1_000)), Some(true));
    }

    #[test]
    fn a_released_key_is_free_and_only_its_holder_releases_it() {
        let mut books = Books::new(10);
        books.apply(KEY, claimed("a", 0));
        books.apply(KEY, released("b"));
        assert!(books.holder(&KEY, 1).is_some());
        books.apply(KEY, released("a"));
        assert_eq!(books.apply(KEY, claimed("b", 1)), Some(true));
    }

    #[test]
    fn no_more_keys_are_kept_than_allowed_whatever_comes() {
        let mut books = Books::new(10);
        for number in 0..1_000u32 {
            let key = u128::from(number).to_be_bytes();
            books.apply(key, claimed(&number.to_string(), 0));
            if number % 3 == 0 {
                books.apply(key, released(&number.to_string()));
            }
            assert!(
                books.claims.len() <= 10 && books.order.len() <= 21,
                "{number}"
            );
        }
        books.apply([9; 16], claimed("last", 0));
        assert!(books.is_full());
        // One key that is taken and given back all the time costs one other, not all.
        for number in 0..1_000 {
            books.apply(KEY, claimed(&number.to_string(), 0));
            books.apply(KEY, released(&number.to_string()));
        }
        assert!(books.order.len() <= 21);
        assert_eq!(books.claims.len(), 9);
        assert!(books.holder(&[9; 16], 1).is_some());
        books.apply(KEY, claimed("later", 100_000));
        assert_eq!(books.claims.len(), 1, "what is over is forgotten");
    }

    #[test]
    fn a_record_is_what_the_documentation_shows() {
        let text = serde_json::to_string(&sent("a")).unwrap();
        let expected = r#"{"event":"sent","id":"a","partition":1,"offset":2,"at_unix_ms":3}"#;
        assert_eq!(text, expected);
    }
}
