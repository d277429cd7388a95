//! The types of a text file's columns, by its first rows.

use std::borrow::Cow;

/// Rows that are looked at.
pub(super) const SAMPLE_ROWS: usize = 1_000;

/// A value of a text file.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    /// As it stands between the commas.
    Csv(&'a str),
    /// As it stands in the document, strings with their quotation marks.
    Json(&'a str),
}

/// The type of a column that is carried along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int64,
    Float64,
    Bool,
    Text,
    /// JSON text, for lists, objects, and what differs from row to row.
    Json,
}

impl Kind {
    /// What the type is called in sentences.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Int64 => "a whole number",
            Self::Float64 => "a number",
            Self::Bool => "true or false",
            Self::Text => "text",
            Self::Json => "JSON",
        }
    }

    /// The type that takes the values of both.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (a, b) if a == b => a,
            (Self::Int64, Self::Float64) | (Self::Float64, Self::Int64) => Self::Float64,
            (Self::Json, _) | (_, Self::Json) => Self::Json,
            (Self::Text, _) | (_, Self::Text) => Self::Text,
            _ => Self::Text,
        }
    }
}

impl<'a> Cell<'a> {
    /// Whether there is no value at all.
    pub(super) fn is_null(self) -> bool {
        match self {
            Self::Csv(text) => text.is_empty(),
            Self::Json(text) => text == "null",
        }
    }

    fn kind(self) -> Kind {
        if self.int64().is_some() {
            return Kind::Int64;
        }
        if self.float64().is_some() {
            return Kind::Float64;
        }
        match self {
            Self::Json("true" | "false") => Kind::Bool,
            Self::Json(text) if text.starts_with('"') => Kind::Text,
            Self::Json(_) => Kind::Json,
            Self::Csv(_) => Kind::Text,
        }
    }

    /// The number, if writing it gives the same text: `007` is none.
    pub(super) fn int64(self) -> Option<i64> {
        let (Self::Csv(text) | Self::Json(text)) = self;
        let number: i64 = text.parse().ok()?;
        (number.to_string() == text).then_some(number)
    }

    pub(super) fn float64(self) -> Option<f64> {
        let (Self::Csv(text) | Self::Json(text)) = self;
        let begins = text.trim_start_matches(['-', '+']);
        let is_number = begins.starts_with(|first: char| first.is_ascii_digit() || first == '.');
        // A code such as 007 is text; so is what no float tells apart.
        let is_code = begins.len() > 1 && begins.starts_with('0') && !begins.starts_with("0.");
        let digits = begins.bytes().filter(u8::is_ascii_digit).count();
        if !is_number || is_code || digits > 17 {
            return None;
        }
        text.parse().ok()
    }

    pub(super) fn boolean(self) -> Option<bool> {
        match self {
            Self::Json("true") => Some(true),
            Self::Json("false") => Some(false),
            Self::Json(_) | Self::Csv(_) => None,
        }
    }

    /// The value as text: a JSON string without its quotation marks, everything else as it stands.
    pub(super) fn text(self) -> Cow<'a, str> {
        match self {
            Self::Csv(text) => Cow::Borrowed(text),
            Self::Json(text) if text.starts_with('"') => match serde_json::from_str(text) {
                Ok(string) => Cow::Owned(string),
                Err(_) => Cow::Borrowed(text),
            },
            Self::Json(text) => Cow::Borrowed(text),
        }
    }

    /// The value as it stands.
    pub(super) fn raw(self) -> &'a str {
        let (Self::Csv(text) | Self::Json(text)) = self;
        text
    }
}

/// The names of columns in the order of their first occurrence, and the types seen so far.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) names: Vec<String>,
    kinds: Vec<Option<Kind>>,
}

impl Sample {
    /// Takes in a value of a column, which is new if nobody has heard of it.
    pub(super) fn see(&mut self, name: &str, cell: Cell<'_>) {
        let known = self.names.iter().position(|it| it == name);
        let index = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.kinds.push(None);
            self.names.len() - 1
        });
        if !cell.is_null() {
            let seen = cell.kind();
            let kind = self.kinds[index].map_or(seen, |kind| kind.and(seen));
            self.kinds[index] = Some(kind);
        }
    }

    /// The type of each column; text where no value was seen.
    pub(super) fn kinds(&self) -> Vec<Kind> {
        let kinds = self.kinds.iter();
        kinds.map(|kind| kind.unwrap_or(Kind::Text)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(cells: &[Cell<'_>]) -> Kind {
        let mut sample = Sample::default();
        cells.iter().for_each(|cell| sample.see("a", *cell));
        sample.kinds()[0]
    }

    #[test]
    fn a_column_has_the_type_that_takes_all_its_values() {
        use Cell::{Csv, Json};
        assert_eq!(kind(&[Csv("1"), Csv(""), Csv("-2")]), Kind::Int64);
        assert_eq!(kind(&[Csv("1"), Csv("2.5")]), Kind::Float64);
        assert_eq!(kind(&[Csv("1"), Csv("x")]), Kind::Text);
        assert_eq!(kind(&[Csv("007")]), Kind::Text);
        assert_eq!(kind(&[Csv("123456789012345678901")]), Kind::Text);
        assert_eq!(kind(&[Csv("inf")]), Kind::Text);
        assert_eq!(kind(&[Csv("")]), Kind::Text);
        assert_eq!(kind(&[Json("\"1\"")]), Kind::Text);
        assert_eq!(kind(&[Json("1"), Json("null")]), Kind::Int64);
        assert_eq!(kind(&[Json("[1]"), Json("2")]), Kind::Json);
        assert_eq!(kind(&[Json("true"), Json("false")]), Kind::Bool);
    }
}
