//! `cargo xtask bench`: runs the bench program, optimised.

use crate::run::{cargo, run};

pub(crate) fn bench(arguments: &[String]) -> anyhow::Result<()> {
    run(cargo()
        .args([
            "run",
            "--release",
            "--package",
            "berth-tests",
            "--bin",
            "bench",
            "--",
        ])
        .args(arguments))
}
