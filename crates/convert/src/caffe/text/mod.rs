//! A reader of protobuf's text format: a tree of names and values, whatever the names are.

mod reader;

use crate::error::{LayerResult, Problem};

/// Larger than any count or size of a layer; sums and products of two of them cannot overflow.
const MAX_WHOLE: u64 = 1 << 24;

/// The fields between two braces, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Message {
    fields: Vec<(String, Value)>,
}

#[derive(Clone, Debug, PartialEq)]
enum Value {
    /// A number, a boolean or the name of an enumerated value.
    Word(String),
    /// What stood in quotes.
    Text(String),
    Message(Message),
}

/// A message without fields.
pub(super) static EMPTY: Message = Message { fields: Vec::new() };

impl Message {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// A sentence with the line, if it is not in the text format, too deep or too large.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        reader::read(text)
    }

    /// Names of the fields, in their order, again where they are repeated.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    fn all(&self, name: &str) -> Vec<&Value> {
        let fields = self.fields.iter().filter(|(it, _)| it == name);
        fields.map(|(_, value)| value).collect()
    }

    /// The only value of a field.
    fn one(&self, name: &str) -> LayerResult<Option<&Value>> {
        let mut values = self.all(name).into_iter();
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Problem::Misfit(format!("there is more than one {name}"))),
        }
    }

    /// Messages of a repeated field.
    pub(super) fn messages(&self, name: &str) -> LayerResult<Vec<&Message>> {
        let mut found = Vec::new();
        for value in self.all(name) {
            match value {
                Value::Message(message) => found.push(message),
                _ => return Err(misfit(name, "a message in braces")),
            }
        }
        Ok(found)
    }

    /// A message, if it is there.
    pub(super) fn message(&self, name: &str) -> LayerResult<Option<&Message>> {
        match self.one(name)? {
            None => Ok(None),
            Some(Value::Message(message)) => Ok(Some(message)),
            Some(_) => Err(misfit(name, "a message in braces")),
        }
    }

    /// Texts of a repeated field.
    pub(super) fn texts(&self, name: &str) -> LayerResult<Vec<&str>> {
        let mut found = Vec::new();
        for value in self.all(name) {
            match value {
                Value::Text(text) => found.push(text.as_str()),
                _ => return Err(misfit(name, "a text in quotes")),
            }
        }
        Ok(found)
    }

    /// A text or the name of an enumerated value, if it is there.
    pub(super) fn word(&self, name: &str) -> LayerResult<Option<&str>> {
        match self.one(name)? {
            None => Ok(None),
            Some(Value::Word(word) | Value::Text(word)) => Ok(Some(word)),
            Some(Value::Message(_)) => Err(misfit(name, "a word")),
        }
    }

    /// Whether a field stands there.
    pub(super) fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// A boolean.
    pub(super) fn flag(&self, name: &str) -> LayerResult<Option<bool>> {
        self.word(name)?
            .map(|word| match word {
                "true" | "True" | "t" | "1" => Ok(true),
                "false" | "False" | "f" | "0" => Ok(false),
                _ => Err(misfit(name, "true or false")),
            })
            .transpose()
    }

    /// Integers of a repeated field.
    pub(super) fn integers(&self, name: &str) -> LayerResult<Vec<i64>> {
        let whole = |value: &Value| match value {
            Value::Word(word) => word.parse().map_err(|_| misfit(name, "an integer")),
            _ => Err(misfit(name, "an integer")),
        };
        self.all(name).into_iter().map(whole).collect()
    }

    /// An integer, if it is there.
    pub(super) fn integer(&self, name: &str) -> LayerResult<Option<i64>> {
        self.one(name)?;
        Ok(self.integers(name)?.first().copied())
    }

    /// Sizes and counts of a repeated field: not negative and not absurd.
    pub(super) fn wholes(&self, name: &str) -> LayerResult<Vec<u64>> {
        let whole = |value| match u64::try_from(value) {
            Ok(value) if value <= MAX_WHOLE => Ok(value),
            _ => Err(Problem::Misfit(format!(
                "{name} {value} is not between 0 and {MAX_WHOLE}"
            ))),
        };
        self.integers(name)?.into_iter().map(whole).collect()
    }

    /// A size or count, if it is there.
    pub(super) fn whole(&self, name: &str) -> LayerResult<Option<u64>> {
        self.one(name)?;
        Ok(self.wholes(name)?.first().copied())
    }

    /// Numbers of a repeated field.
    pub(super) fn floats(&self, name: &str) -> LayerResult<Vec<f32>> {
        let float = |value: &Value| {
            let word = match value {
                Value::Word(word) => word,
                _ => return Err(misfit(name, "a number")),
            };
            // The text format lets C's suffix stand.
            let number = word
                .strip_suffix(['f', 'F'])
                .filter(|it| it.ends_with(|end: char| end.is_ascii_digit() || end == '.'));
            let number: f32 = number
                .unwrap_or(word)
                .parse()
                .map_err(|_| misfit(name, "a number"))?;
            match number.is_finite() {
                true => Ok(number),
                false => Err(misfit(name, "a finite number")),
            }
        };
        self.all(name).into_iter().map(float).collect()
    }

    /// A number, if it is there.
    pub(super) fn float(&self, name: &str) -> LayerResult<Option<f32>> {
        self.one(name)?;
        Ok(self.floats(name)?.first().copied())
    }
}

fn misfit(name: &str, wanted: &str) -> Problem {
    Problem::Misfit(format!("{name} is not {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_field_is_read() {
        let text = "# a comment\nname: \"a\" 'b' size: 3; rate: 0.5f, f: -1e-3\nin { dim: [1, 2] dim: 3 }\n\
                    old < flag: true > kind: MAX esc: 'a\\n\\x41\\102'";
        let message = Message::parse(text).unwrap();
        assert_eq!(message.word("name").unwrap(), Some("ab"));
        assert_eq!(message.whole("size").unwrap(), Some(3));
        assert_eq!(message.float("rate").unwrap(), Some(0.5));
        assert_eq!(message.float("f").unwrap(), Some(-1e-3));
        let inner = message.message("in").unwrap().unwrap();
        assert_eq!(inner.wholes("dim").unwrap(), [1, 2, 3]);
        let old = message.message("old").unwrap().unwrap();
        assert_eq!(old.flag("flag").unwrap(), Some(true));
        assert_eq!(message.word("kind").unwrap(), Some("MAX"));
        assert_eq!(message.texts("esc").unwrap(), ["a\nAB"]);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, word) in [
            ("a: 1\nb 2", 2, "colon"),
            ("a {\n b: 1", 2, "ends before"),
            ("\n\n: 1", 3, "name of a field"),
            ("a: \"x\n", 1, "closing quote"),
            ("a: '\\q'", 1, "escape"),
            ("a: [1 2]", 1, "comma"),
            ("a:", 1, "value"),
            ("a: }", 1, "value"),
        ] {
            let error = Message::parse(text).unwrap_err();
            assert!(
                error.starts_with(&format!("line {line}:")) && error.contains(word),
                "{text:?}: {error}"
            );
        }
    }

    #[test]
    fn nesting_has_an_end() {
        let error = Message::parse(&"a{".repeat(100_000)).unwrap_err();
        assert!(error.contains("deep"), "{error}");
    }

    #[test]
    fn a_field_that_stands_twice_where_one_is_meant_is_refused() {
        let message = Message::parse("pad: 1 pad: 2 flag: maybe size: -1").unwrap();
        assert!(message.whole("pad").is_err());
        assert!(message.flag("flag").is_err());
        assert!(message.whole("size").is_err());
        assert_eq!(message.integer("size").unwrap(), Some(-1));
    }
}
