//! From text to an amount: exact whatever the number of digits, rounded once.

use std::str::FromStr;

use super::{Format, InvalidQuantity, NANO, Quantity};

/// Suffixes that stand for powers of ten.
pub(super) const DECIMAL: [(&str, i32); 10] = [
    ("n", -9),
    ("u", -6),
    ("m", -3),
    ("", 0),
    ("k", 3),
    ("M", 6),
    ("G", 9),
    ("T", 12),
    ("P", 15),
    ("E", 18),
];

/// Suffixes that stand for powers of two.
pub(super) const BINARY: [(&str, u32); 6] = [
    ("Ki", 10),
    ("Mi", 20),
    ("Gi", 30),
    ("Ti", 40),
    ("Pi", 50),
    ("Ei", 60),
];

/// No amount that anybody means is written longer.
const LONGEST: usize = 256;

/// Most of a binary amount, in nanos.
const MOST_BINARY: i128 = (i64::MAX as i128) * NANO;

impl FromStr for Quantity {
    type Err = InvalidQuantity;

    fn from_str(text: &str) -> Result<Self, InvalidQuantity> {
        let (nanos, format) = read(text).ok_or_else(|| InvalidQuantity(text.to_owned()))?;
        Ok(Self {
            text: text.to_owned(),
            nanos,
            format,
        })
    }
}

fn read(text: &str) -> Option<(i128, Format)> {
    if text.len() > LONGEST {
        return None;
    }
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let end = unsigned
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(unsigned.len());
    let (number, suffix) = unsigned.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let (exponent, shift, mut format) = scale(suffix)?;
    // value = digits * 10^(exponent - places) * 2^shift, and a unit is 10^9 nanos
    let places = i64::try_from(fraction.len()).ok()?;
    let digits = whole.bytes().chain(fraction.bytes()).map(|digit| digit - b'0');
    let mut nanos = scaled(digits, exponent.checked_sub(places)?.checked_add(9)?, shift)?;
    if format == Format::BinarySi {
        nanos = nanos.min(MOST_BINARY);
        if nanos < NANO && nanos != 0 {
            format = Format::DecimalSi;
        }
    }
    Some((if negative { -nanos } else { nanos }, format))
}

fn scale(suffix: &str) -> Option<(i64, u32, Format)> {
    if let Some((_, exponent)) = DECIMAL.iter().find(|(known, _)| *known == suffix) {
        return Some((i64::from(*exponent), 0, Format::DecimalSi));
    }
    if let Some((_, shift)) = BINARY.iter().find(|(known, _)| *known == suffix) {
        return Some((0, *shift, Format::BinarySi));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
    Some((exponent, 0, Format::DecimalExponent))
}

/// `digits * 10^power * 2^shift`, rounded up; none when it is too large to count.
fn scaled(digits: impl Iterator<Item = u8>, power: i64, shift: u32) -> Option<i128> {
    let mut value = Natural::default();
    for digit in digits {
        value.multiply_and_add(10, digit.into());
    }
    for _ in 0..shift {
        value.multiply_and_add(2, 0);
    }
    let mut rest = false;
    let mut power = if value.is_zero() { 0 } else { power };
    while power > 0 {
        // Every step makes it larger, so an absurd power ends soon.
        value.multiply_and_add(10, 0);
        value.to_i128()?;
        power -= 1;
    }
    while power < 0 && !value.is_zero() {
        rest |= value.divide_by_ten() != 0;
        power += 1;
    }
    value.to_i128()?.checked_add(i128::from(rest))
}

/// A whole number of any size, lowest part first, no zero at the end.
#[derive(Default)]
struct Natural(Vec<u32>);

impl Natural {
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }

    fn multiply_and_add(&mut self, by: u32, plus: u32) {
        let mut carry = u64::from(plus);
        for part in &mut self.0 {
            carry += u64::from(*part) * u64::from(by);
            *part = low(carry);
            carry >>= 32;
        }
        if carry > 0 {
            self.0.push(low(carry));
        }
    }

    /// Says what is left over.
    fn divide_by_ten(&mut self) -> u64 {
        let mut rest = 0;
        for part in self.0.iter_mut().rev() {
            let value = (rest << 32) | u64::from(*part);
            *part = low(value / 10);
            rest = value % 10;
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        rest
    }

    fn to_i128(&self) -> Option<i128> {
        if self.0.len() > 4 {
            return None;
        }
        let whole = self
            .0
            .iter()
            .rev()
            .fold(0_u128, |whole, part| (whole << 32) | u128::from(*part));
        i128::try_from(whole).ok()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is asked for"
)]
const fn low(value: u64) -> u32 {
    value as u32
}
