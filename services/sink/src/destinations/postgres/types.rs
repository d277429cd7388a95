//! Arrow types and the types of PostgreSQL that hold all their values.

use std::fmt;

use arrow::datatypes::{DataType, Field};

use crate::destinations::table::lists;

/// PostgreSQL's arrays have six dimensions at most; tensors of more become JSON.
const MOST_DIMENSIONS: usize = 6;

/// A type that is no array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scalar {
    Bool,
    Int2,
    Int4,
    Int8,
    Numeric,
    Float4,
    Float8,
    Text,
    Bytea,
    Json,
    Jsonb,
    Timestamp,
}

/// How the values of a column are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Scalar(Scalar),
    Array(Scalar),
    /// pgvector's: floats of one dimension.
    Vector,
    /// Lists as JSON text.
    JsonList(Scalar),
}

/// Name in SQL, name in `pg_type`, number of the type, in the order of [`Scalar`].
const SCALARS: [(Scalar, &str, &str, u32); 12] = [
    (Scalar::Bool, "boolean", "bool", 16),
    (Scalar::Int2, "smallint", "int2", 21),
    (Scalar::Int4, "integer", "int4", 23),
    (Scalar::Int8, "bigint", "int8", 20),
    (Scalar::Numeric, "numeric", "numeric", 1700),
    (Scalar::Float4, "real", "float4", 700),
    (Scalar::Float8, "double precision", "float8", 701),
    (Scalar::Text, "text", "text", 25),
    (Scalar::Bytea, "bytea", "bytea", 17),
    (Scalar::Json, "json", "json", 114),
    (Scalar::Jsonb, "jsonb", "jsonb", 3802),
    (
        Scalar::Timestamp,
        "timestamp with time zone",
        "timestamptz",
        1184,
    ),
];

impl Scalar {
    /// The number that the database gives the type.
    pub(super) fn oid(self) -> u32 {
        self.names().3
    }

    fn names(self) -> &'static (Scalar, &'static str, &'static str, u32) {
        SCALARS
            .iter()
            .find(|(scalar, ..)| *scalar == self)
            .expect("every type is in the list")
    }

    fn of_type_name(name: &str) -> Option<Self> {
        match name {
            "varchar" | "bpchar" => Some(Self::Text),
            // The same eight bytes; without a zone, the time of day is that of UTC.
            "timestamp" => Some(Self::Timestamp),
            _ => SCALARS
                .iter()
                .find(|(_, _, known, _)| *known == name)
                .map(|(scalar, ..)| *scalar),
        }
    }

    /// The smallest type for all values of an Arrow type; `None` if there is none.
    fn of_arrow(data_type: &DataType) -> Option<Self> {
        Some(match data_type {
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => Self::Int2,
            DataType::Int32 | DataType::UInt16 => Self::Int4,
            DataType::Int64 | DataType::UInt32 => Self::Int8,
            DataType::UInt64 => Self::Numeric,
            DataType::Float16 | DataType::Float32 => Self::Float4,
            DataType::Float64 => Self::Float8,
            DataType::Utf8 => Self::Text,
            DataType::Binary => Self::Bytea,
            DataType::Timestamp(..) => Self::Timestamp,
            _ => return None,
        })
    }

    /// Whether every value of `self` is one of `wider`.
    fn widens_to(self, wider: Self) -> bool {
        use Scalar as S;
        self == wider
            || match self {
                S::Int2 => matches!(wider, S::Int4 | S::Int8 | S::Numeric),
                S::Int4 => matches!(wider, S::Int8 | S::Numeric),
                S::Int8 => wider == S::Numeric,
                S::Float4 => wider == S::Float8,
                S::Text => matches!(wider, S::Json | S::Jsonb),
                _ => false,
            }
    }
}

impl fmt::Display for Scalar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.names().1)
    }
}

/// The type of a new column for this field, as SQL; `None` for a type that no column can have.
pub(super) fn of_new_column(field: &Field, vectors: bool) -> Option<String> {
    if is_json(field) {
        return Some(Scalar::Jsonb.to_string());
    }
    let (leaf, rank) = lists::leaf_and_rank(field.data_type());
    let scalar = Scalar::of_arrow(leaf)?;
    Some(match rank {
        0 => scalar.to_string(),
        1 if vectors && is_small_float(leaf) => "vector".to_owned(),
        rank if rank <= MOST_DIMENSIONS => format!("{scalar}[]"),
        _ => Scalar::Jsonb.to_string(),
    })
}

/// How to write the field into a column of the named type (of `pg_type`); `None` if its values do not fit.
pub(super) fn form(field: &Field, type_name: &str) -> Option<Form> {
    let (leaf, rank) = lists::leaf_and_rank(field.data_type());
    let scalar = Scalar::of_arrow(leaf)?;
    if let Some(element) = type_name.strip_prefix('_') {
        let element = Scalar::of_type_name(element)?;
        let fits = (1..=MOST_DIMENSIONS).contains(&rank) && scalar.widens_to(element);
        return fits.then_some(Form::Array(element));
    }
    if type_name == "vector" {
        return (rank == 1 && is_small_float(leaf)).then_some(Form::Vector);
    }
    let wanted = Scalar::of_type_name(type_name)?;
    match (rank, wanted) {
        (0, wanted) => scalar.widens_to(wanted).then_some(Form::Scalar(wanted)),
        (_, Scalar::Json | Scalar::Jsonb) => Some(Form::JsonList(wanted)),
        _ => None,
    }
}

/// A vector of pgvector has elements of four bytes.
fn is_small_float(leaf: &DataType) -> bool {
    matches!(leaf, DataType::Float16 | DataType::Float32)
}

/// Whether the field is text that is known to be JSON, by Arrow's canonical extension type.
fn is_json(field: &Field) -> bool {
    field.extension_type_name() == Some("arrow.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(data_type: DataType) -> Field {
        Field::new("y", data_type, true)
    }

    fn list(data_type: DataType) -> DataType {
        DataType::new_list(data_type, false)
    }

    #[test]
    fn scalars_are_scalars_and_tensors_are_arrays() {
        let cases = [
            (DataType::UInt64, "numeric"),
            (DataType::Float16, "real"),
            (list(DataType::Float64), "double precision[]"),
            (list(list(DataType::Utf8)), "text[]"),
        ];
        for (data_type, expected) in cases {
            let found = of_new_column(&field(data_type.clone()), false);
            assert_eq!(found.as_deref(), Some(expected), "{data_type}");
        }
    }

    #[test]
    fn tensor_of_seven_dimensions_is_json() {
        let deep = (0..7).fold(DataType::Int8, |inner, _| list(inner));
        assert_eq!(of_new_column(&field(deep.clone()), false).unwrap(), "jsonb");
        assert_eq!(
            form(&field(deep), "jsonb"),
            Some(Form::JsonList(Scalar::Jsonb))
        );
    }

    #[test]
    fn values_go_into_wider_columns_and_no_others() {
        let fits = |data_type, name| form(&field(data_type), name).is_some();
        assert!(fits(DataType::Int32, "int8") && fits(DataType::Int32, "numeric"));
        assert!(!fits(DataType::Int32, "int2") && !fits(DataType::Int32, "text"));
        assert!(fits(DataType::Float32, "float8") && !fits(DataType::Float64, "float4"));
        assert!(
            fits(list(DataType::Float32), "_float8") && fits(list(DataType::Float32), "vector")
        );
        assert!(!fits(list(DataType::Float32), "float4") && !fits(DataType::Float32, "_float4"));
        assert!(fits(DataType::Utf8, "varchar") && fits(DataType::Utf8, "jsonb"));
        assert!(!fits(DataType::Utf8, "uuid"));
    }
}
