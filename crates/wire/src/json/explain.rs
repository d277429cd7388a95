//! From a fault at a place to the sentence that the caller reads. Runs only for bodies that are refused.

use crate::quote::{MAX_ECHO_BYTES, Name, Shape};
use crate::{DType, Limits, TensorSpec};

use super::error::JsonError;
use super::input::Input;
use super::number::MAX_NUMBER_BYTES;
use super::scanner::{Next, Scanner, SkipBudget};
use super::stop::{Fault, INVALID_VALUE, NotSparse, Stop, syntax};
use super::text::read_base64_object;

/// The value that was being read.
pub(super) struct Place<'a> {
    pub(super) input: &'a Input<'a>,
    /// Row index, in row format.
    pub(super) instance: Option<usize>,
    /// A scanner before the whole value of the input.
    pub(super) value: Scanner<'a>,
}

impl Place<'_> {
    fn spec(&self) -> &TensorSpec {
        self.input.spec()
    }

    /// ` (input image, instance 1)`.
    fn suffix(&self) -> String {
        let name = Name(&self.spec().name);
        match self.instance {
            Some(instance) => format!(" (input {name}, instance {instance})"),
            None => format!(" (input {name})"),
        }
    }
}

/// The sentence for a stop outside the values of an input.
#[cold]
pub(super) fn document_error(stop: Stop) -> JsonError {
    let at = stop.at;
    match stop.fault {
        Fault::TooDeep => JsonError::invalid(format!("JSON is nested too deep at offset: {at}")),
        Fault::TooManyKeys => JsonError::invalid(format!(
            "too many keys that are no part of a request at offset: {at}"
        )),
        Fault::NumberTooLong => JsonError::invalid(format!(
            "number of more than {MAX_NUMBER_BYTES} characters at offset: {at}"
        )),
        Fault::Syntax(text) => parse_error(text, at),
        _ => parse_error(INVALID_VALUE, at),
    }
}

fn parse_error(text: &str, at: usize) -> JsonError {
    JsonError::invalid(format!("JSON Parse error: {text} at offset: {at}"))
}

/// The sentence for a stop inside the value of an input.
#[cold]
pub(super) fn value_error(stop: Stop, place: &Place<'_>) -> JsonError {
    let token = place.value.moved_to(stop.at);
    let suffix = place.suffix();
    match stop.fault {
        Fault::Syntax(_) | Fault::TooDeep | Fault::TooManyKeys | Fault::NumberTooLong => {
            document_error(stop)
        }
        Fault::Sparse(fault) => sparse_error(fault, &token, place),
        Fault::TooManyElements => JsonError::too_large(format!("too many elements{suffix}")),
        Fault::OutOfRange => type_error(&token, place),
        Fault::NotFinite => JsonError::invalid(format!(
            "JSON Value: {} is not a finite {}, as strict JSON requires{suffix}",
            echo(&token),
            place.spec().dtype
        )),
        Fault::Base64Text => JsonError::invalid(format!(
            "JSON Value: {} Unable to base64 decode{suffix}",
            echo(&token)
        )),
        Fault::NotText => JsonError::invalid(format!(
            "the base64 data is not UTF-8, as type {} requires{suffix}",
            DType::String
        )),
        Fault::Base64Object | Fault::WrongType | Fault::NotAList { .. } | Fault::Size { .. } => {
            mismatch(stop, &token, place)
        }
    }
}

/// Well-formed JSON of another kind than the input's, unless it is not well-formed at all.
fn mismatch(stop: Stop, token: &Scanner<'_>, place: &Place<'_>) -> JsonError {
    if let Err(inner) = token.clone().skip_value(&mut probe())
        && (!matches!(stop.fault, Fault::Size { .. }) || inner.fault == Fault::TooDeep)
    {
        return document_error(inner);
    }
    let first = token.clone().peek();
    match (stop.fault, first) {
        (Fault::Base64Object, _) => JsonError::invalid(format!(
            "JSON Value: {} not formatted correctly for base64 data{}",
            echo(token),
            place.suffix()
        )),
        (Fault::WrongType, Some(b'[')) | (Fault::Size { .. }, _) => shape_error(stop, place),
        (Fault::NotAList { .. }, Some(byte)) if !matches!(byte, b'{' | b'n') => {
            shape_error(stop, place)
        }
        (Fault::NotAList { level }, Some(b'{')) => binary_error(token, place, level),
        (_, Some(b'{')) => binary_error(token, place, usize::MAX),
        _ => type_error(token, place),
    }
}

/// An object in place of numbers: binary data of another size than those numbers are told both
/// sizes, all else is of the wrong type. `level` is how many lists stand around it.
fn binary_error(token: &Scanner<'_>, place: &Place<'_>, level: usize) -> JsonError {
    let rest = place.input.dimensions().get(level..).unwrap_or_default();
    let element = place.spec().dtype.element_size_bytes();
    let needed = element.and_then(|it| product(rest)?.checked_mul(it));
    let given = read_base64_object(&mut token.clone()).map(|it| it.len());
    match (needed, given) {
        (Some(needed), Ok(given)) if needed != given => {
            let dtype = place.spec().dtype;
            let shape = Shape(rest);
            let sizes = format!("; it holds {given} bytes where {dtype}{shape} has {needed}");
            type_error_with(&sizes, token, place)
        }
        _ => type_error(token, place),
    }
}

/// TensorFlow Serving's sentence for a value of the wrong type or, with an addition, range.
fn type_error(token: &Scanner<'_>, place: &Place<'_>) -> JsonError {
    type_error_with(&range_of(place.spec().dtype), token, place)
}

fn type_error_with(addition: &str, token: &Scanner<'_>, place: &Place<'_>) -> JsonError {
    let dtype = place.spec().dtype;
    let tensorflow_name = dtype
        .tensorflow_name()
        .trim_start_matches("DT_")
        .to_lowercase();
    JsonError::invalid(format!(
        "JSON Value: {} Type: {} is not of expected type: {tensorflow_name}{addition}{}",
        echo(token),
        json_type(token),
        place.suffix()
    ))
}

pub(super) fn json_type(token: &Scanner<'_>) -> &'static str {
    match token.clone().peek() {
        Some(b'"') => "String",
        Some(b'[') => "Array",
        Some(b'{') => "Object",
        Some(b't') => "True",
        Some(b'f') => "False",
        Some(b'n') => "Null",
        _ => "Number",
    }
}

fn range_of(dtype: DType) -> String {
    let (least, most) = match dtype {
        DType::Int8 => (i128::from(i8::MIN), i128::from(i8::MAX)),
        DType::Int16 => (i128::from(i16::MIN), i128::from(i16::MAX)),
        DType::Int32 => (i128::from(i32::MIN), i128::from(i32::MAX)),
        DType::Int64 => (i128::from(i64::MIN), i128::from(i64::MAX)),
        DType::Uint8 => (0, i128::from(u8::MAX)),
        DType::Uint16 => (0, i128::from(u16::MAX)),
        DType::Uint32 => (0, i128::from(u32::MAX)),
        DType::Uint64 => (0, i128::from(u64::MAX)),
        _ => return String::new(),
    };
    format!(", an integer from {least} to {most}")
}

/// The sentence for lists of the wrong length or depth: the two shapes if the first elements tell
/// them apart, else where the list is ragged.
fn shape_error(stop: Stop, place: &Place<'_>) -> JsonError {
    let expected = place.input.dimensions();
    let suffix = place.suffix();
    match first_child_shape(&mut place.value.clone()) {
        Err(inner) if inner.fault == Fault::TooDeep => return document_error(inner),
        Ok(given) if !is_compatible(expected, &given) => {
            let sizes = match (product(expected), product(&given)) {
                (Some(expected), Some(given)) if expected != given => {
                    format!("Expecting tensor size: {expected} but got: {given}. ")
                }
                _ => String::new(),
            };
            return JsonError::invalid(format!(
                "{sizes}Expecting shape {} but got: {}{suffix}",
                Shape(expected),
                Shape(&given)
            ));
        }
        _ => {}
    }
    let rank = expected.len();
    JsonError::invalid(match stop.fault {
        Fault::Size {
            level,
            expected,
            given,
        } => {
            let given = given.map_or_else(|| "more".to_owned(), |given| given.to_string());
            let expected = expected.map_or_else(|| "1 or more".to_owned(), |size| size.to_string());
            format!(
                "Encountered list at unexpected size: {given} at level: {level} expected size: {expected}{suffix}"
            )
        }
        Fault::NotAList { level } => format!(
            "JSON Value: {} found at incorrect level: {} in the JSON DOM. Expected at level: {rank}{suffix}",
            echo(&place.value.moved_to(stop.at)),
            level + 1,
        ),
        _ => format!("Encountered list at unexpected level: {rank} expected < {rank}{suffix}"),
    })
}

/// The shape that the first element of each list has, as TensorFlow Serving infers it; one pass.
fn first_child_shape(scanner: &mut Scanner<'_>) -> Result<Vec<Option<usize>>, Stop> {
    let mut sizes = Vec::new();
    let mut empty = false;
    while !empty && scanner.take(b'[') {
        if sizes.len() == Limits::MAX_RANK {
            let fault = Fault::TooDeep;
            return Err(Stop {
                fault,
                at: scanner.at(),
            });
        }
        empty = scanner.take(b']');
        sizes.push(Some(0));
    }
    let ended = usize::from(empty);
    if sizes.is_empty() {
        return Ok(sizes);
    }
    if !empty {
        scanner.skip_value(&mut probe())?;
    }
    for size in sizes.iter_mut().rev().skip(ended) {
        let mut count = 1;
        while scanner.after_element()? == Next::Another {
            scanner.skip_value(&mut probe())?;
            count += 1;
        }
        *size = Some(count);
    }
    Ok(sizes)
}

fn is_compatible(expected: &[Option<usize>], given: &[Option<usize>]) -> bool {
    expected.len() == given.len()
        && expected
            .iter()
            .zip(given)
            .all(|(expected, given)| expected.is_none() || expected == given)
}

fn product(shape: &[Option<usize>]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1usize, |product, size| product.checked_mul((*size)?))
}

/// What is wrong with an object that begins like a sparse tensor.
fn sparse_error(fault: NotSparse, token: &Scanner<'_>, place: &Place<'_>) -> JsonError {
    let suffix = place.suffix();
    JsonError::invalid(match fault {
        NotSparse::Members => format!(
            "JSON Value: {} is no sparse tensor, which is {{\"shape\": [...], \"data\": [...], \"indices\": [[...], ...]}}, each once{suffix}",
            echo(token)
        ),
        NotSparse::Shape => format!(
            "Expecting shape {} but got: {} in a sparse tensor{suffix}",
            Shape(place.input.dimensions()),
            echo(token)
        ),
        NotSparse::Places(fault) => format!("sparse tensor is wrong: {fault}{suffix}"),
        NotSparse::Mixed => {
            format!("rows of an input must all be sparse tensors, or none of them{suffix}")
        }
        NotSparse::Elsewhere => format!(
            "a sparse tensor can only be a row of 'instances' with one dimension or more{suffix}"
        ),
    })
}

/// The value at a scanner's place as a message may show it: at most 64 bytes, on one line.
pub(super) fn echo(token: &Scanner<'_>) -> String {
    let mut scanner = token.clone();
    scanner.peek();
    let start = scanner.at();
    let rest = scanner.bytes().get(start..).unwrap_or_default();
    let length = match scanner.skip_value(&mut probe()) {
        Ok(()) => scanner.at() - start,
        Err(_) => rest.len(),
    };
    echo_bytes(rest.get(..length).unwrap_or(rest))
}

/// The start of `bytes` as a message may show it.
pub(super) fn echo_bytes(bytes: &[u8]) -> String {
    let shown = bytes.get(..MAX_ECHO_BYTES).unwrap_or(bytes);
    let text = shown.utf8_chunks().next().map_or("", |chunk| chunk.valid());
    let more = if text.len() < bytes.len() { "..." } else { "" };
    format!("{}{more}", Name(text))
}

/// What the search for a good sentence may look at.
fn probe() -> SkipBudget {
    SkipBudget {
        depth: 32,
        keys: usize::MAX,
    }
}

/// The error for a body whose root is `token`, which is no object.
#[cold]
pub(super) fn not_an_object(token: &Scanner<'_>, expected: &str) -> JsonError {
    let mut scanner = token.clone();
    if scanner.peek().is_none() {
        return document_error(syntax("The document is empty.", scanner.at()));
    }
    match scanner.skip_value(&mut probe()) {
        Ok(()) => JsonError::invalid(format!(
            "JSON Value: {} Is not object, expecting {expected}",
            echo(token)
        )),
        Err(stop) => document_error(stop),
    }
}
