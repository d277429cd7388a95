//! Walks an Avro datum along its schema before the Avro library sees it.
//!
//! The library reads a string that is cut off as null and allocates whatever length a datum claims.
//! A datum that passes this walk is complete, and everything in it is backed by bytes that are there.

use apache_avro::Schema;

use super::AvroError;

/// Checks that `datum` is exactly one value of `schema`; `base` is where it begins in the message.
pub(super) fn check(schema: &Schema, datum: &[u8], base: usize) -> Result<(), AvroError> {
    let mut walker = Walker {
        datum,
        at: 0,
        base,
        names: Vec::new(),
    };
    walker.value(schema)?;
    if walker.at == datum.len() {
        return Ok(());
    }
    Err(walker.damaged("bytes after the end"))
}

struct Walker<'a> {
    datum: &'a [u8],
    at: usize,
    base: usize,
    /// Record and enum schemas met so far, which later fields refer to by name.
    names: Vec<&'a Schema>,
}

impl<'a> Walker<'a> {
    fn value(&mut self, schema: &'a Schema) -> Result<(), AvroError> {
        match schema {
            Schema::Null => Ok(()),
            Schema::Boolean => self.boolean(),
            Schema::Int => {
                let number = self.long()?;
                i32::try_from(number).map_err(|_| self.damaged("an int beyond 32 bits"))?;
                Ok(())
            }
            Schema::Long => self.long().map(|_| ()),
            Schema::Bytes => self.bytes().map(|_| ()),
            Schema::String => self.text(),
            Schema::Enum(symbols) => {
                self.names.push(schema);
                self.index(symbols.symbols.len(), "an unknown symbol")
                    .map(|_| ())
            }
            Schema::Union(union) => {
                let variants = union.variants();
                let index = self.index(variants.len(), "an unknown branch of a union")?;
                self.value(&variants[index])
            }
            Schema::Array(array) => self.blocks(|walker| walker.value(&array.items)),
            Schema::Map(map) => self.blocks(|walker| {
                walker.text()?;
                walker.value(&map.types)
            }),
            Schema::Record(record) => {
                self.names.push(schema);
                for field in &record.fields {
                    self.value(&field.schema)?;
                }
                Ok(())
            }
            Schema::Ref { name } => {
                let known = self.names.iter().find(|known| known.name() == Some(name));
                match known {
                    Some(known) => self.value(known),
                    None => Err(self.damaged("a reference to a type that was not met")),
                }
            }
            _ => Err(self.damaged("a type that our schemas do not have")),
        }
    }

    /// Blocks of items, the last of them empty. An item of our schemas has one byte at least, so that
    /// a count beyond the bytes that follow is a lie.
    fn blocks(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<(), AvroError>,
    ) -> Result<(), AvroError> {
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                self.long()?;
            }
            let count = usize::try_from(count.unsigned_abs())
                .ok()
                .filter(|&count| count <= self.datum.len() - self.at)
                .ok_or_else(|| self.damaged("an array longer than the message"))?;
            for _ in 0..count {
                item(self)?;
            }
        }
    }

    fn boolean(&mut self) -> Result<(), AvroError> {
        match self.datum.get(self.at) {
            Some(0 | 1) => {
                self.at += 1;
                Ok(())
            }
            Some(_) => Err(self.damaged("a boolean that is neither 0 nor 1")),
            None => Err(self.damaged("the message ends within a value")),
        }
    }

    fn text(&mut self) -> Result<(), AvroError> {
        let bytes = self.bytes()?;
        simdutf8::basic::from_utf8(bytes).map_err(|_| self.damaged("text that is not UTF-8"))?;
        Ok(())
    }

    fn bytes(&mut self) -> Result<&'a [u8], AvroError> {
        let length = self.long()?;
        let rest = &self.datum[self.at..];
        let bytes = usize::try_from(length)
            .ok()
            .and_then(|length| rest.get(..length))
            .ok_or_else(|| self.damaged("a length beyond the message"))?;
        self.at += bytes.len();
        Ok(bytes)
    }

    fn index(&mut self, count: usize, what: &'static str) -> Result<usize, AvroError> {
        let index = usize::try_from(self.long()?).ok();
        index
            .filter(|&index| index < count)
            .ok_or_else(|| self.damaged(what))
    }

    /// A zigzag number of at most 64 bits.
    fn long(&mut self) -> Result<i64, AvroError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let Some(&byte) = self.datum.get(self.at) else {
                return Err(self.damaged("the message ends within a value"));
            };
            self.at += 1;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
            }
        }
        Err(self.damaged("a number beyond 64 bits"))
    }

    fn damaged(&self, what: &'static str) -> AvroError {
        AvroError::Damaged {
            at: self.base + self.at,
            what,
        }
    }
}
