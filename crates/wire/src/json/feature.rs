//! One feature of an example: a value or a flat list of values, all of one kind.

use crate::DType;
use crate::quote::{Name, Shape};

use super::error::JsonError;
use super::explain::{Place, document_error, json_type, value_error};
use super::input::Input;
use super::number::{Number, read_number};
use super::scanner::{Next, Scanner, SkipBudget};
use super::stop::{Fault, Stop};
use super::text::BASE64_KEY;

/// What a feature holds, as TensorFlow's `Feature` tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Int64,
    Float,
    Bytes,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Int64 => "int64",
            Self::Float => "float",
            Self::Bytes => "bytes",
        }
    }
}

/// What is known of a feature before its values are.
struct Overview {
    elements: usize,
    /// Some element is `true` or `false`.
    has_booleans: bool,
}

/// Reads one feature of the example `row` into its input.
pub(super) fn read(
    input: &mut Input<'_>,
    scanner: &mut Scanner<'_>,
    row: usize,
) -> Result<(), JsonError> {
    scanner.peek();
    let value = scanner.clone();
    let overview = look_over(&mut scanner.clone(), input)?;
    if !input.fix_row(overview.elements) {
        let spec = input.spec();
        return Err(JsonError::invalid(format!(
            "Feature: {} has {} elements in example {row}, expected a row of shape {}",
            Name(&spec.name),
            overview.elements,
            Shape(input.dimensions())
        )));
    }
    let is_number = !matches!(
        input.spec().dtype,
        DType::Bool | DType::String | DType::Bytes
    );
    let read = match overview.has_booleans && is_number {
        true => read_as_integers(input, scanner, overview.elements),
        false => input.read_flat(scanner, overview.elements),
    };
    read.map_err(|stop| {
        let place = Place {
            input,
            instance: Some(row),
            value,
        };
        value_error(stop, &place)
    })
}

/// Checks the kind of every element and counts them.
fn look_over(scanner: &mut Scanner<'_>, input: &Input<'_>) -> Result<Overview, JsonError> {
    let name = Name(&input.spec().name);
    let mut overview = Overview {
        elements: 0,
        has_booleans: false,
    };
    let is_list = scanner.take(b'[');
    if is_list && scanner.take(b']') {
        return Ok(overview);
    }
    let mut first = None;
    loop {
        overview.has_booleans |= matches!(scanner.peek(), Some(b't' | b'f'));
        let kind = read_kind(scanner, &name)?;
        let expected = *first.get_or_insert(kind);
        if kind != expected {
            return Err(JsonError::invalid(format!(
                "Unexpected element type in feature: {name} expecting type: {}",
                expected.name()
            )));
        }
        overview.elements += 1;
        if !is_list || scanner.after_element().map_err(document_error)? == Next::Closed {
            return Ok(overview);
        }
    }
}

/// Skips one element and tells its kind.
fn read_kind(scanner: &mut Scanner<'_>, name: &Name<'_>) -> Result<Kind, JsonError> {
    match scanner.peek() {
        Some(b't' | b'f') => skip(scanner, Kind::Int64),
        Some(b'"') => skip(scanner, Kind::Bytes),
        Some(b'{') if is_base64(scanner) => skip(scanner, Kind::Bytes),
        Some(b'{' | b'[' | b'n') => Err(JsonError::invalid(format!(
            "Feature: {name} has element with unexpected JSON type: {}",
            json_type(scanner)
        ))),
        _ => read_number_kind(scanner, name),
    }
}

fn skip(scanner: &mut Scanner<'_>, kind: Kind) -> Result<Kind, JsonError> {
    let mut budget = SkipBudget { depth: 1, keys: 1 };
    scanner.skip_value(&mut budget).map_err(document_error)?;
    Ok(kind)
}

fn is_base64(scanner: &Scanner<'_>) -> bool {
    let mut ahead = scanner.clone();
    ahead.take(b'{');
    ahead.key().is_ok_and(|key| key.as_ref() == BASE64_KEY)
}

fn read_number_kind(scanner: &mut Scanner<'_>, name: &Name<'_>) -> Result<Kind, JsonError> {
    let read = read_number(scanner.bytes(), scanner.at());
    let (number, end) = read.map_err(document_error)?;
    scanner.advance_to(end);
    let Number::Finite(decimal) = number else {
        return Ok(Kind::Float);
    };
    if !decimal.integer || !decimal.exact {
        return Ok(Kind::Float);
    }
    if !decimal.negative && i64::try_from(decimal.mantissa).is_err() {
        return Err(JsonError::invalid(format!(
            "Feature: {name} has uint64_t element. Only int64_t is supported."
        )));
    }
    Ok(Kind::Int64)
}

/// Reads a feature in which `true` stands for 1 and `false` for 0.
#[cold]
fn read_as_integers(
    input: &mut Input<'_>,
    scanner: &mut Scanner<'_>,
    elements: usize,
) -> Result<(), Stop> {
    let start = scanner.at();
    let mut end = scanner.clone();
    let mut budget = SkipBudget { depth: 1, keys: 0 };
    end.skip_value(&mut budget)?;
    let text = scanner.bytes().get(start..end.at()).unwrap_or_default();
    let mut digits = Vec::with_capacity(text.len() + 1);
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        // There are only integers, literals, white space and punctuation.
        at += match byte {
            b't' => 4,
            b'f' => 5,
            _ => 1,
        };
        digits.push(match byte {
            b't' => b'1',
            b'f' => b'0',
            other => other,
        });
    }
    digits.push(b' ');
    input
        .read_flat(&mut Scanner::new(&digits), elements)
        .map_err(|stop| Stop {
            at: start,
            // What offsets in other text say about this one is nothing.
            fault: match stop.fault {
                Fault::TooManyElements => Fault::TooManyElements,
                _ => Fault::OutOfRange,
            },
        })?;
    scanner.advance_to(end.at());
    Ok(())
}
