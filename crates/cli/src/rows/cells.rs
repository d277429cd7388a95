//! Cells of CSV files as JSON values of an input's type.

use millrace_wire::DType;

use super::instances::push_string;

/// Appends a cell as the JSON value of one element.
///
/// # Errors
/// It is no such value; the sentence does not say in which column.
pub(super) fn push_element(cell: &str, dtype: DType, out: &mut Vec<u8>) -> Result<(), String> {
    let trimmed = cell.trim();
    match dtype {
        DType::String | DType::Bytes => push_string(cell, out),
        DType::Bool => out.extend_from_slice(boolean(trimmed, dtype)?),
        _ => push_number(trimmed, dtype, out)?,
    }
    Ok(())
}

/// Appends a cell that holds a whole row of a tensor, written as a JSON list.
///
/// # Errors
/// It is no list; the sentence does not say in which column.
pub(super) fn push_list(cell: &str, out: &mut Vec<u8>) -> Result<(), String> {
    let trimmed = cell.trim();
    if !(trimmed.starts_with('[') && trimmed.ends_with(']')) {
        return Err(format!(
            "expected a list such as [1,2], got {}",
            shown(cell)
        ));
    }
    out.extend_from_slice(trimmed.as_bytes());
    Ok(())
}

fn boolean(cell: &str, dtype: DType) -> Result<&'static [u8], String> {
    match cell {
        "true" | "True" | "TRUE" | "1" => Ok(b"true"),
        "false" | "False" | "FALSE" | "0" => Ok(b"false"),
        _ => Err(expected(dtype, cell)),
    }
}

/// Numbers as other programs write them: `+1`, `.5`, `1.`, `nan`, `-inf`.
fn push_number(cell: &str, dtype: DType, out: &mut Vec<u8>) -> Result<(), String> {
    let (sign, digits) = match cell.as_bytes() {
        [b'-', ..] => ("-", &cell[1..]),
        [b'+', ..] => ("", &cell[1..]),
        _ => ("", cell),
    };
    out.extend_from_slice(sign.as_bytes());
    match digits.to_ascii_lowercase().as_str() {
        "nan" => {
            // A sign of what is no number says nothing.
            out.truncate(out.len() - sign.len());
            out.extend_from_slice(b"NaN");
            return Ok(());
        }
        "inf" | "infinity" => {
            out.extend_from_slice(b"Infinity");
            return Ok(());
        }
        _ => {}
    }
    let plain = |byte: u8| byte.is_ascii_digit() || b".eE+-".contains(&byte);
    if !digits.bytes().any(|byte| byte.is_ascii_digit()) || !digits.bytes().all(plain) {
        return Err(expected(dtype, cell));
    }
    if digits.starts_with('.') {
        out.push(b'0');
    }
    // `1.` and `1.e5` lack a digit that JSON wants.
    let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
    out.extend_from_slice(without_leading_zeros(whole).as_bytes());
    if digits.contains('.') {
        let is_bare = rest.is_empty() || rest.starts_with(['e', 'E']);
        out.push(b'.');
        if is_bare {
            out.push(b'0');
        }
        out.extend_from_slice(rest.as_bytes());
    }
    Ok(())
}

/// `007` is 7, which JSON writes without zeros.
fn without_leading_zeros(digits: &str) -> &str {
    let stripped = digits.trim_start_matches('0');
    match stripped.starts_with(|first: char| first.is_ascii_digit()) || digits.is_empty() {
        true => stripped,
        false => &digits[digits.len() - stripped.len() - 1..],
    }
}

fn expected(dtype: DType, cell: &str) -> String {
    format!("expected {dtype}, got {}", shown(cell))
}

/// A cell for a sentence.
pub(super) fn shown(cell: &str) -> String {
    const MOST: usize = 40;
    match cell.chars().count() {
        0 => "an empty cell".to_owned(),
        1..=MOST => format!("{cell:?}"),
        _ => format!("{:?}…", cell.chars().take(MOST).collect::<String>()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(cell: &str, dtype: DType) -> Result<String, String> {
        let mut out = Vec::new();
        push_element(cell, dtype, &mut out)?;
        Ok(String::from_utf8(out).unwrap())
    }

    #[test]
    fn numbers_of_other_programs_become_json() {
        for (cell, json) in [
            ("1", "1"),
            (" -1.5 ", "-1.5"),
            ("+1", "1"),
            (".5", "0.5"),
            ("-.5", "-0.5"),
            ("1.", "1.0"),
            ("1.e5", "1.0e5"),
            ("2E-3", "2E-3"),
            ("007", "7"),
            ("000", "0"),
            ("00.5", "0.5"),
            ("0e1", "0e1"),
            ("nan", "NaN"),
            ("-NaN", "NaN"),
            ("inf", "Infinity"),
            ("-Infinity", "-Infinity"),
        ] {
            assert_eq!(written(cell, DType::Float32).as_deref(), Ok(json), "{cell}");
        }
    }

    #[test]
    fn what_is_no_value_of_the_type_is_refused_and_shown() {
        for cell in ["", "abc", "1,2", "1]", "-", ".", "e", "1 2"] {
            let sentence = written(cell, DType::Float32).unwrap_err();
            assert!(sentence.starts_with("expected FP32, got "), "{sentence}");
        }
        assert!(written("yes", DType::Bool).is_err());
        assert!(push_list("1,2", &mut Vec::new()).is_err());
    }

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            written("a\"\\\n", DType::String).unwrap(),
            r#""a\"\\\u000a""#
        );
        assert_eq!(written("True", DType::Bool).unwrap(), "true");
    }
}
