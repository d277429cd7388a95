//! How much a body may make us do, whatever its length, and how strictly it is read.

/// Upper bounds for one request. The length of the body is its receiver's to limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonLimits {
    /// Instances, or the first dimension in column format.
    pub max_rows: usize,
    /// Elements of one input, over all rows; of a sparse input, those that it stands for.
    pub max_elements: usize,
    /// Lists and objects inside each other, in parts that are skipped; at most 64. Parts that are read
    /// are as deep as their tensor has dimensions.
    pub max_depth: usize,
    /// Keys that are skipped because no protocol defines them.
    pub max_ignored_keys: usize,
    /// How the body is read where protocols differ.
    pub rules: JsonRules,
}

/// Where there is more than one way to read a body or to write an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JsonRules {
    /// Whether what is no JSON, or says what nobody asked for, is let through.
    pub strictness: Strictness,
    /// What a plain string means for an input of type `Bytes`.
    pub plain_bytes: PlainBytes,
}

/// Whether to be as lenient as TensorFlow Serving.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strictness {
    /// `NaN` and `Infinity` are read and written, what overflows is infinite, unknown keys are ignored.
    #[default]
    Lenient,
    /// Nothing but JSON of finite numbers and known keys is read; what is not finite is written as
    /// `null`.
    Strict,
}

/// What a plain string means for an input of type `Bytes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlainBytes {
    /// The string's own UTF-8 bytes, as in TensorFlow Serving.
    #[default]
    Text,
    /// Base64, as in Cluster Serving.
    Base64,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self {
            max_rows: 1 << 20,
            max_elements: 1 << 26,
            max_depth: 32,
            max_ignored_keys: 1024,
            rules: JsonRules::default(),
        }
    }
}
