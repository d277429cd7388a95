//! Avro single-object encoding of our own few schemas.

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{AvroError, walk};

const MARKER: [u8; 2] = [0xC3, 0x01];
const HEADER_BYTES: usize = 10;

/// A schema of ours and its CRC-64-AVRO fingerprint.
pub(super) struct KnownSchema {
    schema: Schema,
    fingerprint: [u8; 8],
}

impl KnownSchema {
    /// Parses one of the schemas that are compiled into this crate.
    pub(super) fn parse(text: &str) -> Self {
        let schema = Schema::parse_str(text).expect("the schema was valid when this was compiled");
        let digest = schema.fingerprint::<Rabin>().bytes;
        let fingerprint = digest
            .try_into()
            .expect("a CRC-64-AVRO fingerprint has 8 bytes");
        Self {
            schema,
            fingerprint,
        }
    }

    pub(super) fn encode<T: Serialize>(&self, value: &T) -> Result<Vec<u8>, AvroError> {
        let writer = GenericDatumWriter::builder(&self.schema)
            .build()
            .map_err(translate)?;
        let mut message = Vec::with_capacity(256);
        message.extend_from_slice(&MARKER);
        message.extend_from_slice(&self.fingerprint);
        writer.write_ser(&mut message, value).map_err(translate)?;
        Ok(message)
    }

    pub(super) fn decode<T: DeserializeOwned>(&self, message: &[u8]) -> Result<T, AvroError> {
        let Some((header, mut datum)) = message.split_first_chunk::<HEADER_BYTES>() else {
            return Err(AvroError::NotSingleObject);
        };
        let [m0, m1, fingerprint @ ..] = *header;
        if [m0, m1] != MARKER {
            return Err(AvroError::NotSingleObject);
        }
        if fingerprint != self.fingerprint {
            return Err(AvroError::UnknownSchema {
                fingerprint: u64::from_le_bytes(fingerprint),
                expected: u64::from_le_bytes(self.fingerprint),
            });
        }
        walk::check(&self.schema, datum, HEADER_BYTES)?;
        let reader = GenericDatumReader::builder(&self.schema)
            .build()
            .map_err(translate)?;
        reader.read_deser(&mut datum).map_err(translate)
    }
}

fn translate(source: apache_avro::Error) -> AvroError {
    AvroError::Translate {
        source: Box::new(source),
    }
}
