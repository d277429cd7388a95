//! How messages come off the wire and go onto it: small ones through prost, those with tensors as bytes.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::Status;
use tonic::codec::{DecodeBuf, Decoder, EncodeBuf, Encoder};

/// No message without tensors needs more; prost would make a large multiple
/// of it out of a hostile one.
const MAX_SMALL_BYTES: usize = 64 << 10;

/// A request with tensors as it came: read once it is known who may and can answer it.
#[derive(Debug, Clone)]
pub(crate) struct Unread(pub(crate) Bytes);

/// An encoded answer.
#[derive(Debug, Clone)]
pub(crate) struct Written(pub(crate) Vec<u8>);

/// Reads a request message.
pub(crate) trait Incoming: Sized + Send + 'static {
    fn read(source: &mut DecodeBuf<'_>) -> Result<Self, Status>;
}

/// Writes an answer message.
pub(crate) trait Outgoing: Send + 'static {
    fn write(self, into: &mut EncodeBuf<'_>);
}

impl Incoming for Unread {
    fn read(source: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        Ok(Self(source.copy_to_bytes(source.remaining())))
    }
}

impl<T: Message + Default + 'static> Incoming for T {
    fn read(source: &mut DecodeBuf<'_>) -> Result<Self, Status> {
        let size_bytes = source.remaining();
        if size_bytes > MAX_SMALL_BYTES {
            return Err(Status::resource_exhausted(format!(
                "request message has {size_bytes} bytes; one without tensors may have \
                 {MAX_SMALL_BYTES}"
            )));
        }
        T::decode(source).map_err(|error| {
            Status::invalid_argument(format!("message is not well-formed protobuf: {error}"))
        })
    }
}

impl Outgoing for Written {
    fn write(self, into: &mut EncodeBuf<'_>) {
        into.reserve(self.0.len());
        into.put_slice(&self.0);
    }
}

impl<T: Message + 'static> Outgoing for T {
    fn write(self, into: &mut EncodeBuf<'_>) {
        self.encode(into)
            .expect("the buffer grows with what is written");
    }
}

/// Gives answers of `T`, takes requests of `U`.
#[derive(Debug)]
pub(crate) struct Codec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for Codec<T, U> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<T: Outgoing, U: Incoming> tonic::codec::Codec for Codec<T, U> {
    type Encode = T;
    type Decode = U;
    type Encoder = Writer<T>;
    type Decoder = Reader<U>;

    fn encoder(&mut self) -> Writer<T> {
        Writer(PhantomData)
    }

    fn decoder(&mut self) -> Reader<U> {
        Reader(PhantomData)
    }
}

/// Encodes answers.
#[derive(Debug)]
pub(crate) struct Writer<T>(PhantomData<T>);

impl<T: Outgoing> Encoder for Writer<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, item: T, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.write(into);
        Ok(())
    }
}

/// Decodes requests.
#[derive(Debug)]
pub(crate) struct Reader<U>(PhantomData<U>);

impl<U: Incoming> Decoder for Reader<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, source: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::read(source).map(Some)
    }
}
