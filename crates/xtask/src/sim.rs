//! `cargo xtask sim`: runs the simulation of whole fleets, optimised.

use crate::run::{cargo, run};

pub(crate) fn sim(arguments: &[String]) -> anyhow::Result<()> {
    run(cargo()
        .args(["run", "--release", "--package", "berth-sim", "--"])
        .args(arguments))
}
