//! Why a store could not be opened, and what an operator does next.

use std::path::{Path, PathBuf};

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("store {} is in use{}", dir.display(), holder.map(|pid| format!(" by process {pid}")).unwrap_or_default())]
    Locked {
        /// The store's directory.
        dir: PathBuf,
        /// The other process, when it has said so.
        holder: Option<u32>,
    },
    /// There is no store.
    #[error("there is no store in {}", dir.display())]
    Missing {
        /// Where it was looked for.
        dir: PathBuf,
    },
    /// The store is not what was acknowledged. It is not opened, so that nothing is missed silently.
    #[error("store {} is damaged: {finding}", dir.display())]
    Damaged {
        /// The store's directory.
        dir: PathBuf,
        /// What does not add up.
        finding: String,
    },
    /// A newer Berth wrote it.
    #[error("store {} has schema {found}, this version reads up to {supported}", dir.display())]
    NewerSchema {
        /// The store's directory.
        dir: PathBuf,
        /// The store's.
        found: u16,
        /// Ours.
        supported: u16,
    },
    /// The directory cannot be used.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

impl OpenError {
    pub(super) fn io(operation: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            operation,
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn damaged(dir: &Path, finding: impl Into<String>) -> Self {
        Self::Damaged {
            dir: dir.to_owned(),
            finding: finding.into(),
        }
    }

    /// The same of another directory: of the original, when this is of its copy.
    pub(super) fn about(mut self, original: &Path) -> Self {
        match &mut self {
            Self::Locked { dir, .. }
            | Self::Missing { dir }
            | Self::Damaged { dir, .. }
            | Self::NewerSchema { dir, .. } => original.clone_into(dir),
            Self::Io { .. } => {}
        }
        self
    }

    /// What a process that cannot go on without its store exits with (sysexits.h): 78 when somebody must repair something,
    /// 75 when trying again later can help, 66 when there is nothing, 74 when the disk or its permissions are at fault.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Damaged { .. } | Self::NewerSchema { .. } => 78,
            Self::Locked { .. } => 75,
            Self::Missing { .. } => 66,
            Self::Io { .. } => 74,
        }
    }

    /// What to do, with the command to do it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Locked {
                holder: Some(pid), ..
            } => format!("stop process {pid} first, or use another directory"),
            Self::Locked { holder: None, .. } => {
                "stop the other process first, or use another directory".into()
            }
            Self::Missing { .. } => "name the data directory of a hub, or the directory of a store".into(),
            Self::NewerSchema { dir, .. } => {
                let dir = quoted(home(dir));
                format!(
                    "start the version that wrote it, or a newer one; going back needs a backup made before: \
                     `berth store restore --from BACKUP --data-dir {dir} --replace`"
                )
            }
            Self::Damaged { dir, .. } => {
                let dir = quoted(home(dir));
                format!(
                    "see what can be read with `berth store verify --data-dir {dir}`; put a backup in its place with \
                     `berth store restore --from BACKUP --data-dir {dir} --replace`, which keeps what is there beside it. Until then \
                     nothing changes in any cluster"
                )
            }
            Self::Io { path, .. } => {
                format!("check the permissions and the free space of {}", path.display())
            }
        }
    }
}

/// What a hub calls its data directory: the store is in its `store`.
fn home(dir: &Path) -> &Path {
    match dir.parent() {
        Some(home) if dir.ends_with("store") && home != Path::new("") => home,
        Some(_) if dir.ends_with("store") => Path::new("."),
        _ => dir,
    }
}

/// As a shell takes it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_prints_the_commands_to_repair_it() {
        for (dir, named) in [
            ("/var/lib/berth/store", "/var/lib/berth"),
            ("store", "."),
            ("/srv/other", "/srv/other"),
            ("/my data/it's/store", "'/my data/it'\\''s'"),
        ] {
            for error in [
                OpenError::damaged(Path::new(dir), "x"),
                OpenError::NewerSchema {
                    dir: dir.into(),
                    found: 9,
                    supported: 2,
                },
            ] {
                let hint = error.hint();
                let restore = format!("`berth store restore --from BACKUP --data-dir {named} --replace`");
                assert!(hint.contains(&restore), "{hint}");
                assert_eq!(error.exit_code(), 78);
            }
            let hint = OpenError::damaged(Path::new(dir), "x").hint();
            assert!(
                hint.contains(&format!("`berth store verify --data-dir {named}`")),
                "{hint}"
            );
        }
    }
}
