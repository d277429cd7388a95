//! How much this process takes on at once: requests and bytes, never a queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use prometheus_client::encoding::{EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// Bytes held for requests in flight. Gauge.
const HELD_BYTES: &str = "millrace_ingest_held_bytes";

/// The process is full; the caller should try again shortly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("too many requests in flight: the limit of this process is {limit}")]
    Requests { limit: usize },
    #[error("too many request bytes in flight: the limit of this process is {limit_bytes} bytes")]
    Bytes { limit_bytes: usize },
}

/// Counts what is in flight against the limits; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    requests: AtomicUsize,
    bytes: AtomicUsize,
    max_requests: usize,
    max_bytes: usize,
}

impl Admission {
    pub(crate) fn new(max_requests: usize, max_bytes: usize) -> Self {
        Self {
            shared: Arc::new(Shared {
                requests: AtomicUsize::new(0),
                bytes: AtomicUsize::new(0),
                max_requests,
                max_bytes,
            }),
        }
    }

    /// Adds what is held to the metrics; call it once per process.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let held = HeldBytes(Arc::clone(&self.shared));
        registry.register(HELD_BYTES, "Bytes held for requests in flight", held);
    }

    /// Takes one place; it is given back when the [`Place`] is dropped.
    ///
    /// # Errors
    /// [`Full::Requests`] when all places are taken.
    pub(crate) fn enter(&self) -> Result<Place, Full> {
        let limit = self.shared.max_requests;
        if !add_within(&self.shared.requests, 1, limit) {
            return Err(Full::Requests { limit });
        }
        Ok(Place {
            shared: Arc::clone(&self.shared),
        })
    }

    /// A reservation of no bytes yet, to grow as a body arrives. What a caller
    /// announces is not reserved, or announcing would be enough to block others.
    pub(crate) fn reserve(&self) -> Reservation {
        Reservation {
            shared: Arc::clone(&self.shared),
            size_bytes: 0,
        }
    }
}

/// Reads what the admission counts anyway.
#[derive(Debug)]
struct HeldBytes(Arc<Shared>);

impl EncodeMetric for HeldBytes {
    fn encode(&self, mut encoder: MetricEncoder) -> Result<(), std::fmt::Error> {
        let bytes = self.0.bytes.load(Ordering::Relaxed);
        encoder.encode_gauge(&i64::try_from(bytes).unwrap_or(i64::MAX))
    }

    fn metric_type(&self) -> MetricType {
        MetricType::Gauge
    }
}

/// Adds unless the sum would pass the limit.
fn add_within(counter: &AtomicUsize, amount: usize, limit: usize) -> bool {
    let add = |now: usize| now.checked_add(amount).filter(|sum| *sum <= limit);
    counter
        .fetch_update(Ordering::AcqRel, Ordering::Acquire, add)
        .is_ok()
}

/// One request's place among those in flight.
#[derive(Debug)]
pub(crate) struct Place {
    shared: Arc<Shared>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.requests.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Bytes held on behalf of one request, given back when dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    shared: Arc<Shared>,
    size_bytes: usize,
}

impl Reservation {
    /// Reserves more.
    ///
    /// # Errors
    /// [`Full::Bytes`] when the process holds too many already; what was
    /// reserved before stays reserved.
    pub(crate) fn grow(&mut self, size_bytes: usize) -> Result<(), Full> {
        let limit_bytes = self.shared.max_bytes;
        if !add_within(&self.shared.bytes, size_bytes, limit_bytes) {
            return Err(Full::Bytes { limit_bytes });
        }
        self.size_bytes += size_bytes;
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.size_bytes == 0
    }

    /// Gives everything back.
    pub(crate) fn release(&mut self) {
        let given_back = std::mem::take(&mut self.size_bytes);
        self.shared.bytes.fetch_sub(given_back, Ordering::AcqRel);
    }

    /// Holds exactly so many from now on: what is held takes the place of
    /// what it was made from.
    ///
    /// # Errors
    /// [`Full::Bytes`], as from [`Self::grow`].
    pub(crate) fn set(&mut self, size_bytes: usize) -> Result<(), Full> {
        if let Some(more) = size_bytes.checked_sub(self.size_bytes) {
            return self.grow(more);
        }
        let given_back = self.size_bytes - size_bytes;
        self.size_bytes = size_bytes;
        self.shared.bytes.fetch_sub(given_back, Ordering::AcqRel);
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.shared
            .bytes
            .fetch_sub(self.size_bytes, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_once_its_request_is_over() {
        let admission = Admission::new(1, 10);
        let place = admission.enter().unwrap();
        assert_eq!(admission.enter().unwrap_err(), Full::Requests { limit: 1 });
        drop(place);
        assert!(admission.enter().is_ok());
    }

    #[test]
    fn bytes_are_bounded_and_given_back() {
        let admission = Admission::new(1, 10);
        let mut first = admission.reserve();
        first.grow(8).unwrap();
        let mut second = admission.reserve();
        assert_eq!(second.grow(3).unwrap_err(), Full::Bytes { limit_bytes: 10 });
        second.grow(2).unwrap();
        first.set(3).unwrap();
        second.grow(5).unwrap();
        drop((first, second));
        admission.reserve().grow(10).unwrap();
    }

    #[test]
    fn an_absurd_size_does_not_wrap_around() {
        let admission = Admission::new(1, 10);
        let mut reservation = admission.reserve();
        reservation.grow(1).unwrap();
        assert!(reservation.grow(usize::MAX).is_err());
    }
}
