//! Places and amounts.

use berth_model::{Bytes, Capacity, Isolation, MilliCpu, Placement, Violation};
use berth_proto::v1;

use crate::{faults::Faults, words};

/// A place.
#[must_use]
pub fn placement_to_proto(placement: &Placement) -> v1::Placement {
    v1::Placement {
        isolation: placement.isolation().as_str().into(),
        cluster: placement.cluster().to_string(),
        pool: placement.pool().map(ToString::to_string).unwrap_or_default(),
    }
}

/// Reads a place.
///
/// # Errors
/// Every fault; a pool without isolation `node-pool` is one, and so is that isolation without a pool.
pub fn placement_from_proto(placement: &v1::Placement) -> Result<Placement, Vec<Violation>> {
    let mut faults = Faults::default();
    let isolation = faults.choice("placement.isolation", &placement.isolation, &words::ISOLATIONS);
    let cluster = faults.name("placement.cluster", &placement.cluster);
    let pool = if isolation == Some(Isolation::NodePool) {
        faults.name("placement.pool", &placement.pool)
    } else {
        if !placement.pool.is_empty() {
            faults.add("placement.pool", "only a node-pool placement has a pool", "");
        }
        None
    };
    let decoded = match (isolation, cluster, pool) {
        (Some(Isolation::Namespace), Some(cluster), _) => Some(Placement::Namespace { cluster }),
        (Some(Isolation::NodePool), Some(cluster), Some(pool)) => Some(Placement::NodePool { cluster, pool }),
        (Some(Isolation::Cluster), Some(cluster), _) => Some(Placement::Cluster { cluster }),
        _ => None,
    };
    faults.finish(decoded)
}

/// Amounts.
#[must_use]
pub const fn capacity_to_proto(capacity: &Capacity) -> v1::Capacity {
    v1::Capacity {
        cpu_millis: capacity.cpu.0,
        memory_bytes: capacity.memory.0,
        pods: capacity.pods,
    }
}

/// Reads amounts.
#[must_use]
pub const fn capacity_from_proto(capacity: &v1::Capacity) -> Capacity {
    Capacity {
        cpu: MilliCpu(capacity.cpu_millis),
        memory: Bytes(capacity.memory_bytes),
        pods: capacity.pods,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_place_survives(placement in testing::placement()) {
            prop_assert_eq!(placement_from_proto(&placement_to_proto(&placement)), Ok(placement));
        }

        #[test]
        fn amounts_survive(capacity in testing::capacity()) {
            prop_assert_eq!(capacity_from_proto(&capacity_to_proto(&capacity)), capacity);
        }
    }

    #[test]
    fn a_wrong_mix_of_isolation_and_pool_cannot_be_read() {
        let mix = |isolation: &str, pool: &str| {
            placement_from_proto(&v1::Placement {
                isolation: isolation.into(),
                cluster: "eu-1".into(),
                pool: pool.into(),
            })
        };
        assert!(mix("namespace", "pool-a").is_err());
        assert!(mix("node-pool", "").is_err());
        assert!(mix("cluster", "pool-a").is_err());
    }
}
