//! Arrow types and the types of MySQL and MariaDB that hold all their values.

use arrow::datatypes::{DataType, Field};

use crate::destinations::table::lists;

/// A column as `information_schema` describes it.
#[derive(Debug, Clone)]
pub(super) struct ColumnType {
    /// Without its size: `int`.
    pub(super) name: String,
    pub(super) unsigned: bool,
}

/// Bytes of integer types.
const INTEGERS: [(&str, u8); 5] = [
    ("tinyint", 1),
    ("smallint", 2),
    ("mediumint", 3),
    ("int", 4),
    ("bigint", 8),
];

const TEXTS: &[&str] = &[
    "char",
    "varchar",
    "tinytext",
    "text",
    "mediumtext",
    "longtext",
    "json",
];
const BLOBS: &[&str] = &[
    "binary",
    "varbinary",
    "tinyblob",
    "blob",
    "mediumblob",
    "longblob",
];

/// Whether a column is part of a key, where texts have a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Key,
    Value,
}

/// The type of a new column for this field, as SQL; `None` for a type that no column can have.
pub(super) fn of_new_column(field: &Field, usage: Use) -> Option<&'static str> {
    Some(match (field.data_type(), usage) {
        (DataType::Boolean, _) => "BOOLEAN",
        (DataType::Int8, _) => "TINYINT",
        (DataType::Int16, _) => "SMALLINT",
        (DataType::Int32, _) => "INT",
        (DataType::Int64, _) => "BIGINT",
        (DataType::UInt8, _) => "TINYINT UNSIGNED",
        (DataType::UInt16, _) => "SMALLINT UNSIGNED",
        (DataType::UInt32, _) => "INT UNSIGNED",
        (DataType::UInt64, _) => "BIGINT UNSIGNED",
        (DataType::Float16 | DataType::Float32, _) => "FLOAT",
        (DataType::Float64, _) => "DOUBLE",
        // A topic has 249 characters at most; four such columns would be more than a key takes.
        (DataType::Utf8, Use::Key) => "VARCHAR(250) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        (DataType::Utf8, Use::Value) => "LONGTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        (DataType::Binary, Use::Key) => "VARBINARY(500)",
        (DataType::Binary, Use::Value) => "LONGBLOB",
        (DataType::Timestamp(..), _) => "DATETIME(3)",
        (data_type, _) => match lists::leaf_and_rank(data_type) {
            (_, 0) => return None,
            _ => "JSON",
        },
    })
}

/// Whether all values of the field fit into the column.
pub(super) fn fits(field: &Field, column: &ColumnType) -> bool {
    let name = column.name.as_str();
    match field.data_type() {
        DataType::Boolean => name == "bit" || width(name).is_some(),
        DataType::Int8 => holds(column, 1, false),
        DataType::Int16 => holds(column, 2, false),
        DataType::Int32 => holds(column, 4, false),
        DataType::Int64 => holds(column, 8, false),
        DataType::UInt8 => holds(column, 1, true),
        DataType::UInt16 => holds(column, 2, true),
        DataType::UInt32 => holds(column, 4, true),
        DataType::UInt64 => holds(column, 8, true),
        DataType::Float16 | DataType::Float32 => matches!(name, "float" | "double"),
        DataType::Float64 => name == "double",
        DataType::Utf8 => TEXTS.contains(&name),
        DataType::Binary => BLOBS.contains(&name),
        DataType::Timestamp(..) => matches!(name, "datetime" | "timestamp"),
        data_type => lists::leaf_and_rank(data_type).1 > 0 && TEXTS.contains(&name),
    }
}

fn width(name: &str) -> Option<u8> {
    INTEGERS
        .iter()
        .find(|(own, _)| *own == name)
        .map(|(_, width)| *width)
}

fn holds(column: &ColumnType, bytes: u8, unsigned: bool) -> bool {
    if column.name == "decimal" {
        return true;
    }
    let Some(width) = width(&column.name) else {
        return false;
    };
    match (unsigned, column.unsigned) {
        (false, true) => false,
        (true, false) => width > bytes,
        _ => width >= bytes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_into_wider_columns_and_no_others() {
        let fits = |data_type: DataType, name: &str, unsigned: bool| {
            let name = name.to_owned();
            fits(
                &Field::new("y", data_type, true),
                &ColumnType { name, unsigned },
            )
        };
        assert!(fits(DataType::Int32, "int", false) && fits(DataType::Int32, "bigint", false));
        assert!(!fits(DataType::Int32, "int", true) && !fits(DataType::Int32, "mediumint", false));
        assert!(fits(DataType::UInt32, "bigint", false) && !fits(DataType::UInt32, "int", false));
        assert!(
            fits(DataType::Float32, "double", false) && !fits(DataType::Float64, "float", false)
        );
        let list = DataType::new_list(DataType::Float32, false);
        assert!(fits(list.clone(), "longtext", false) && !fits(list, "float", false));
    }
}
