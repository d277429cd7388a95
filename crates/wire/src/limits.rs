//! How large a record may be; every limit is checked before anything is allocated for what it limits.

/// Upper bounds for one Arrow record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole payload.
    pub max_record_bytes: usize,
    /// Bytes of the two metadata blocks together.
    pub max_metadata_bytes: usize,
    /// Rows (instances).
    pub max_rows: usize,
    /// Columns (tensors).
    pub max_columns: usize,
    /// Dimensions of one tensor, the rows included; at most [`Limits::MAX_RANK`].
    pub max_rank: usize,
    /// Elements of one column, over all rows; of a sparse column, those that it stands for.
    pub max_elements: usize,
    /// Bytes that the sparse columns of one record stand for.
    pub max_dense_bytes: usize,
}

impl Limits {
    /// No tensor has more dimensions than this, whatever the settings say.
    pub const MAX_RANK: usize = 16;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_record_bytes: 64 << 20,
            max_metadata_bytes: 1 << 20,
            max_rows: 1 << 20,
            max_columns: 256,
            max_rank: 8,
            max_elements: 1 << 26,
            max_dense_bytes: 256 << 20,
        }
    }
}
