//! Names of outputs as names of columns: outputs may be called anything, databases have limits.

use std::collections::HashSet;

use arrow::datatypes::Schema;

/// What a database takes as the name of a column.
pub(crate) struct Rules {
    pub(crate) longest_bytes: usize,
    /// Whether `Y` and `y` are the same column.
    pub(crate) folds_case: bool,
    /// Names that cannot be given to a column.
    pub(crate) reserved: &'static [&'static str],
    /// Whether names may have characters beyond the basic multilingual plane.
    pub(crate) astral: bool,
}

/// One name per field, in order; the same for every batch of that schema.
pub(crate) fn column_names(schema: &Schema, rules: &Rules) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut names = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let wanted = fitting(field.name(), rules);
        let mut name = wanted.clone();
        let mut number = 2;
        while rules.is_reserved(&name) || !taken.insert(rules.fold(&name)) {
            let suffix = format!("_{number}");
            name = format!(
                "{}{suffix}",
                cut(&wanted, rules.longest_bytes - suffix.len())
            );
            number += 1;
        }
        names.push(name);
    }
    names
}

impl Rules {
    /// Equal for names that the database takes for the same.
    pub(crate) fn fold(&self, name: &str) -> String {
        match self.folds_case {
            true => name.to_lowercase(),
            false => name.to_owned(),
        }
    }

    fn is_reserved(&self, name: &str) -> bool {
        self.reserved.contains(&name)
    }
}

fn fitting(name: &str, rules: &Rules) -> String {
    let legal = |character: char| match character {
        '\0' => '_',
        astral if u32::from(astral) > 0xFFFF && !rules.astral => '_',
        other => other,
    };
    let mut fit: String = name.chars().map(legal).collect();
    if fit.ends_with(' ') || fit.is_empty() {
        fit.push('_');
    }
    if fit.len() <= rules.longest_bytes {
        return fit;
    }
    // Two long names that begin alike must not become one.
    let digest = format!("_{:08x}", fnv1a(name.as_bytes()));
    format!("{}{digest}", cut(&fit, rules.longest_bytes - digest.len()))
}

fn cut(text: &str, most_bytes: usize) -> &str {
    let mut end = text.len().min(most_bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// FNV-1a of 32 bits: the same in every version of this program.
fn fnv1a(bytes: &[u8]) -> u32 {
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    bytes.iter().fold(0x811C_9DC5, step)
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    const RULES: Rules = Rules {
        longest_bytes: 20,
        folds_case: true,
        reserved: &["xmin"],
        astral: false,
    };

    fn check(names: &[&str], expected: &[&str]) {
        let field = |name: &&str| Field::new(*name, DataType::Int32, true);
        let schema = Schema::new(names.iter().map(field).collect::<Vec<_>>());
        assert_eq!(column_names(&schema, &RULES), expected);
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        check(
            &["scores", "it's \"quoted\"", "größe"],
            &["scores", "it's \"quoted\"", "größe"],
        );
    }

    #[test]
    fn names_that_the_database_would_confuse_are_told_apart() {
        check(&["Y", "y", "y_2"], &["Y", "y_2", "y_2_2"]);
        check(
            &["a long name that goes on 1", "a long name that goes on 2"],
            &["a long name_266efe62", "a long name_256efccf"],
        );
    }

    #[test]
    fn names_that_no_column_can_bear_are_mended() {
        check(
            &["", "a\0b", "xmin", "end ", "😀"],
            &["_", "a_b", "xmin_2", "end _", "__2"],
        );
    }
}
