//! Guards that a test takes away from a build made for it, to see that some other test notices.
//!
//! Only with the feature `sabotage`, which no release build can have; elsewhere the compiler removes the questions.

#[cfg(all(feature = "sabotage", not(debug_assertions)))]
compile_error!("the feature `sabotage` takes guards away: it is for tests only");

/// What a record's result is guarded by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guard {
    /// A record is finished when its result is acknowledged, and not when it is sent.
    Acknowledgement,
    /// Results of one partition leave in the order of their requests.
    Order,
    /// Results of a transaction that was not committed are committed with another one.
    Repetition,
    /// After a transaction whose end was not heard the group is asked how far it is.
    Question,
    /// Results for a partition that is somebody else's by now are not committed.
    Tenure,
    /// A replica keeps its transactional id over a restart.
    Name,
}

/// Whether this process is to work without the guard that the environment variable `SABOTAGE` names.
#[cfg(feature = "sabotage")]
pub(crate) fn is_missing(guard: Guard) -> bool {
    std::env::var("SABOTAGE").is_ok_and(|name| name == format!("{guard:?}").to_lowercase())
}

/// Never.
#[cfg(not(feature = "sabotage"))]
pub(crate) const fn is_missing(_: Guard) -> bool {
    false
}
