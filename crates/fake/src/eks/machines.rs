//! What a machine type has room for, as EKS's nodes of that type report it.

/// CPUs, memory and pods of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    pub(super) cpus: u64,
    pub(super) memory_mib: u64,
    pub(super) pods: u64,
    pub(super) gpus: u64,
}

/// Sizes: name, CPUs, pods with the VPC CNI (its `eni-max-pods.txt`, general purpose families).
const SIZES: &[(&str, u64, u64)] = &[
    ("medium", 2, 17),
    ("large", 2, 29),
    ("xlarge", 4, 58),
    ("2xlarge", 8, 58),
    ("4xlarge", 16, 234),
    ("8xlarge", 32, 234),
    ("12xlarge", 48, 234),
    ("16xlarge", 64, 737),
    ("24xlarge", 96, 737),
];

/// The machine called `instance_type`, such as `m5.xlarge`; none for a type nobody sells.
pub(super) fn machine(instance_type: &str) -> Option<Machine> {
    let (family, size) = instance_type.split_once('.')?;
    let (_, cpus, pods) = *SIZES.iter().find(|(name, _, _)| *name == size)?;
    let (gib_per_cpu, gpus) = match family.chars().next()? {
        'c' => (2, 0),
        'm' | 't' => (4, 0),
        'r' => (8, 0),
        'g' | 'p' => (4, 1),
        _ => return None,
    };
    family.chars().any(|c| c.is_ascii_digit()).then_some(())?;
    let gib_per_cpu = if size == "medium" { 2 } else { gib_per_cpu };
    Some(Machine {
        cpus,
        memory_mib: cpus * gib_per_cpu * 1024,
        pods,
        gpus,
    })
}

impl Machine {
    /// Milli-CPU left for pods: EKS's bootstrap reserves 6 % of the first, 1 % of the second, 0.5 % of the third and
    /// fourth and 0.25 % of further CPUs.
    pub(super) fn allocatable_cpu_milli(&self) -> u64 {
        let reserved = (0..self.cpus).map(|cpu| match cpu {
            0 => 600,
            1 => 100,
            2 | 3 => 50,
            _ => 25,
        });
        self.cpus * 1000 - reserved.sum::<u64>() / 10
    }

    /// MiB left for pods: EKS's bootstrap reserves 255 MiB and 11 MiB a pod, the kubelet 100 MiB for eviction.
    pub(super) fn allocatable_memory_mib(&self) -> u64 {
        self.memory_mib.saturating_sub(255 + 11 * self.pods + 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_have_the_room_that_eks_nodes_report() {
        let xlarge = machine("m5.xlarge").unwrap();
        assert_eq!((xlarge.cpus, xlarge.memory_mib, xlarge.pods), (4, 16384, 58));
        assert_eq!(xlarge.allocatable_cpu_milli(), 3920);
        assert_eq!(xlarge.allocatable_memory_mib(), 16384 - 255 - 638 - 100);
        assert_eq!(machine("r6i.2xlarge").unwrap().memory_mib, 64 * 1024);
        assert_eq!(machine("g5.xlarge").unwrap().gpus, 1);
    }

    #[test]
    fn a_type_nobody_sells_is_no_machine() {
        for wrong in ["", "m5", "m5.huge", "z.xlarge", "mm.large"] {
            assert_eq!(machine(wrong), None, "{wrong}");
        }
    }
}
