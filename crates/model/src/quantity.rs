//! Kubernetes quantities (`resource.Quantity`): decimal, binary and exponent form, in integer arithmetic.
//!
//! The grammar of k8s.io/apimachinery/pkg/api/resource: `<number><suffix>`, suffix one of `n u m "" k M G T P E`, `Ki Mi Gi Ti Pi
//! Ei`, or `e<int>`/`E<int>`. As there, what is finer than a nano is rounded away from nothing, and a binary amount ends at 2^63-1.
//! Other than there, a text without a digit (`-`, `Ki`) is no quantity, as the documented grammar has it; a thousand exa and more are
//! written with `E` (Kubernetes drops the suffix); and what 2^127 nanos do not hold is refused instead of counted on.

mod parse;
#[cfg(test)]
mod tests;

use std::{cmp::Ordering, fmt};

use serde::{Deserialize, Serialize};

use crate::resources::{Bytes, MilliCpu};

const NANO: i128 = 1_000_000_000;
const MILLI: i128 = 1_000_000;

/// An amount as Kubernetes writes it. Keeps the text it was written as; compares by value.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Quantity {
    text: String,
    nanos: i128,
    format: Format,
}

/// Which family of suffixes an amount is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `12M`: powers of ten by letter.
    DecimalSi,
    /// `12Mi`: powers of two.
    BinarySi,
    /// `12e6`: powers of ten by number.
    DecimalExponent,
}

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no Kubernetes quantity")]
pub struct InvalidQuantity(
    /// The text.
    pub String,
);

impl Quantity {
    /// Nothing.
    #[must_use]
    pub fn zero() -> Self {
        Self::from(0)
    }

    /// So many billionths of one unit, written canonically.
    #[must_use]
    pub fn from_nanos(nanos: i128, format: Format) -> Self {
        Self {
            text: canonical(nanos, format),
            nanos,
            format,
        }
    }

    /// Billionths of one unit.
    #[must_use]
    pub const fn nanos(&self) -> i128 {
        self.nanos
    }

    /// The family of suffixes it is written with.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Below nothing.
    #[must_use]
    pub const fn is_negative(&self) -> bool {
        self.nanos < 0
    }

    /// As CPU, rounded up; nothing when negative.
    #[must_use]
    pub fn milli_cpu(&self) -> MilliCpu {
        MilliCpu(saturate(div_ceil(self.nanos, MILLI)))
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

    /// As Kubernetes writes it back: no fraction, the largest suffix of its family that loses nothing. A binary amount below 1Ki, or
    /// with a fraction, is written in decimals.
    #[must_use]
    pub fn canonical(&self) -> String {
        canonical(self.nanos, self.format)
    }

    /// As an object's resource list holds it, a quota's or a container's: an API server rounds up to thousandths there.
    #[must_use]
    pub fn in_resource_list(&self) -> Self {
        let milli = div_ceil(self.nanos, MILLI).saturating_mul(MILLI);
        Self::from_nanos(milli, self.format)
    }

    /// The exact sum; none where it is too large to count.
    #[must_use]
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let nanos = self.nanos.checked_add(other.nanos)?;
        Some(Self::from_nanos(nanos, self.format_with(other)))
    }

    /// The exact difference; none where it is too large to count.
    #[must_use]
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        let nanos = self.nanos.checked_sub(other.nanos)?;
        Some(Self::from_nanos(nanos, self.format_with(other)))
    }

    /// `times` as much, exactly; none where it is too large to count.
    #[must_use]
    pub fn checked_mul(&self, times: u64) -> Option<Self> {
        let nanos = self.nanos.checked_mul(i128::from(times))?;
        Some(Self::from_nanos(nanos, self.format))
    }

    /// The sum, at most the largest amount there is.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self::from_nanos(self.nanos.saturating_add(other.nanos), self.format_with(other))
    }

    /// The difference, at least the smallest amount there is.
    #[must_use]
    pub fn minus(&self, other: &Self) -> Self {
        Self::from_nanos(self.nanos.saturating_sub(other.nanos), self.format_with(other))
    }

    /// The family of a sum: this one's, unless it is nothing.
    const fn format_with(&self, other: &Self) -> Format {
        if self.nanos == 0 {
            other.format
        } else {
            self.format
        }
    }
}

impl Default for Quantity {
    fn default() -> Self {
        Self::zero()
    }
}

fn canonical(nanos: i128, format: Format) -> String {
    if nanos == 0 {
        return "0".into();
    }
    let sign = if nanos < 0 { "-" } else { "" };
    let amount = nanos.unsigned_abs();
    let unit = NANO.unsigned_abs();
    if format == Format::BinarySi && amount.is_multiple_of(unit) && amount / unit >= 1024 {
        let (digits, shift) = (1..=6)
            .rev()
            .map(|step| step * 10)
            .find(|shift| (amount / unit).trailing_zeros() >= *shift)
            .map_or((amount / unit, 0), |shift| ((amount / unit) >> shift, shift));
        let suffix = parse::BINARY
            .iter()
            .find(|(_, known)| *known == shift)
            .map_or("", |(suffix, _)| suffix);
        return format!("{sign}{digits}{suffix}");
    }
    // In steps of a thousand from nanos; letters end at exa.
    let last = if format == Format::DecimalExponent {
        i32::MAX
    } else {
        18
    };
    let (mut digits, mut exponent) = (amount, -9);
    while digits.is_multiple_of(1000) && exponent < last {
        digits /= 1000;
        exponent += 3;
    }
    if format == Format::DecimalExponent {
        return match exponent {
            0 => format!("{sign}{digits}"),
            exponent => format!("{sign}{digits}e{exponent}"),
        };
    }
    let suffix = parse::DECIMAL
        .iter()
        .find(|(_, known)| *known == exponent)
        .map_or("", |(suffix, _)| suffix);
    format!("{sign}{digits}{suffix}")
}

fn div_ceil(value: i128, by: i128) -> i128 {
    value.div_euclid(by) + i128::from(value.rem_euclid(by) != 0)
}

fn saturate(value: i128) -> u64 {
    u64::try_from(value.max(0)).unwrap_or(u64::MAX)
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nanos == other.nanos
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
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
            format: Format::DecimalSi,
        }
    }
}

impl From<Bytes> for Quantity {
    fn from(amount: Bytes) -> Self {
        Self {
            text: amount.to_string(),
            nanos: i128::from(amount.0) * NANO,
            format: Format::BinarySi,
        }
    }
}

impl From<u64> for Quantity {
    fn from(count: u64) -> Self {
        Self {
            text: count.to_string(),
            nanos: i128::from(count) * NANO,
            format: Format::DecimalSi,
        }
    }
}
