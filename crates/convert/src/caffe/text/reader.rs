//! The characters of the text format become names and values.

use super::{Message, Value};

const MAX_DEPTH: usize = 24;
const MAX_FIELDS: usize = 500_000;

pub(super) fn read(text: &str) -> Result<Message, String> {
    let mut reader = Reader {
        rest: text,
        line: 1,
        fields: 0,
    };
    let message = reader.message(0, None);
    message.map_err(|what| format!("line {}: {what}", reader.line))
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
    fields: usize,
}

impl Reader<'_> {
    /// Fields up to the closing bracket, or to the end of the file where there is none.
    fn message(&mut self, depth: usize, closing: Option<char>) -> Result<Message, String> {
        if depth > MAX_DEPTH {
            return Err(format!("messages are nested more than {MAX_DEPTH} deep"));
        }
        let mut message = Message::default();
        loop {
            self.skip_blanks();
            match (self.rest.chars().next(), closing) {
                (None, None) => return Ok(message),
                (None, Some(closing)) => return Err(format!("the file ends before a {closing}")),
                (found, Some(_)) if found == closing => {
                    self.take(1);
                    return Ok(message);
                }
                (Some(';' | ','), _) => self.take(1),
                _ => self.field(depth, &mut message)?,
            }
        }
    }

    /// `name: value`, `name { … }`, `name: [ …, … ]`
    fn field(&mut self, depth: usize, message: &mut Message) -> Result<(), String> {
        let name = self.word();
        if name.is_empty()
            || !name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        {
            return Err(format!(
                "expected the name of a field, found {}",
                self.found()
            ));
        }
        self.skip_blanks();
        let colon = self.rest.starts_with(':');
        if colon {
            self.take(1);
            self.skip_blanks();
        }
        if self.rest.starts_with('[') {
            self.take(1);
            return self.list(depth, &name, message);
        }
        if !colon && !self.rest.starts_with(['{', '<']) {
            return Err(format!(
                "expected a colon after {name}, found {}",
                self.found()
            ));
        }
        let value = self.value(depth)?;
        self.push(message, name, value)
    }

    fn list(&mut self, depth: usize, name: &str, message: &mut Message) -> Result<(), String> {
        loop {
            self.skip_blanks();
            if self.rest.starts_with(']') {
                self.take(1);
                return Ok(());
            }
            let value = self.value(depth)?;
            self.push(message, name.to_owned(), value)?;
            self.skip_blanks();
            if self.rest.starts_with(',') {
                self.take(1);
            } else if !self.rest.starts_with(']') {
                return Err(format!("expected a comma or ], found {}", self.found()));
            }
        }
    }

    fn push(&mut self, message: &mut Message, name: String, value: Value) -> Result<(), String> {
        self.fields += 1;
        if self.fields > MAX_FIELDS {
            return Err(format!("there are more than {MAX_FIELDS} fields"));
        }
        message.fields.push((name, value));
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, String> {
        match self.rest.chars().next() {
            Some('{') => {
                self.take(1);
                Ok(Value::Message(self.message(depth + 1, Some('}'))?))
            }
            Some('<') => {
                self.take(1);
                Ok(Value::Message(self.message(depth + 1, Some('>'))?))
            }
            Some('"' | '\'') => self.quoted().map(Value::Text),
            _ => {
                let word = self.word();
                match word.is_empty() {
                    true => Err(format!("expected a value, found {}", self.found())),
                    false => Ok(Value::Word(word)),
                }
            }
        }
    }

    /// One or more texts in quotes, which are one.
    fn quoted(&mut self) -> Result<String, String> {
        let mut text = Vec::new();
        while let Some(quote @ ('"' | '\'')) = self.rest.chars().next() {
            self.take(1);
            self.quoted_part(quote, &mut text)?;
            self.skip_blanks();
        }
        String::from_utf8(text).map_err(|_| "a text is not UTF-8".to_owned())
    }

    fn quoted_part(&mut self, quote: char, text: &mut Vec<u8>) -> Result<(), String> {
        loop {
            let Some(next) = self.rest.chars().next().filter(|&next| next != '\n') else {
                return Err("a text has no closing quote".to_owned());
            };
            self.take(next.len_utf8());
            match next {
                next if next == quote => return Ok(()),
                '\\' => text.push(self.escaped()?),
                next => text.extend_from_slice(next.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }

    fn escaped(&mut self) -> Result<u8, String> {
        let next = self.rest.bytes().next();
        let plain = match next {
            Some(b'n') => Some(b'\n'),
            Some(b't') => Some(b'\t'),
            Some(b'r') => Some(b'\r'),
            Some(same @ (b'\\' | b'"' | b'\'' | b'?')) => Some(same),
            _ => None,
        };
        if let Some(plain) = plain {
            self.take(1);
            return Ok(plain);
        }
        let (radix, skip, most) = match next {
            Some(b'x' | b'X') => (16, 1, 2),
            _ => (8, 0, 3),
        };
        self.take(skip);
        let digits = self
            .rest
            .bytes()
            .take(most)
            .take_while(|&it| char::from(it).is_digit(radix))
            .count();
        let value = u8::from_str_radix(&self.rest[..digits], radix);
        self.take(digits);
        value.map_err(|_| "a text has an escape that is not known".to_owned())
    }

    fn word(&mut self) -> String {
        let belongs = |it: char| it.is_ascii_alphanumeric() || matches!(it, '_' | '.' | '+' | '-');
        let end = self.rest.find(|it| !belongs(it)).unwrap_or(self.rest.len());
        let word = self.rest[..end].to_owned();
        self.take(end);
        word
    }

    fn skip_blanks(&mut self) {
        loop {
            match self.rest.chars().next() {
                Some('#') => self.take(self.rest.find('\n').unwrap_or(self.rest.len())),
                Some(blank) if blank.is_whitespace() || blank == '\u{feff}' => {
                    self.take(blank.len_utf8())
                }
                _ => return,
            }
        }
    }

    /// Goes on so many bytes, which must end between characters.
    fn take(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.bytes().filter(|&it| it == b'\n').count();
        self.rest = rest;
    }

    fn found(&self) -> String {
        match self.rest.chars().next() {
            Some(next) => format!("{next:?}"),
            None => "the end of the file".to_owned(),
        }
    }
}
