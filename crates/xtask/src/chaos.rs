//! `cargo xtask chaos`: the programs with their failpoints, and the chaos program that does them harm.

use std::process::Command;

use anyhow::Context as _;

use crate::control_plane;
use crate::run::run;
use crate::tools::{cargo_with_protoc, everything};
use crate::{Chaos, ControlPlane};

pub(crate) fn chaos(options: &Chaos) -> anyhow::Result<()> {
    let wanted = ControlPlane {
        dir: None,
        download_base: None,
    };
    let directory = control_plane::obtain(&wanted)?;
    // What is harmed runs beside the program that harms it.
    run(cargo_with_protoc()?
        .args(["build", "--bins"])
        .args(everything(&[])))?;
    let own = std::env::current_exe().context("find the own program")?;
    let mut command = Command::new(own.with_file_name("chaos"));
    command.args(&options.arguments);
    if let Some(directory) = directory {
        command.env("BERTH_CONTROL_PLANE", directory);
    }
    run(&mut command)
}
