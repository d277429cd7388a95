//! What several targets need.

/// The body in a file of the corpus of bad inputs, which begins with a request line; any other input
/// is a body itself.
pub fn body_of(data: &[u8]) -> &[u8] {
    const END_OF_HEAD: &[u8] = b"\r\n\r\n";
    if !data.starts_with(b"POST ") {
        return data;
    }
    let end = data.windows(END_OF_HEAD.len()).position(|it| it == END_OF_HEAD);
    end.map_or(data, |end| &data[end + END_OF_HEAD.len()..])
}
