//! Rules of quantities. The tables are what apimachinery 0.36 makes of the same texts.

use proptest::prelude::*;

use super::*;

fn read(text: &str) -> Quantity {
    text.parse().unwrap_or_else(|_| panic!("{text}"))
}

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
        ("1e+3", 1000 * NANO),
        ("1E", 1_000_000_000_000_000_000 * NANO),
        ("12e-3", NANO * 12 / 1000),
        // Finer than a nano: away from nothing, once, however many digits there are.
        ("0.1n", 1),
        ("1.5n", 2),
        ("-0.1n", -1),
        ("1e-100", 1),
        ("0.0000000001", 1),
        ("1.0000000000000000000000000000000001", NANO + 1),
        ("1.00000000000000000000000000000000000000000000", NANO),
        // A binary amount ends at 2^63-1.
        ("7Ei", (7_i128 << 60) * NANO),
        ("8Ei", i128::from(i64::MAX) * NANO),
        ("-9Ei", -i128::from(i64::MAX) * NANO),
        ("9223372036854775807Ki", i128::from(i64::MAX) * NANO),
        // A decimal one does not.
        ("9223372036854775808", (i128::from(i64::MAX) + 1) * NANO),
        ("1e20", 100_000_000_000_000_000_000 * NANO),
        ("0e99999", 0),
    ] {
        assert_eq!(text.parse::<Quantity>().map(|q| q.nanos()), Ok(nanos), "{text}");
    }
}

#[test]
fn what_kubernetes_refuses_is_no_quantity() {
    for text in [
        "",
        "1.2.3",
        "1 Gi",
        " 1",
        "1gi",
        "1K",
        "1KI",
        "1i",
        "0x1",
        "1e",
        "1e1.5",
        "1e1m",
        "1e5m",
        "--1",
        "+-1",
        "1mm",
        "1_000",
        "١",
        "NaN",
        "inf",
        "1e99999999999999999999",
    ] {
        assert!(text.parse::<Quantity>().is_err(), "{text}");
    }
}

#[test]
fn what_has_no_digit_or_cannot_be_counted_is_refused_although_kubernetes_takes_it() {
    for text in ["-", "+", ".", "Ki", "m", "1e100", "1e4294967296"] {
        assert!(text.parse::<Quantity>().is_err(), "{text}");
    }
    assert!("1".repeat(300).parse::<Quantity>().is_err());
    assert!(format!("0.{}", "1".repeat(300)).parse::<Quantity>().is_err());
}

#[test]
fn quantities_are_written_back_as_kubernetes_writes_them() {
    for (text, canonical) in [
        ("0", "0"),
        ("00", "0"),
        ("0Ki", "0"),
        ("0e5", "0"),
        ("1000m", "1"),
        ("1.5", "1500m"),
        ("0.1", "100m"),
        ("000.5", "500m"),
        ("1.500", "1500m"),
        ("-0.5", "-500m"),
        ("+2", "2"),
        ("1000", "1k"),
        ("1500", "1500"),
        ("1000k", "1M"),
        ("1000P", "1E"),
        ("1.5E", "1500P"),
        ("1001u", "1001u"),
        ("1.5n", "2n"),
        ("128974848000m", "128974848"),
        ("100000000000000000000", "100E"),
        ("12345678901234567890.5m", "12345678901234567890500u"),
        ("1e3", "1e3"),
        ("1E3", "1e3"),
        ("1e+3", "1e3"),
        ("12e-3", "12e-3"),
        ("15e2", "1500"),
        ("1.2345e2", "123450e-3"),
        ("100e-1", "10"),
        ("4e4", "40e3"),
        ("5e-4", "500e-6"),
        ("1e-12", "1e-9"),
        ("1e20", "100e18"),
        ("1024Ki", "1Mi"),
        ("1025Ki", "1025Ki"),
        ("0.5Ki", "512"),
        ("-0.5Ki", "-512"),
        ("1.1Ki", "1126400m"),
        ("0.0001Ki", "102400u"),
        ("1.5Gi", "1536Mi"),
        ("0.5Gi", "512Mi"),
        ("2048Gi", "2Ti"),
        ("123Mi", "123Mi"),
        ("7Ei", "7Ei"),
        ("8Ei", "9223372036854775807"),
        ("1.7Ei", "1959966557831639859200m"),
    ] {
        assert_eq!(read(text).canonical(), canonical, "{text}");
    }
    // Kubernetes writes "1" here.
    assert_eq!(read("1000E").canonical(), "1000E");
}

#[test]
fn sums_are_exact_and_are_written_as_the_first_that_is_not_nothing() {
    for (a, b, sum) in [
        ("100m", "0.9", "1"),
        ("1Gi", "1G", "2073741824"),
        ("1Gi", "1Gi", "2Gi"),
        ("0", "1Gi", "1Gi"),
        ("1e3", "1", "1001"),
        ("1n", "1E", "1000000000000000000000000001n"),
        ("1Gi", "-1Gi", "0"),
    ] {
        assert_eq!(read(a).checked_add(&read(b)).unwrap().as_str(), sum, "{a} + {b}");
    }
    assert_eq!(read("1Gi").checked_sub(&read("512Mi")).unwrap().as_str(), "512Mi");
    assert_eq!(read("250m").checked_mul(10).unwrap().as_str(), "2500m");
}

#[test]
fn what_is_too_large_to_count_saturates_or_is_none() {
    let most = Quantity::from_nanos(i128::MAX, Format::DecimalSi);
    assert_eq!(most.checked_add(&read("1n")), None);
    assert_eq!(most.checked_mul(2), None);
    assert_eq!(most.plus(&read("1")), most);
    let least = Quantity::from_nanos(i128::MIN, Format::DecimalSi);
    assert_eq!(least.checked_sub(&read("1n")), None);
    assert_eq!(least.minus(&read("1")), least);
    assert!(least.canonical().starts_with("-1701"));
}

#[test]
fn a_resource_list_holds_whole_thousandths() {
    for (text, held) in [
        ("1001u", "2m"),
        ("1n", "1m"),
        ("1e-12", "1e-3"),
        ("0.0001Ki", "103m"),
        ("1.5Gi", "1536Mi"),
        ("100m", "100m"),
        ("0", "0"),
    ] {
        assert_eq!(read(text).in_resource_list().as_str(), held, "{text}");
    }
}

fn quantity() -> impl Strategy<Value = Quantity> {
    let number = prop_oneof![
        "[0-9]{1,4}",
        "[0-9]{0,5}\\.[0-9]{1,12}",
        "[0-9]{1,18}\\.",
        "[1-9][0-9]{0,18}"
    ];
    let suffix = prop_oneof![
        proptest::sample::select(DECIMALS.to_vec()).prop_map(str::to_owned),
        proptest::sample::select(BINARIES.to_vec()).prop_map(str::to_owned),
        (-20..9_i32).prop_map(|exponent| format!("e{exponent}")),
        (0..9_i32).prop_map(|exponent| format!("E+{exponent}")),
    ];
    ("[-+]?", number, suffix).prop_filter_map("18 digits of exa are too many", |(sign, number, suffix)| {
        format!("{sign}{number}{suffix}").parse().ok()
    })
}

const DECIMALS: [&str; 10] = ["n", "u", "m", "", "k", "M", "G", "T", "P", "E"];
const BINARIES: [&str; 6] = ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

proptest! {
    #[test]
    fn the_canonical_form_reads_as_the_same_amount(quantity in quantity()) {
        let again = read(&quantity.canonical());
        prop_assert_eq!(&again, &quantity);
        let third = read(&again.canonical());
        prop_assert_eq!(&third, &quantity);
        // A binary amount that is no multiple of 1Ki is written without a suffix, and then reads as a decimal one.
        if quantity.format() != Format::BinarySi {
            prop_assert_eq!(again.canonical(), quantity.canonical());
        }
        prop_assert_eq!(third.canonical(), again.canonical());
    }

    #[test]
    fn the_canonical_form_has_no_fraction(quantity in quantity()) {
        prop_assert!(!quantity.canonical().contains('.'));
    }

    #[test]
    fn amounts_are_in_the_order_of_their_numbers(a in quantity(), b in quantity()) {
        prop_assert_eq!(a.cmp(&b), a.nanos().cmp(&b.nanos()));
        prop_assert_eq!(a == b, a.nanos() == b.nanos());
        if let Some(difference) = a.checked_sub(&b) {
            prop_assert_eq!(difference.is_negative(), a < b);
        }
    }

    #[test]
    fn the_order_of_a_sum_does_not_matter(a in quantity(), b in quantity(), c in quantity()) {
        let left = a.checked_add(&b).and_then(|sum| sum.checked_add(&c));
        let right = b.checked_add(&c).and_then(|sum| a.checked_add(&sum));
        if let (Some(left), Some(right)) = (left, right) {
            prop_assert_eq!(&left, &right);
            prop_assert_eq!(left.checked_sub(&c).and_then(|rest| rest.checked_sub(&b)), Some(a.clone()));
        }
        prop_assert_eq!(a.checked_add(&b), b.checked_add(&a));
    }

    #[test]
    fn a_product_is_the_sum_of_as_many(a in quantity(), times in 0..20_u64) {
        let mut sum = Some(Quantity::zero());
        for _ in 0..times {
            sum = sum.and_then(|sum| sum.checked_add(&a));
        }
        prop_assert_eq!(sum, a.checked_mul(times));
    }

    #[test]
    fn what_we_print_we_read_back(milli in any::<u32>(), bytes in any::<u32>()) {
        let cpu = Quantity::from(MilliCpu(u64::from(milli)));
        prop_assert_eq!(read(cpu.as_str()).milli_cpu(), MilliCpu(u64::from(milli)));
        let memory = Quantity::from(Bytes(u64::from(bytes)));
        prop_assert_eq!(read(memory.as_str()).bytes(), Bytes(u64::from(bytes)));
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,40}") {
        let _ = text.parse::<Quantity>();
    }
}
