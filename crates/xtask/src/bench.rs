//! `cargo xtask bench`: runs the bench program, optimised.

use crate::run::{cargo, run};

pub(crate) fn bench(arguments: &[String]) -> anyhow::Result<()> {
    // What is measured runs beside the program that measures.
    run(cargo().args([
        "build",
        "--release",
        "--package",
        "berth",
        "--package",
        "berth-hub",
        "--package",
        "berth-agent",
    ]))?;
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
