//! Frames of Kafka's protocol: a length and a body, whose first bytes say what is asked
//! (<https://kafka.apache.org/protocol.html#protocol_messages>).

use std::io::{Read, Write};

/// Larger frames are nobody's.
const MAX_BYTES: usize = 256 << 20;

/// A request or a response without its length.
pub(super) struct Frame(Vec<u8>);

impl Frame {
    /// The key of the API that a request asks.
    pub(super) fn api(&self) -> Option<i16> {
        Some(i16::from_be_bytes(self.0.get(..2)?.try_into().ok()?))
    }

    pub(super) fn correlation_of_request(&self) -> Option<i32> {
        Some(i32::from_be_bytes(self.0.get(4..8)?.try_into().ok()?))
    }

    pub(super) fn correlation_of_response(&self) -> Option<i32> {
        Some(i32::from_be_bytes(self.0.get(..4)?.try_into().ok()?))
    }
}

/// The next frame; `None` when the connection has ended.
pub(super) fn read_frame(from: &mut impl Read) -> Option<Frame> {
    let mut length = [0; 4];
    from.read_exact(&mut length).ok()?;
    let length = usize::try_from(i32::from_be_bytes(length)).ok()?;
    if length > MAX_BYTES {
        return None;
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body).ok()?;
    Some(Frame(body))
}

/// Passes a frame on; `None` when the connection has ended.
pub(super) fn write_frame(to: &mut impl Write, frame: &Frame) -> Option<()> {
    let length = i32::try_from(frame.0.len()).ok()?;
    to.write_all(&length.to_be_bytes()).ok()?;
    to.write_all(&frame.0).ok()
}
