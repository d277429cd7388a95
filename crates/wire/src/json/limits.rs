//! How much a body may make us do, whatever its length.

/// Upper bounds for one predict request. The length of the body is its receiver's to limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonLimits {
    /// Instances, or the first dimension in column format.
    pub max_rows: usize,
    /// Elements of one input, over all rows.
    pub max_elements: usize,
    /// Lists and objects inside each other, in parts that are skipped; at most 64. Parts that are read
    /// are as deep as their tensor has dimensions.
    pub max_depth: usize,
    /// Keys that are skipped because no protocol defines them.
    pub max_ignored_keys: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self {
            max_rows: 1 << 20,
            max_elements: 1 << 26,
            max_depth: 32,
            max_ignored_keys: 1024,
        }
    }
}
