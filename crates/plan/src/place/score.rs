//! Which of several places that fit is best.

use std::cmp::Reverse;

use berth_model::{Capacity, ClusterName};

/// Fields in order of weight; the largest is best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Score<'a> {
    /// What would be left of the scarcest resource, in thousandths: tenants spread.
    pub(crate) left: u32,
    /// Fewer tenants are better.
    pub(crate) tenants: Reverse<u32>,
    /// The first name, so that the answer never depends on the order of looking.
    pub(crate) name: Reverse<&'a ClusterName>,
}

/// What is left of the scarcest of CPU, memory and pods, in thousandths.
pub(crate) fn left_of(usable: &Capacity, reserved: &Capacity) -> u32 {
    let cpu = share(usable.cpu.minus(reserved.cpu).0, usable.cpu.0);
    let memory = share(usable.memory.minus(reserved.memory).0, usable.memory.0);
    let pods = share(usable.pods.saturating_sub(reserved.pods), usable.pods);
    cpu.min(memory).min(pods)
}

/// `left` of `all` in thousandths; nothing of nothing is nothing.
pub(crate) fn share(left: u64, all: u64) -> u32 {
    if all == 0 {
        return 0;
    }
    u32::try_from(u128::from(left) * 1000 / u128::from(all))
        .unwrap_or(1000)
        .min(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_weighs_more_than_tenants_and_tenants_more_than_names() {
        let (a, b) = (ClusterName::new("a").unwrap(), ClusterName::new("b").unwrap());
        let score = |left, tenants, name| Score {
            left,
            tenants: Reverse(tenants),
            name: Reverse(name),
        };
        assert!(score(600, 9, &b) > score(500, 0, &a));
        assert!(score(500, 1, &b) > score(500, 2, &a));
        assert!(score(500, 1, &a) > score(500, 1, &b));
    }

    #[test]
    fn amounts_at_the_limit_do_not_overflow() {
        assert_eq!(share(u64::MAX, u64::MAX), 1000);
        assert_eq!(share(u64::MAX, 1), 1000);
        assert_eq!(share(1, 0), 0);
    }
}
