//! Where the programs under test are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};

/// The directory with `berth`, `berth-hub` and `berth-agent`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    directory: PathBuf,
}

impl Programs {
    /// Takes the directory in `BERTH_BIN_DIR`, or else the one cargo built this program into.
    ///
    /// # Errors
    /// A program is missing there.
    pub fn find() -> anyhow::Result<Self> {
        #[expect(clippy::disallowed_methods, reason = "configuration of the tests")]
        let chosen = std::env::var_os("BERTH_BIN_DIR").filter(|directory| !directory.is_empty());
        let directory = match chosen {
            Some(directory) => PathBuf::from(directory),
            None => {
                let own = std::env::current_exe().context("find the own program")?;
                built_beside(&own).with_context(|| format!("no directory above {}", own.display()))?
            }
        };
        let programs = Self { directory };
        for name in ["berth", "berth-hub", "berth-agent"] {
            let path = programs.directory.join(name);
            ensure!(
                path.is_file(),
                "there is no {}; run `cargo build --workspace --bins` first, or `cargo xtask test` which does",
                path.display()
            );
        }
        Ok(programs)
    }

    /// The command line.
    #[must_use]
    pub fn cli(&self) -> PathBuf {
        self.directory.join("berth")
    }

    /// The hub.
    #[must_use]
    pub fn hub(&self) -> PathBuf {
        self.directory.join("berth-hub")
    }

    /// The agent.
    #[must_use]
    pub fn agent(&self) -> PathBuf {
        self.directory.join("berth-agent")
    }
}

/// Tests lie in `target/PROFILE/deps`, programs in `target/PROFILE`.
fn built_beside(own: &Path) -> Option<PathBuf> {
    let directory = own.parent()?;
    if directory.file_name().is_some_and(|name| name == "deps") {
        return directory.parent().map(Path::to_owned);
    }
    Some(directory.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_lie_beside_the_bench_and_one_above_tests() {
        let above = Path::new("/target/debug");
        assert_eq!(
            built_beside(Path::new("/target/debug/deps/system-1")).as_deref(),
            Some(above)
        );
        assert_eq!(
            built_beside(Path::new("/target/debug/bench")).as_deref(),
            Some(above)
        );
    }
}
