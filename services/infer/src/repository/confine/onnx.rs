//! The paths that an ONNX model names: a walk over the fields of its protobuf that steps over weights.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

/// Graphs within graphs are not nested deeper; every level is three messages.
const DEEPEST: usize = 120;
/// Longer paths are nobody's.
const LONGEST_PATH: u64 = 4096;
/// Models have one such file per tensor at most.
const MOST_PATHS: usize = 1_000_000;

/// Why a file cannot be walked.
#[derive(Debug)]
pub(super) enum Problem {
    Read(io::Error),
    Content(&'static str),
}

impl From<io::Error> for Problem {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Self::Content("it is cut off");
        }
        Self::Read(error)
    }
}

/// The messages that lead to a path.
#[derive(Clone, Copy)]
enum Message {
    Model,
    Training,
    Function,
    Graph,
    Node,
    Attribute,
    Tensor,
    Sparse,
    Entry,
}

impl Message {
    /// What field of this message is, by the numbers of onnx.proto; `None` for what leads to no path.
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Model, 7) | (Self::Training, 1 | 2) | (Self::Attribute, 6 | 11) => Self::Graph,
            (Self::Model, 20) => Self::Training,
            (Self::Model, 25) => Self::Function,
            (Self::Graph, 1) | (Self::Function, 7) => Self::Node,
            (Self::Node, 5) | (Self::Function, 11) => Self::Attribute,
            (Self::Graph, 5) | (Self::Attribute, 5 | 10) | (Self::Sparse, 1 | 2) => Self::Tensor,
            (Self::Graph, 15) | (Self::Attribute, 22 | 23) => Self::Sparse,
            (Self::Tensor, 13) => Self::Entry,
            _ => return None,
        })
    }
}

/// The locations of all external data of a model.
pub(super) fn external_data(file: &Path) -> Result<BTreeSet<String>, Problem> {
    let file = File::open(file)?;
    let length = file.metadata()?.len();
    let mut walk = Walk {
        input: BufReader::with_capacity(64 << 10, file),
        at: 0,
        paths: BTreeSet::new(),
    };
    walk.message(Message::Model, length, 0)?;
    Ok(walk.paths)
}

struct Walk<R> {
    input: R,
    /// Bytes from the beginning.
    at: u64,
    paths: BTreeSet<String>,
}

impl<R: Read + Seek> Walk<R> {
    fn message(&mut self, message: Message, end: u64, depth: usize) -> Result<(), Problem> {
        if depth > DEEPEST {
            return Err(Problem::Content("its graphs are nested too deeply"));
        }
        let (mut key, mut value) = (None, None);
        while self.at < end {
            let tag = self.varint()?;
            let (number, wire_type) = (tag >> 3, tag & 7);
            match wire_type {
                0 => {
                    self.varint()?;
                }
                1 => self.skip(8, end)?,
                5 => self.skip(4, end)?,
                2 => {
                    let length = self.varint()?;
                    let field_end = self.end_of(length, end)?;
                    match (message, number) {
                        (Message::Entry, 1) => key = Some(self.text(length)?),
                        (Message::Entry, 2) => value = Some(self.text(length)?),
                        _ => match message.field(number) {
                            Some(inner) => self.message(inner, field_end, depth + 1)?,
                            None => self.skip(length, end)?,
                        },
                    }
                }
                _ => return Err(Problem::Content("it is no ONNX model")),
            }
        }
        if self.at != end {
            return Err(Problem::Content("a field is longer than what holds it"));
        }
        if key.as_deref() == Some("location") {
            // Without a value it is an empty path, which is refused as such.
            self.paths.insert(value.unwrap_or_default());
            if self.paths.len() > MOST_PATHS {
                return Err(Problem::Content("it names too many files"));
            }
        }
        Ok(())
    }

    fn varint(&mut self) -> Result<u64, Problem> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.input.read_exact(&mut byte)?;
            self.at += 1;
            value |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Problem::Content("it is no ONNX model"))
    }

    fn end_of(&self, length: u64, end: u64) -> Result<u64, Problem> {
        let field_end = self.at.checked_add(length).filter(|at| *at <= end);
        field_end.ok_or(Problem::Content("it is cut off"))
    }

    fn skip(&mut self, length: u64, end: u64) -> Result<(), Problem> {
        self.at = self.end_of(length, end)?;
        let relative = i64::try_from(length).map_err(|_| Problem::Content("it is cut off"))?;
        self.input.seek_relative(relative)?;
        Ok(())
    }

    fn text(&mut self, length: u64) -> Result<String, Problem> {
        if length > LONGEST_PATH {
            return Err(Problem::Content("it names a file with too long a path"));
        }
        let mut bytes = Vec::new();
        (&mut self.input).take(length).read_to_end(&mut bytes)?;
        self.at += length;
        if bytes.len() as u64 != length {
            return Err(Problem::Content("it is cut off"));
        }
        String::from_utf8(bytes).map_err(|_| Problem::Content("it names a file that is no text"))
    }
}
