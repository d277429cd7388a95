//! Decompresses bodies, never further than they may be large.

use std::io::Read;

use flate2::bufread::GzDecoder;

use crate::front::RequestLimits;
use crate::front::admission::Reservation;

use super::body::BodyError;

/// How much is decompressed before other callers of the worker get their turn.
const PIECE_BYTES: usize = 128 << 10;

/// More bytes per byte than this is a bomb and no body, once there are
/// [`GRACE_BYTES`] of them.
const MAX_RATIO: usize = 250;
const GRACE_BYTES: usize = 1 << 20;

/// Decompresses one gzip member, reserving its bytes before they exist.
///
/// # Errors
/// [`BodyError::Bomb`] and [`BodyError::TooLarge`] beyond the limits,
/// [`BodyError::Broken`] for what is not one whole gzip member,
/// [`BodyError::Full`] over the budget of the process.
pub(super) async fn decompress(
    compressed: &[u8],
    limits: &RequestLimits,
    held: &mut Reservation,
) -> Result<Vec<u8>, BodyError> {
    let mut decoder = GzDecoder::new(compressed);
    let mut body = Vec::new();
    loop {
        held.grow(PIECE_BYTES)?;
        let before = body.len();
        let mut piece = decoder.by_ref().take(PIECE_BYTES as u64);
        piece
            .read_to_end(&mut body)
            .map_err(|_| BodyError::Broken {
                what: "it is not gzip, or not all of it, or its checksum is wrong",
            })?;
        if body.len() == before {
            break;
        }
        check_size(body.len(), compressed.len(), limits)?;
        tokio::task::yield_now().await;
    }
    match decoder.into_inner() {
        [] => Ok(body),
        _ => Err(BodyError::Broken {
            what: "something follows its gzip data",
        }),
    }
}

fn check_size(
    size_bytes: usize,
    compressed_bytes: usize,
    limits: &RequestLimits,
) -> Result<(), BodyError> {
    let limit_bytes = limits.decompressed_bytes;
    if size_bytes > limit_bytes {
        return Err(BodyError::TooLarge {
            limit_bytes,
            announced_bytes: None,
        });
    }
    if size_bytes > GRACE_BYTES && size_bytes / MAX_RATIO > compressed_bytes {
        return Err(BodyError::Bomb {
            max_ratio: MAX_RATIO,
        });
    }
    Ok(())
}
