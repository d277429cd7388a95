//! How often one client may ask: a token bucket for each of a bounded number of clients.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::settings::RateSettings;

/// After so many requests it is looked whether there are too many clients.
const LOOK_AFTER: usize = 256;

/// Buckets that clients share for whom there is no bucket of their own.
const SHARED_BUCKETS: u64 = 1024;

/// A client asks more often than it may.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("too many requests of this client: the limit is {per_second} a second, {burst} at once")]
pub(crate) struct TooOften {
    per_second: String,
    burst: u32,
    pub(crate) retry_after: Duration,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Client {
    Named(Box<str>),
    Address(IpAddr),
    /// One of many, while there are too many to tell apart.
    Shared(u64),
}

/// Counts the requests of every client.
pub(crate) struct Rates {
    limiter: RateLimiter<Client, DashMapStateStore<Client>, DefaultClock>,
    settings: RateSettings,
    burst: NonZeroU32,
    checks: AtomicUsize,
    /// There are as many clients as may be told apart.
    crowded: AtomicBool,
    hasher: RandomState,
}

impl Rates {
    /// `None` while there is no limit.
    pub(crate) fn new(settings: &RateSettings) -> Option<Self> {
        let burst = settings.burst();
        let interval = Duration::try_from_secs_f64(settings.per_second.recip()).ok()?;
        let quota = Quota::with_period(interval)?.allow_burst(burst);
        Some(Self {
            limiter: RateLimiter::dashmap(quota),
            settings: settings.clone(),
            burst,
            checks: AtomicUsize::new(0),
            crowded: AtomicBool::new(false),
            hasher: RandomState::new(),
        })
    }

    /// Counts one request of a client: by the name under which it is known, by
    /// its address otherwise.
    ///
    /// # Errors
    /// [`TooOften`], which says when the next one is welcome.
    pub(crate) fn check(
        &self,
        name: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<(), TooOften> {
        let count = self.checks.fetch_add(1, Ordering::Relaxed);
        if count.is_multiple_of(LOOK_AFTER) {
            self.drop_idle();
        }
        let client = match (name, address) {
            (Some(name), _) => Client::Named(name.into()),
            (None, Some(address)) => Client::Address(network(address)),
            (None, None) => Client::Shared(0),
        };
        let client = match self.crowded.load(Ordering::Relaxed) {
            true => Client::Shared(self.hasher.hash_one(&client) % SHARED_BUCKETS),
            false => client,
        };
        self.limiter.check_key(&client).map_err(|until| TooOften {
            per_second: self.settings.per_second.to_string(),
            burst: self.burst.get(),
            retry_after: until.wait_time_from(self.limiter.clock().now()),
        })
    }

    /// Forgets clients whose bucket is full again; it makes no difference to them.
    fn drop_idle(&self) {
        let is_crowded = || self.limiter.len() >= self.settings.clients;
        if is_crowded() {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.crowded.store(is_crowded(), Ordering::Relaxed);
    }
}

/// An IPv6 client has a whole network to ask from.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(prefix))
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(per_second: f64, burst: u32, clients: usize) -> Rates {
        let settings = RateSettings {
            per_second,
            burst,
            clients,
            ..RateSettings::default()
        };
        Rates::new(&settings).unwrap()
    }

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn no_limit_is_no_limit() {
        assert!(Rates::new(&RateSettings::default()).is_none());
    }

    #[test]
    fn each_client_has_a_bucket_of_its_own() {
        let rates = rates(0.001, 2, 100);
        for client in [ip("10.0.0.1"), ip("10.0.0.2"), None] {
            assert!(rates.check(None, client).is_ok());
            assert!(rates.check(None, client).is_ok());
            let refused = rates.check(None, client).unwrap_err();
            let seconds = refused.retry_after.as_secs();
            assert!((900..=1000).contains(&seconds), "{seconds}");
        }
        assert!(
            rates.check(Some("a"), ip("10.0.0.1")).is_ok(),
            "a name goes first"
        );
    }

    #[test]
    fn the_addresses_of_one_network_and_both_spellings_are_one_client() {
        let rates = rates(0.001, 1, 100);
        assert!(rates.check(None, ip("2001:db8::1")).is_ok());
        assert!(rates.check(None, ip("2001:db8::ffff:2")).is_err());
        assert!(rates.check(None, ip("2001:db8:0:1::1")).is_ok());
        assert!(rates.check(None, ip("10.0.0.1")).is_ok());
        assert!(rates.check(None, ip("::ffff:10.0.0.1")).is_err());
    }

    #[test]
    fn no_more_clients_are_told_apart_than_allowed_and_then_they_share() {
        let rates = rates(0.001, 1, 1_000);
        let mut refused = 0;
        for number in 0..100_000u32 {
            let address = Some(IpAddr::V4(number.into()));
            refused += u32::from(rates.check(None, address).is_err());
        }
        let most = 1_000 + LOOK_AFTER + usize::try_from(SHARED_BUCKETS).unwrap();
        assert!(rates.limiter.len() <= most, "{}", rates.limiter.len());
        assert!(refused > 90_000, "{refused}");
    }

    #[test]
    fn idle_clients_are_forgotten() {
        let rates = rates(1e9, 1, 10);
        for number in 0..10_000u32 {
            let address = Some(IpAddr::V4(number.into()));
            assert!(rates.check(None, address).is_ok());
        }
        assert!(rates.limiter.len() <= 10 + LOOK_AFTER);
    }
}
