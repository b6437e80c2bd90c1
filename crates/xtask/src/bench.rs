//! `cargo xtask build` and `cargo xtask bench`: the programs with everything in them, and the bench program that measures them.

use crate::run::{cargo, run};
use crate::tools::{PROGRAMS, cargo_with_protoc, everything};

pub(crate) fn build(arguments: &[String]) -> anyhow::Result<()> {
    run(cargo_with_protoc()?
        .arg("build")
        .args(everything(&PROGRAMS))
        .args(arguments))
}

pub(crate) fn bench(arguments: &[String]) -> anyhow::Result<()> {
    // What is measured runs beside the program that measures.
    build(&["--release".to_owned()])?;
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
