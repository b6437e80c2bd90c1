//! `cargo xtask fuzz`: runs the fuzzer.

use crate::run::{cargo, run};

pub(crate) fn fuzz(arguments: &[String]) -> anyhow::Result<()> {
    run(cargo()
        .args(["run", "--package", "berth-tests", "--bin", "fuzz", "--"])
        .args(arguments))
}
