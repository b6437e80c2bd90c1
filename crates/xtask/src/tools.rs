//! Programs of other languages that checks need, built by Go into the user's cache.

use std::path::PathBuf;
use std::process::Command;

use crate::control_plane::cache;
use crate::run::{exists, run};

const BUF_VERSION: &str = "v1.60.0";

/// The `buf` of this machine, or the one in the cache, built there if needed; none where it cannot be built either.
pub(crate) fn buf() -> anyhow::Result<Option<PathBuf>> {
    if exists("buf", "--version") {
        return Ok(Some("buf".into()));
    }
    let directory = cache()?.join("tools").join(format!("buf-{BUF_VERSION}"));
    let program = directory.join("buf");
    if !program.is_file() {
        if !exists("go", "version") {
            return Ok(None);
        }
        // Go writes the program under its final name only when it is complete.
        run(Command::new("go")
            .args([
                "install",
                &format!("github.com/bufbuild/buf/cmd/buf@{BUF_VERSION}"),
            ])
            .env("GOBIN", &directory)
            .env("CGO_ENABLED", "0"))?;
    }
    Ok(Some(program))
}
