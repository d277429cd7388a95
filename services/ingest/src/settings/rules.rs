//! Rules that several sections share.

use std::ops::RangeInclusive;
use std::time::Duration;

use millrace_boot::InvalidSetting;

/// Refuses a number that would refuse everything.
pub(super) fn at_least_one(key: &str, value: usize) -> Result<(), InvalidSetting> {
    match value {
        0 => Err(InvalidSetting::new(key, "is 0; it must be at least 1")),
        _ => Ok(()),
    }
}

/// Refuses a number that nothing here could hold to.
pub(super) fn within(
    key: &str,
    value: usize,
    allowed: RangeInclusive<usize>,
) -> Result<(), InvalidSetting> {
    match allowed.contains(&value) {
        true => Ok(()),
        false => {
            let (least, most) = (allowed.start(), allowed.end());
            let problem = format!("is {value}; it must be from {least} to {most}");
            Err(InvalidSetting::new(key, problem))
        }
    }
}

/// Refuses a time that is over at once.
pub(super) fn not_zero(key: &str, value: Duration) -> Result<(), InvalidSetting> {
    match value {
        Duration::ZERO => Err(InvalidSetting::new(
            key,
            "is zero; write a time such as 30s",
        )),
        _ => Ok(()),
    }
}
