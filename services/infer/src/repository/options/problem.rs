//! What is wrong with a `model.toml`, in one line that names the line, the key, and what would be right.

/// A complaint of the parser, with the line that it is about and the nearest key that exists.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Problem(String);

impl Problem {
    pub(super) fn of(text: &str, error: &toml::de::Error) -> Self {
        let mut line = String::new();
        if let Some(span) = error.span() {
            let before = text.get(..span.start).unwrap_or(text);
            let number = before.matches('\n').count();
            let content = text.lines().nth(number).unwrap_or_default().trim();
            line = format!("line {}, `{content}`: ", number + 1);
        }
        Self(format!("{line}{}", readable(error.message())))
    }
}

/// The parser's words with the names of Rust's types replaced, and with a guess for unknown keys.
fn readable(message: &str) -> String {
    let message = message.trim().replace('\n', ", ");
    if let Some((given, expected)) = unknown(&message) {
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        let nearest = known
            .iter()
            .map(|key| (distance(&given, key), key))
            .min()
            .filter(|(distance, key)| *distance <= key.len().div_ceil(3).max(2));
        return match nearest {
            Some((_, key)) => format!("there is no key or value {given:?}; did you mean {key:?}?"),
            None => format!(
                "there is no key or value {given:?}; there are: {}",
                known.join(", ")
            ),
        };
    }
    let mut readable = message;
    for (rust, words) in [
        ("expected usize", "expected a whole number"),
        ("expected u64", "expected a whole number"),
        ("expected u32", "expected a whole number"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected f32", "expected a number"),
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected a section"),
        ("expected a boolean", "expected true or false"),
        ("floating point", "number"),
        ("invalid type: ", "is of the wrong kind: "),
    ] {
        readable = readable.replace(rust, words);
    }
    readable
}

/// What was written, and what serde says there is: "unknown field `a`, expected one of `b`, `c`".
fn unknown(message: &str) -> Option<(String, &str)> {
    let rest = message
        .strip_prefix("unknown field `")
        .or_else(|| message.strip_prefix("unknown variant `"))?;
    let (given, expected) = rest.split_once('`')?;
    Some((given.to_owned(), expected))
}

/// How many characters have to be added, removed or replaced.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, mine) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], index + 1);
        for (column, theirs) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(mine != *theirs);
            diagonal = row[column + 1];
            row[column + 1] = replaced.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_of_edits() {
        for (one, other, expected) in [
            ("", "abc", 3),
            ("maxrows", "max_rows", 1),
            ("thread", "threads", 1),
            ("kitten", "sitting", 3),
            ("same", "same", 0),
        ] {
            assert_eq!(distance(one, other), expected, "{one} {other}");
        }
    }
}
