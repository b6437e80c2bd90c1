//! What a newcomer waits for: a cold build into an empty target folder, then `berth dev` until everything is Ready.

use anyhow::{Context as _, ensure};
use berth_tests::waiting::Watch;
use berth_tests::world::workspace;
use tokio::process::Command;

use crate::report::Table;

pub(crate) async fn measure() -> anyhow::Result<Table> {
    let directory = tempfile::tempdir().context("make a directory")?;
    let target = directory.path().join("target");
    let cargo = |arguments: &[&str]| {
        let mut command = Command::new("cargo");
        command
            .current_dir(workspace())
            .env("CARGO_TARGET_DIR", &target)
            .args(arguments)
            .kill_on_drop(true);
        command
    };
    let mut table = Table::default();
    let watch = Watch::start();
    let status = cargo(&["build", "--release"]).status().await.context("build")?;
    ensure!(status.success(), "the build fails ({status})");
    table.line(
        "cold release build",
        format!("{:.0} s", watch.elapsed().as_secs_f64()),
        "under 8 min",
        "",
    );

    let data = directory.path().join("data").display().to_string();
    let run = [
        "run",
        "--release",
        "--",
        "dev",
        "--exit-when-ready",
        "--data-dir",
        &data,
    ];
    let watch = Watch::start();
    let status = cargo(&run).status().await.context("run")?;
    ensure!(status.success(), "`berth dev` fails ({status})");
    table.line(
        "`berth dev` until all is Ready",
        format!("{:.1} s", watch.elapsed().as_secs_f64()),
        "under 15 s",
        "",
    );
    Ok(table)
}
