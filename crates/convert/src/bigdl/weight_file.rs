//! A file of weights beside a model: storages by their ids, as Java's `DataOutputStream` writes them, and their MD5.

use md5::{Digest, Md5};

use super::storage::{Quantized, Storages};
use crate::error::{LayerResult, Problem};

/// First four bytes of a file of weights.
pub(crate) const MAGIC: [u8; 4] = 3721_u32.to_be_bytes();

impl Storages {
    /// Adds the numbers of a file of weights.
    ///
    /// # Errors
    ///
    /// If the file is not one, or ends too early.
    pub(crate) fn add_file(&mut self, bytes: &[u8]) -> LayerResult<()> {
        let mut file = Reader { rest: bytes };
        if file.take(4)? != MAGIC {
            return Err(Problem::Weights(
                "it does not begin as a file of weights does".to_owned(),
            ));
        }
        for _ in 0..file.count()? {
            let id = file.int()?;
            let kind = file.int()?;
            let count = file.count()?;
            file.values(self, (id, kind), count)?;
        }
        let covered = bytes.len() - file.rest.len();
        let length = file.count()?;
        if file.take(length)? != Md5::digest(&bytes[..covered]).as_slice() {
            return Err(Problem::Weights(
                "the file of weights is damaged: its checksum is another one".to_owned(),
            ));
        }
        Ok(())
    }
}

/// What Java's `DataOutputStream` wrote.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> LayerResult<&'a [u8]> {
        if count > self.rest.len() {
            return Err(Problem::Weights(
                "the file of weights ends too early".to_owned(),
            ));
        }
        let (taken, rest) = self.rest.split_at(count);
        self.rest = rest;
        Ok(taken)
    }

    fn int(&mut self) -> LayerResult<i32> {
        let bytes = self.take(4)?;
        Ok(i32::from_be_bytes(
            bytes.try_into().expect("four bytes were taken"),
        ))
    }

    fn count(&mut self) -> LayerResult<usize> {
        let count = self.int()?;
        usize::try_from(count)
            .map_err(|_| Problem::Weights(format!("a file of weights announces {count} values")))
    }

    /// One storage: kinds are those of BigDL's `BigDLDataType`, in its order.
    #[expect(clippy::cast_possible_truncation, reason = "weights are float32 here")]
    fn values(
        &mut self,
        into: &mut Storages,
        (id, kind): (i32, i32),
        count: usize,
    ) -> LayerResult<()> {
        let width = match kind {
            0 | 5 => 4,
            1 | 7 => 8,
            2 | 6 => 2,
            3 | 9 => 1,
            _ => {
                return Err(Problem::Unsupported(format!(
                    "kind {kind} of values in a file of weights"
                )));
            }
        };
        let bytes = self.take(count.saturating_mul(width))?;
        match kind {
            0 => {
                let (values, _) = bytes.as_chunks::<4>();
                into.dense.insert(
                    id,
                    values.iter().map(|it| f32::from_be_bytes(*it)).collect(),
                );
            }
            1 => {
                let (values, _) = bytes.as_chunks::<8>();
                into.dense.insert(
                    id,
                    values
                        .iter()
                        .map(|it| f64::from_be_bytes(*it) as f32)
                        .collect(),
                );
            }
            9 => {
                // Their ranges are in the model's file.
                let ranges = into
                    .quantized
                    .remove(&id)
                    .map_or_else(Vec::new, |it| it.ranges);
                into.quantized.insert(
                    id,
                    Quantized {
                        bytes: bytes.to_vec(),
                        ranges,
                    },
                );
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_weights_is_read_and_one_that_ends_early_is_refused() {
        let mut file = MAGIC.to_vec();
        for number in [2_i32, 7, 0, 2] {
            file.extend(number.to_be_bytes());
        }
        file.extend([1.5_f32, -2.0].iter().flat_map(|it| it.to_be_bytes()));
        for number in [8_i32, 1, 1] {
            file.extend(number.to_be_bytes());
        }
        file.extend(0.25_f64.to_be_bytes());
        let checksum = Md5::digest(&file);
        file.extend(16_i32.to_be_bytes());
        file.extend(checksum);
        let mut all = Storages::default();
        all.add_file(&file).unwrap();
        assert_eq!(all.dense[&7], [1.5, -2.0]);
        assert_eq!(all.dense[&8], [0.25]);
        let mut damaged = file.clone();
        damaged[16] ^= 1;
        assert!(Storages::default().add_file(&damaged).is_err());
        for end in 0..file.len() {
            assert!(Storages::default().add_file(&file[..end]).is_err(), "{end}");
        }
    }
}
