//! Elements of differing length, one after the other in one allocation.

/// A list of byte strings: contiguous bytes and the offset at which each element ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VariableData {
    /// `ends[i]` is one past the last byte of element i; element 0 begins at 0.
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

impl VariableData {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty list with room for `elements` of `bytes` together.
    pub fn with_capacity(elements: usize, bytes: usize) -> Self {
        Self {
            ends: Vec::with_capacity(elements),
            bytes: Vec::with_capacity(bytes),
        }
    }

    /// Appends one element.
    pub fn push(&mut self, element: &[u8]) {
        self.bytes.extend_from_slice(element);
        self.ends.push(self.bytes.len());
    }

    /// The element at `index`.
    ///
    /// # Panics
    /// If there is no such element, as slices do.
    pub fn get(&self, index: usize) -> &[u8] {
        &self.bytes[self.start(index)..self.ends[index]]
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True if there are no elements.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// All elements in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The bytes of all elements, without any separator.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The offset in [`Self::bytes`] at which element `index` begins; `index` may equal the length.
    pub(crate) fn start(&self, index: usize) -> usize {
        match index.checked_sub(1) {
            Some(previous) => self.ends[previous],
            None => 0,
        }
    }

    /// Appends the bytes of several elements at once; `ends` are relative to `bytes`.
    pub(crate) fn extend(&mut self, bytes: &[u8], ends: impl Iterator<Item = usize>) {
        let base = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.ends.extend(ends.map(|end| base + end));
    }

    /// True if every element is UTF-8 by itself.
    pub(crate) fn is_utf8(&self) -> bool {
        let Ok(text) = simdutf8::basic::from_utf8(&self.bytes) else {
            return false;
        };
        self.ends.iter().all(|&end| text.is_char_boundary(end))
    }
}

impl<T: AsRef<[u8]>> FromIterator<T> for VariableData {
    fn from_iter<I: IntoIterator<Item = T>>(elements: I) -> Self {
        let mut data = Self::new();
        for element in elements {
            data.push(element.as_ref());
        }
        data
    }
}
