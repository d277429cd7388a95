//! Why and where reading stops: small values, so that the loops over numbers stay in registers.

use crate::SparseFault;

/// Why a token cannot be taken. [`super::explain`] makes the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The bytes are not JSON; the text says what is wrong with them.
    Syntax(&'static str),
    /// More lists and objects inside each other than the limit.
    TooDeep,
    /// More keys that nobody asked for than the limit.
    TooManyKeys,
    /// More elements in one input than the limit.
    TooManyElements,
    /// A number of more than [`super::number::MAX_NUMBER_BYTES`] characters.
    NumberTooLong,
    /// A value of another JSON type than the input's element type.
    WrongType,
    /// An integer that the input's element type cannot hold.
    OutOfRange,
    /// A float that is not finite, or not as its type, where rules are strict.
    NotFinite,
    /// An object that is not `{"b64": "…"}`, where one is allowed.
    Base64Object,
    /// An object that is no sparse tensor, or not one that fits here.
    Sparse(NotSparse),
    /// A `b64` text that is not base64.
    Base64Text,
    /// Bytes for a text input that are not UTF-8.
    NotText,
    /// A value where a list must stand, at this depth of the tensor.
    NotAList {
        /// 0 is the outermost list of the value.
        level: usize,
    },
    /// A list of another length than its neighbours or the signature have.
    Size {
        /// 0 is the outermost list of the value.
        level: usize,
        /// What the signature or the neighbours say; `None` is "at least one".
        expected: Option<usize>,
        /// What the list has; `None` is "more than expected".
        given: Option<usize>,
    },
}

/// Why an object is no sparse tensor of its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotSparse {
    /// Not the members `shape`, `data` and `indices`, each once.
    Members,
    /// The shape is not one that the input takes.
    Shape,
    /// Elements and places do not go together.
    Places(SparseFault),
    /// Some rows of the input are sparse and some are not.
    Mixed,
    /// Not in a row of `instances`, or the rows have no dimensions.
    Elsewhere,
}

/// A fault and the offset of the byte where the offending token begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) fault: Fault,
    pub(super) at: usize,
}

/// A value and the offset of the first byte after it.
pub(super) type Read<T> = Result<(T, usize), Stop>;

/// A [`Stop`] for bytes that are not JSON.
#[cold]
pub(super) fn syntax(text: &'static str, at: usize) -> Stop {
    Stop {
        fault: Fault::Syntax(text),
        at,
    }
}

/// What is wrong where a value should begin and none does.
pub(super) const INVALID_VALUE: &str = "Invalid value.";
/// What is wrong after an element of a list.
pub(super) const MISSING_COMMA_IN_LIST: &str = "Missing a comma or ] after an array element.";
/// What is wrong after a member of an object.
pub(super) const MISSING_COMMA_IN_OBJECT: &str = "Missing a comma or } after an object member.";
