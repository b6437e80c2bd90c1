//! Kubernetes quantities (`resource.Quantity`): decimal, binary and exponent form, in integer arithmetic.
//!
//! Grammar of k8s.io/apimachinery/pkg/api/resource: `<number><suffix>`, suffix one of `n u m "" k M G T P E`, `Ki Mi Gi Ti Pi Ei`,
//! or `e<int>`/`E<int>`. Fractions finer than a nano are rounded up, as there.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::resources::{Bytes, MilliCpu};

const NANO: i128 = 1_000_000_000;

/// An amount as Kubernetes writes it. Keeps the text it was written as; compares by value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quantity {
    text: String,
    nanos: i128,
}

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no Kubernetes quantity")]
pub struct InvalidQuantity(
    /// The text.
    pub String,
);

impl Quantity {
    /// Billionths of one unit.
    #[must_use]
    pub const fn nanos(&self) -> i128 {
        self.nanos
    }

    /// Below nothing.
    #[must_use]
    pub const fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// As CPU, rounded up; nothing when negative.
    #[must_use]
    pub fn milli_cpu(&self) -> MilliCpu {
        MilliCpu(saturate(div_ceil(self.nanos, 1_000_000)))
    }

    /// As bytes, rounded up; nothing when negative.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        Bytes(saturate(div_ceil(self.nanos, NANO)))
    }

    /// As a count, rounded up; nothing when negative.
    #[must_use]
    pub fn count(&self) -> u64 {
        saturate(div_ceil(self.nanos, NANO))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn div_ceil(value: i128, by: i128) -> i128 {
    value.div_euclid(by) + i128::from(value.rem_euclid(by) != 0)
}

fn saturate(value: i128) -> u64 {
    u64::try_from(value.max(0)).unwrap_or(u64::MAX)
}

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let wrong = || InvalidQuantity(text.to_owned());
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+') => (false, &text[1..]),
            _ => (false, text),
        };
        let end = unsigned
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(wrong());
        }
        // value = digits * 10^exponent * 2^shift, in units of 10^-9
        let (exponent, shift) = scale(suffix).ok_or_else(wrong)?;
        let digits: String = [whole, fraction].concat();
        let digits = digits.trim_start_matches('0');
        if digits.len() > 30 {
            return Err(wrong());
        }
        let mut nanos: i128 = if digits.is_empty() {
            0
        } else {
            digits.parse().map_err(|_| wrong())?
        };
        let fraction_len = i32::try_from(fraction.len()).map_err(|_| wrong())?;
        nanos = nanos.checked_mul(1_i128 << shift).ok_or_else(wrong)?;
        let power = exponent - fraction_len + 9;
        if power >= 0 {
            let factor = 10_i128.checked_pow(power.unsigned_abs()).ok_or_else(wrong)?;
            nanos = nanos.checked_mul(factor).ok_or_else(wrong)?;
        } else {
            // A negative power past i128 leaves less than a nano, which rounds up to one.
            nanos = match 10_i128.checked_pow(power.unsigned_abs()) {
                Some(by) => div_ceil(nanos, by),
                None => i128::from(nanos != 0),
            };
        }
        Ok(Self {
            text: text.to_owned(),
            nanos: if negative { -nanos } else { nanos },
        })
    }
}

fn scale(suffix: &str) -> Option<(i32, u32)> {
    Some(match suffix {
        "n" => (-9, 0),
        "u" => (-6, 0),
        "m" => (-3, 0),
        "" => (0, 0),
        "k" => (3, 0),
        "M" => (6, 0),
        "G" => (9, 0),
        "T" => (12, 0),
        "P" => (15, 0),
        "E" => (18, 0),
        "Ki" => (0, 10),
        "Mi" => (0, 20),
        "Gi" => (0, 30),
        "Ti" => (0, 40),
        "Pi" => (0, 50),
        "Ei" => (0, 60),
        other => {
            let exponent = other.strip_prefix(['e', 'E'])?;
            let exponent: i32 = exponent.parse().ok()?;
            (-30..=18).contains(&exponent).then_some((exponent, 0))?
        }
    })
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.nanos.cmp(&other.nanos)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl TryFrom<String> for Quantity {
    type Error = InvalidQuantity;
    fn try_from(text: String) -> Result<Self, InvalidQuantity> {
        text.parse()
    }
}

impl From<Quantity> for String {
    fn from(quantity: Quantity) -> Self {
        quantity.text
    }
}

impl From<MilliCpu> for Quantity {
    fn from(amount: MilliCpu) -> Self {
        Self {
            text: amount.to_string(),
            nanos: i128::from(amount.0) * 1_000_000,
        }
    }
}

impl From<Bytes> for Quantity {
    fn from(amount: Bytes) -> Self {
        Self {
            text: amount.to_string(),
            nanos: i128::from(amount.0) * NANO,
        }
    }
}

impl From<u64> for Quantity {
    fn from(count: u64) -> Self {
        Self {
            text: count.to_string(),
            nanos: i128::from(count) * NANO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_read_as_kubernetes_reads_them() {
        for (text, nanos) in [
            ("0", 0),
            ("1", NANO),
            ("100m", NANO / 10),
            ("1.5", NANO * 3 / 2),
            (".5", NANO / 2),
            ("5.", NANO * 5),
            ("-1", -NANO),
            ("+2", 2 * NANO),
            ("1k", 1000 * NANO),
            ("1Ki", 1024 * NANO),
            ("1.5Gi", 1_610_612_736 * NANO),
            ("1e3", 1000 * NANO),
            ("1E3", 1000 * NANO),
            ("1E", 1_000_000_000_000_000_000 * NANO),
            ("12e-3", NANO * 12 / 1000),
            ("0.1n", 1),
        ] {
            assert_eq!(text.parse::<Quantity>().map(|q| q.nanos()), Ok(nanos), "{text}");
        }
        for text in [
            "", "-", ".", "1.2.3", "1 Gi", "Gi", "1gi", "1K", "0x1", "1e", "1e1.5", "--1", "1mm", "١",
        ] {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_we_print_we_read_back(milli in any::<u32>(), bytes in any::<u32>()) {
            let cpu = Quantity::from(MilliCpu(u64::from(milli)));
            prop_assert_eq!(cpu.as_str().parse::<Quantity>().unwrap().milli_cpu(), MilliCpu(u64::from(milli)));
            let memory = Quantity::from(Bytes(u64::from(bytes)));
            prop_assert_eq!(memory.as_str().parse::<Quantity>().unwrap().bytes(), Bytes(u64::from(bytes)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = text.parse::<Quantity>();
        }
    }
}
