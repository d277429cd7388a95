//! Who a caller is and what he may do with which models.

use std::fmt;
use std::sync::Arc;

/// Callers without credentials; no credentials have these names.
const ANONYMOUS: &str = "anonymous";
const NOBODY: &str = "nobody";

/// What can be done with a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    /// Ask for predictions, and fetch their results.
    Predict,
    /// See that it is there, its state and its signature.
    Read,
    /// Load and unload it.
    Control,
}

impl Right {
    /// As key files and scopes name it.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "predict" => Some(Self::Predict),
            "read" => Some(Self::Read),
            "control" => Some(Self::Control),
            _ => None,
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Predict => "predict with",
            Self::Read => "read",
            Self::Control => "control",
        })
    }
}

/// A model's name in which `*` stands for any letters, also none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Box<str>);

impl Pattern {
    /// `None` for what can be no pattern of a model's name: empty or overlong text.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let fits = (1..=256).contains(&text.len());
        fits.then(|| Self(text.into()))
    }

    /// Whether the whole name fits.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let Some((head, rest)) = self.0.split_once('*') else {
            return &*self.0 == name;
        };
        let Some(mut left) = name.strip_prefix(head) else {
            return false;
        };
        let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The leftmost place of each piece leaves the most to those that follow.
        for piece in middle.split('*') {
            match left.find(piece) {
                Some(at) => left = &left[at + piece.len()..],
                None => return false,
            }
        }
        left.ends_with(tail)
    }
}

/// A right for some models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) right: Right,
    pub(crate) models: Vec<Pattern>,
}

/// Whoever sends a request, known or not; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    name: Arc<str>,
    grants: Arc<[Grant]>,
}

impl Caller {
    /// A caller known by name, with what was granted to him.
    pub(crate) fn known(name: &str, grants: Vec<Grant>) -> Self {
        Self {
            name: name.into(),
            grants: grants.into(),
        }
    }

    /// A caller without credentials, where none are needed: everything is granted to him.
    pub(crate) fn anonymous() -> Self {
        let everything = Pattern("*".into());
        let grant = |right| Grant {
            right,
            models: vec![everything.clone()],
        };
        let rights = [Right::Predict, Right::Read, Right::Control];
        Self::known(ANONYMOUS, rights.map(grant).into())
    }

    /// A caller who was not asked, at what is open to all.
    pub(crate) fn nobody() -> Self {
        Self::known(NOBODY, Vec::new())
    }

    /// The name, of a caller who has proven it.
    pub(crate) fn known_name(&self) -> Option<&str> {
        Some(&*self.name).filter(|name| !matches!(*name, ANONYMOUS | NOBODY))
    }

    /// For limits and logs: the name of the key or the subject of the token, never a secret.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the right was granted for this model.
    pub(crate) fn may(&self, right: Right, model: &str) -> bool {
        let fits = |grant: &Grant| {
            grant.right == right && grant.models.iter().any(|pattern| pattern.matches(model))
        };
        self.grants.iter().any(fits)
    }

    /// The same caller without one right.
    pub(super) fn without(mut self, right: Right) -> Self {
        let left = self.grants.iter().filter(|grant| grant.right != right);
        self.grants = left.cloned().collect();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, fits: &[&str], does_not_fit: &[&str]) {
        let parsed = Pattern::parse(pattern).unwrap();
        for name in fits {
            assert!(parsed.matches(name), "{pattern} must fit {name}");
        }
        for name in does_not_fit {
            assert!(!parsed.matches(name), "{pattern} must not fit {name}");
        }
    }

    #[test]
    fn a_star_stands_for_any_letters() {
        check("digits", &["digits"], &["digit", "digits2", "", "Digits"]);
        check("*", &["", "digits"], &[]);
        check("fraud-*", &["fraud-", "fraud-eu"], &["fraud", "xfraud-eu"]);
        check("*-eu", &["fraud-eu", "-eu"], &["eu", "fraud-eu2"]);
        check("a*b*c", &["abc", "aXbYc", "abbc"], &["acb", "ab", "aXbY"]);
        check("a*a", &["aa", "aba"], &["a"]);
        check("**", &["", "x"], &[]);
        check("*ab*ab", &["abab", "xabab"], &["ab", "xab"]);
    }

    #[test]
    fn a_pattern_of_many_stars_takes_no_time() {
        let pattern = Pattern::parse(&"*a".repeat(128)).unwrap();
        let began = std::time::Instant::now();
        assert!(!pattern.matches(&"b".repeat(1 << 16)));
        assert!(!pattern.matches(&format!("{}b", "a".repeat(1 << 16))));
        assert!(began.elapsed() < std::time::Duration::from_secs(1));
    }

    #[test]
    fn only_what_was_granted_is_allowed() {
        let grant = Grant {
            right: Right::Predict,
            models: vec![Pattern::parse("fraud-*").unwrap()],
        };
        let caller = Caller::known("checkout", vec![grant]);
        assert!(caller.may(Right::Predict, "fraud-eu"));
        assert!(!caller.may(Right::Predict, "digits"));
        assert!(!caller.may(Right::Read, "fraud-eu"));
        assert!(
            !caller
                .without(Right::Predict)
                .may(Right::Predict, "fraud-eu")
        );
    }
}
