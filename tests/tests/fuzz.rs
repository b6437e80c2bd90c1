//! Everything that ever broke a reader, and what leads to each of its answers, once more; and a few seconds of new inputs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

use std::time::Duration;

use berth_tests::fuzz::{self, TARGETS};

#[test]
fn no_kept_input_breaks_its_reader() {
    for target in TARGETS {
        let kept = fuzz::kept(target).unwrap();
        assert!(!kept.is_empty(), "{} has no corpus", target.name);
        for (name, input) in kept {
            if let Err(how) = fuzz::one(target, &input) {
                panic!("{}/{name} {how}", target.name);
            }
        }
    }
}

#[test]
fn a_second_of_new_inputs_breaks_no_reader() {
    for (number, target) in TARGETS.iter().enumerate() {
        let mut seeds = (target.seeds)();
        seeds.extend(fuzz::kept(target).unwrap().into_values());
        // Another seed with every commit would be no test; longer runs are `cargo xtask fuzz`.
        let outcome = fuzz::run(target, seeds, Duration::from_secs(1), 7 + number as u64);
        assert!(outcome.tried > 10, "{}", target.name);
        assert!(outcome.broken.is_empty(), "{}: {:?}", target.name, outcome.broken);
    }
}
