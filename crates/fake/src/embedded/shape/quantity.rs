//! Kubernetes quantities: read, added, compared and written in the canonical form (`1000m` is `1`, `1024Ki` is `1Mi`).

/// A quantity in thousandths, with the family of suffixes it was written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quantity {
    milli: i128,
    binary: bool,
}

const BINARY: [(&str, u32); 6] = [
    ("Ki", 10),
    ("Mi", 20),
    ("Gi", 30),
    ("Ti", 40),
    ("Pi", 50),
    ("Ei", 60),
];
const DECIMAL: [(&str, i32); 9] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

impl Quantity {
    pub(crate) const ZERO: Self = Self {
        milli: 0,
        binary: false,
    };

    /// A whole number of something.
    pub(crate) fn count(n: usize) -> Self {
        Self {
            milli: i128::try_from(n).unwrap_or(i128::MAX / 1000).saturating_mul(1000),
            binary: false,
        }
    }

    /// Reads a quantity; fractions below a thousandth round up, as Kubernetes does for `n` and `u` at rest in quotas.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let split = text
            .char_indices()
            .find(|(i, c)| {
                let sign = (*c == '+' || *c == '-') && *i == 0;
                !(c.is_ascii_digit() || *c == '.' || sign)
            })
            .map_or(text.len(), |(i, _)| i);
        let (digits, suffix) = text.split_at(split);
        let (negative, digits) = match digits.as_bytes().first()? {
            b'-' => (true, &digits[1..]),
            b'+' => (false, &digits[1..]),
            _ => (false, digits),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
        let (binary, numerator, mut exponent) = scale(suffix)?;
        exponent += 3 - i32::try_from(fraction.len()).ok()?;
        let value = mantissa.checked_mul(numerator)?;
        let milli = if exponent >= 0 {
            value.checked_mul(10i128.checked_pow(u32::try_from(exponent).ok()?)?)?
        } else {
            let divisor = 10i128.checked_pow(exponent.unsigned_abs())?;
            value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) != 0)
        };
        Some(Self {
            milli: if negative { -milli } else { milli },
            binary,
        })
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        let binary = if self.milli == 0 {
            other.binary
        } else {
            self.binary
        };
        Self {
            milli: self.milli.saturating_add(other.milli),
            binary,
        }
    }

    pub(crate) fn exceeds(self, other: Self) -> bool {
        self.milli > other.milli
    }

    /// The canonical form.
    pub(crate) fn text(self) -> String {
        let sign = if self.milli < 0 { "-" } else { "" };
        let milli = self.milli.unsigned_abs();
        if milli == 0 {
            return "0".into();
        }
        if self.binary && milli.is_multiple_of(1000) && milli / 1000 >= 1024 {
            let whole = milli / 1000;
            let suffix = BINARY
                .iter()
                .rev()
                .find(|(_, bits)| whole.trailing_zeros() >= *bits);
            return suffix.map_or_else(
                || format!("{sign}{whole}"),
                |(suffix, bits)| format!("{sign}{}{suffix}", whole >> bits),
            );
        }
        if !milli.is_multiple_of(1000) {
            return format!("{sign}{milli}m");
        }
        let mut whole = milli / 1000;
        let mut suffix = "";
        for (next, _) in DECIMAL.iter().filter(|(_, e)| *e > 0) {
            if self.binary || !whole.is_multiple_of(1000) {
                break;
            }
            whole /= 1000;
            suffix = next;
        }
        format!("{sign}{whole}{suffix}")
    }
}

fn scale(suffix: &str) -> Option<(bool, i128, i32)> {
    if suffix.is_empty() {
        return Some((false, 1, 0));
    }
    if let Some((_, bits)) = BINARY.iter().find(|(s, _)| *s == suffix) {
        return Some((true, 1 << bits, 0));
    }
    if let Some((_, exponent)) = DECIMAL.iter().find(|(s, _)| *s == suffix) {
        return Some((false, 1, *exponent));
    }
    let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    (exponent.abs() <= 18).then_some((false, 1, exponent))
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn equal_quantities_have_one_spelling() {
        for (written, canonical) in [
            ("1000m", "1"),
            ("0.5", "500m"),
            ("1024Ki", "1Mi"),
            ("1Gi", "1Gi"),
            ("1.5Gi", "1536Mi"),
            ("1000", "1k"),
            ("100M", "100M"),
            ("1e3", "1k"),
            ("0", "0"),
            ("512", "512"),
            ("500Ki", "500Ki"),
        ] {
            assert_eq!(
                Quantity::parse(written).map(Quantity::text).as_deref(),
                Some(canonical),
                "{written}"
            );
        }
    }

    #[test]
    fn nonsense_is_no_quantity() {
        for text in ["", "abc", "1Qi", "1 Gi", "--1"] {
            assert_eq!(Quantity::parse(text), None, "{text:?}");
        }
    }
}
