//! Amounts of compute with their unit in the type.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! amounts {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The sum, at most the largest amount there is.
            #[must_use]
            pub const fn plus(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            /// The difference, nothing when `other` is more.
            #[must_use]
            pub const fn minus(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// `n` times this, at most the largest amount there is.
            #[must_use]
            pub const fn times(self, n: u64) -> Self {
                Self(self.0.saturating_mul(n))
            }
        }
    )*};
}

amounts! {
    /// Thousandths of a CPU.
    MilliCpu;
    /// Bytes.
    Bytes;
}

impl fmt::Display for MilliCpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_multiple_of(1000) {
            write!(f, "{}", self.0 / 1000)
        } else {
            write!(f, "{}m", self.0)
        }
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")] {
            if self.0 != 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl Bytes {
    /// For people: exact where a binary unit fits, else the largest unit with one digit behind the point, as in `691.1Gi`.
    #[must_use]
    pub fn about(self) -> String {
        for (shift, unit) in [(40, "Ti"), (30, "Gi"), (20, "Mi"), (10, "Ki")] {
            let whole = 1_u128 << shift;
            if u128::from(self.0) >= whole {
                let tenths = u128::from(self.0) * 10 / whole;
                return match tenths % 10 {
                    0 => format!("{}{unit}", tenths / 10),
                    tenth => format!("{}.{tenth}{unit}", tenths / 10),
                };
            }
        }
        self.0.to_string()
    }
}

/// How much a cluster has, a tenant reserves, or a cluster's tenants have reserved together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// CPU.
    pub cpu: MilliCpu,
    /// Memory.
    pub memory: Bytes,
    /// Pods.
    pub pods: u64,
}

impl Capacity {
    /// The sum, field by field.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.plus(other.cpu),
            memory: self.memory.plus(other.memory),
            pods: self.pods.saturating_add(other.pods),
        }
    }

    /// The difference, field by field, never below nothing.
    #[must_use]
    pub const fn minus(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.minus(other.cpu),
            memory: self.memory.minus(other.memory),
            pods: self.pods.saturating_sub(other.pods),
        }
    }

    /// Whether every field of `other` fits into this.
    #[must_use]
    pub fn fits(&self, other: &Self) -> bool {
        other.cpu <= self.cpu && other.memory <= self.memory && other.pods <= self.pods
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_for_people_have_at_most_one_digit_behind_the_point() {
        for (bytes, text) in [
            (0, "0"),
            (512, "512"),
            (1024, "1Ki"),
            (742_170_348_748, "691.1Gi"),
            (2 << 30, "2Gi"),
            (u64::MAX, "16777215.9Ti"),
        ] {
            assert_eq!(Bytes(bytes).about(), text);
        }
    }
}
