//! A codec that sends bytes as they are.

use bytes::Bytes;

/// A codec that sends bytes as they are.
#[derive(Clone, Copy)]
pub(super) struct AnyBytes;

impl tonic::codec::Codec for AnyBytes {
    type Encode = Bytes;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl tonic::codec::Encoder for AnyBytes {
    type Item = Bytes;
    type Error = tonic::Status;

    fn encode(
        &mut self,
        item: Bytes,
        into: &mut tonic::codec::EncodeBuf<'_>,
    ) -> Result<(), tonic::Status> {
        bytes::BufMut::put_slice(into, &item);
        Ok(())
    }
}

impl tonic::codec::Decoder for AnyBytes {
    type Item = ();
    type Error = tonic::Status;

    fn decode(
        &mut self,
        source: &mut tonic::codec::DecodeBuf<'_>,
    ) -> Result<Option<()>, tonic::Status> {
        let remaining = bytes::Buf::remaining(source);
        bytes::Buf::advance(source, remaining);
        Ok(Some(()))
    }
}
