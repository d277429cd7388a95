//! Who makes room when memory is short: the version that has not run for the longest time.

/// A version whose engines are in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tenant {
    pub(super) model: String,
    pub(super) version: i64,
    pub(super) bytes: u64,
    /// On a clock that only rises.
    pub(super) last_run_ms: u64,
    /// Whether it may be asked to leave; otherwise it is leaving already.
    pub(super) may_leave: bool,
}

/// What to do for a version that needs memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    /// It fits.
    There,
    /// It fits when these have left, and those that are leaving; none, if others are being loaded.
    After(Vec<(String, i64)>),
    /// It fits into no empty budget.
    Never,
}

/// Makes room for `needed` bytes within `budget`.
pub(super) fn room(needed: u64, budget: Option<u64>, tenants: &[Tenant]) -> Room {
    let Some(budget) = budget else {
        return Room::There;
    };
    if needed > budget {
        return Room::Never;
    }
    let used: u64 = tenants.iter().map(|tenant| tenant.bytes).sum();
    let mut excess = (used + needed).saturating_sub(budget);
    if excess == 0 {
        return Room::There;
    }
    // What is leaving already counts as gone: asking more to leave than it takes would unload for nothing.
    let stays = |tenant: &&Tenant| tenant.may_leave;
    let leaving = tenants.iter().filter(|tenant| !tenant.may_leave);
    excess = excess.saturating_sub(leaving.map(|tenant| tenant.bytes).sum());
    let mut oldest: Vec<&Tenant> = tenants.iter().filter(stays).collect();
    oldest.sort_by_key(|tenant| tenant.last_run_ms);
    let mut asked = Vec::new();
    for tenant in oldest {
        if excess == 0 {
            break;
        }
        excess = excess.saturating_sub(tenant.bytes);
        asked.push((tenant.model.clone(), tenant.version));
    }
    Room::After(asked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(version: i64, bytes: u64, last_run_ms: u64) -> Tenant {
        Tenant {
            model: "m".to_owned(),
            version,
            bytes,
            last_run_ms,
            may_leave: true,
        }
    }

    fn after(versions: &[i64]) -> Room {
        let of_m = |version: &i64| ("m".to_owned(), *version);
        Room::After(versions.iter().map(of_m).collect())
    }

    #[test]
    fn without_a_budget_everything_fits() {
        assert_eq!(room(u64::MAX, None, &[]), Room::There);
    }

    #[test]
    fn what_fits_makes_nobody_leave() {
        assert_eq!(room(40, Some(100), &[tenant(1, 60, 0)]), Room::There);
    }

    #[test]
    fn the_least_recently_used_leave_and_no_more_than_it_takes() {
        let tenants = [tenant(1, 30, 9), tenant(2, 30, 3), tenant(3, 30, 5)];
        assert_eq!(room(20, Some(100), &tenants), after(&[2]));
        assert_eq!(room(60, Some(100), &tenants), after(&[2, 3]));
        assert_eq!(room(100, Some(100), &tenants), after(&[2, 3, 1]));
    }

    #[test]
    fn who_is_leaving_already_counts_as_gone() {
        let mut leaving = tenant(1, 60, 0);
        leaving.may_leave = false;
        assert_eq!(
            room(50, Some(100), &[leaving, tenant(2, 30, 1)]),
            after(&[])
        );
    }

    #[test]
    fn what_is_larger_than_the_budget_never_fits() {
        assert_eq!(room(101, Some(100), &[]), Room::Never);
    }
}
