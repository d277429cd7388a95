//! Rows of text files as instances in JSON, read by the parser that ingest uses.

use std::fmt::Write;

use millrace_wire::json::{JsonLimits, parse_predict};
use millrace_wire::{Signature, Tensor};

use super::fit::{Fitted, fit};
use super::mapping::Feed;

/// One row of a text file.
pub(super) struct Instance {
    /// Where it begins, counted from 1.
    pub(super) line: u64,
    /// An object of the inputs in JSON, or why the row has none.
    pub(super) json: Result<Vec<u8>, String>,
}

/// Reads instances into the model's inputs.
pub(super) struct Instances {
    feeds: Vec<Feed>,
    signature: Signature,
    limits: JsonLimits,
}

impl Instances {
    pub(super) fn new(feeds: Vec<Feed>) -> Self {
        let signature = Signature {
            inputs: feeds.iter().map(Feed::read_as).collect(),
            outputs: Vec::new(),
        };
        Self {
            feeds,
            signature,
            limits: JsonLimits::default(),
        }
    }

    pub(super) fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// The tensors of all instances that fit; the others' sentences begin with their line.
    pub(super) fn read(&self, instances: &[Instance]) -> Fitted {
        fit(instances.len(), |range| {
            let single = (range.len() == 1).then(|| &instances[range.start]);
            self.parse(&instances[range]).map_err(|sentence| {
                single.map_or_else(String::new, |instance| placed(instance, &sentence))
            })
        })
    }

    fn parse(&self, instances: &[Instance]) -> Result<Vec<Tensor>, String> {
        let mut body = b"{\"instances\":[".to_vec();
        for (index, instance) in instances.iter().enumerate() {
            if index > 0 {
                body.push(b',');
            }
            body.extend_from_slice(instance.json.as_ref().map_err(Clone::clone)?);
        }
        body.extend_from_slice(b"]}");
        let parsed = parse_predict(&body, &self.signature, &self.limits);
        let request = parsed.map_err(|error| error.to_string())?;
        if let Some(sparse) = request.sparse.first() {
            return Err(format!(
                "input {} is a sparse tensor; only `millrace predict` and ingest take those",
                sparse.name()
            ));
        }
        let mut tensors = Vec::with_capacity(self.feeds.len());
        for (feed, tensor) in self.feeds.iter().zip(request.tensors) {
            if tensor.rows() != instances.len() {
                // A value that closes its row and opens another one.
                return Err(format!(
                    "the value of input {} is no single value",
                    tensor.name()
                ));
            }
            tensors.push(feed.shaped(tensor)?);
        }
        Ok(tensors)
    }
}

/// The sentence with the row's line; what it says of instances is about a body that nobody sees.
fn placed(instance: &Instance, sentence: &str) -> String {
    let sentence = sentence.replace(", instance 0)", ")");
    format!("line {}: {sentence}", instance.line)
}

/// Appends `{"first":VALUE,…}`.
pub(super) struct ObjectWriter {
    json: Vec<u8>,
}

impl ObjectWriter {
    pub(super) fn new() -> Self {
        Self { json: vec![b'{'] }
    }

    /// Appends a key; its value must follow.
    pub(super) fn key(&mut self, name: &str) -> &mut Vec<u8> {
        if self.json.len() > 1 {
            self.json.push(b',');
        }
        push_string(name, &mut self.json);
        self.json.push(b':');
        &mut self.json
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.json.push(b'}');
        self.json
    }
}

/// Appends a JSON string.
pub(super) fn push_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for character in text.chars() {
        match character {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{0}'..='\u{1f}' => {
                let mut escape = String::new();
                // Writing to a string cannot fail.
                let _ = write!(escape, "\\u{:04x}", u32::from(character));
                out.extend_from_slice(escape.as_bytes());
            }
            other => out.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}
