//! Where the programs of a control plane are: the environment first, then the cache that `cargo xtask control-plane` fills.

use std::fmt;
use std::path::{Path, PathBuf};

/// The version of Kubernetes that the cache holds.
pub const VERSION: &str = "v1.36.3";

/// A program of a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Binary {
    /// The store.
    Etcd,
    /// What puts a store back from a snapshot.
    Etcdutl,
    /// The API.
    Apiserver,
    /// The controllers: quotas, namespaces, workloads.
    ControllerManager,
    /// The scheduler.
    Scheduler,
    /// The player of nodes and pods.
    Kwok,
    /// The command line.
    Kubectl,
}

impl Binary {
    /// Every program.
    pub const ALL: [Self; 7] = [
        Self::Etcd,
        Self::Etcdutl,
        Self::Apiserver,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kwok,
        Self::Kubectl,
    ];

    /// The name of its file.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Etcdutl => "etcdutl",
            Self::Apiserver => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kwok => "kwok",
            Self::Kubectl => "kubectl",
        }
    }

    /// Whether a control plane cannot do without it.
    #[must_use]
    pub fn is_required(self) -> bool {
        matches!(self, Self::Etcd | Self::Apiserver)
    }
}

impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.file_name())
    }
}

/// The programs that were found. etcd and kube-apiserver are always among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binaries {
    found: Vec<(Binary, PathBuf)>,
}

/// There is no kube-apiserver with its etcd on this machine, or not where the environment says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no kube-apiserver with etcd in {}; run `cargo xtask control-plane`, or set BERTH_CONTROL_PLANE to a directory that has them",
    list(looked_in)
)]
pub struct NotFound {
    /// The directories that were tried, in order.
    pub looked_in: Vec<PathBuf>,
}

fn list(paths: &[PathBuf]) -> String {
    if paths.is_empty() {
        return "any known place".to_owned();
    }
    paths
        .iter()
        .map(|path| format!("`{}`", path.display()))
        .collect::<Vec<_>>()
        .join(", ")
}

impl Binaries {
    /// Looks in `BERTH_CONTROL_PLANE`, then `KUBEBUILDER_ASSETS`, then the cache.
    ///
    /// etcd and kube-apiserver come from one directory, the others from the first that has them. A directory in
    /// `BERTH_CONTROL_PLANE` is a decision: where it lacks the two, nothing else is tried.
    ///
    /// # Errors
    /// None of them has both etcd and kube-apiserver.
    pub fn find() -> Result<Self, NotFound> {
        #[expect(
            clippy::disallowed_methods,
            reason = "the environment is where these directories are configured"
        )]
        let directory = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let cache = directory("XDG_CACHE_HOME")
            .or_else(|| directory("HOME").map(|home| home.join(".cache")))
            .map(|cache| cache_in(&cache));
        if let Some(chosen) = directory("BERTH_CONTROL_PLANE") {
            Self::in_directories(std::slice::from_ref(&chosen))?;
            return Self::in_directories(&[Some(chosen), cache].into_iter().flatten().collect::<Vec<_>>());
        }
        let candidates = [directory("KUBEBUILDER_ASSETS"), cache];
        Self::in_directories(&candidates.into_iter().flatten().collect::<Vec<_>>())
    }

    /// Looks in these directories alone, in this order.
    ///
    /// # Errors
    /// None of them has both etcd and kube-apiserver.
    pub fn in_directories(directories: &[PathBuf]) -> Result<Self, NotFound> {
        let has = |directory: &Path, binary: Binary| directory.join(binary.file_name()).is_file();
        let required = || Binary::ALL.into_iter().filter(|binary| binary.is_required());
        let Some(main) = directories
            .iter()
            .find(|directory| required().all(|binary| has(directory, binary)))
        else {
            return Err(NotFound {
                looked_in: directories.to_vec(),
            });
        };
        let found = Binary::ALL
            .into_iter()
            .filter_map(|binary| {
                let directory = [main]
                    .into_iter()
                    .chain(directories)
                    .find(|directory| has(directory, binary))?;
                Some((binary, directory.join(binary.file_name())))
            })
            .collect();
        Ok(Self { found })
    }

    /// Where this program is, if it was found.
    #[must_use]
    pub fn path(&self, binary: Binary) -> Option<&Path> {
        self.found
            .iter()
            .find(|(candidate, _)| *candidate == binary)
            .map(|(_, path)| path.as_path())
    }

    /// The programs that were not found.
    #[must_use]
    pub fn missing(&self) -> Vec<Binary> {
        Binary::ALL
            .into_iter()
            .filter(|binary| self.path(*binary).is_none())
            .collect()
    }

    pub(super) fn require(&self, binary: Binary) -> Result<&Path, super::Error> {
        self.path(binary).ok_or(super::Error::Missing { binary })
    }
}

/// The directory of this version's programs inside the user's cache directory.
#[must_use]
pub fn cache_in(user_cache: &Path) -> PathBuf {
    user_cache.join("berth").join("control-plane").join(VERSION)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory_with(binaries: &[Binary]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a temporary directory");
        for binary in binaries {
            std::fs::write(directory.path().join(binary.file_name()), "").expect("a file");
        }
        directory
    }

    #[test]
    fn the_first_directory_with_both_required_programs_wins_and_others_fill_its_gaps() {
        let incomplete = directory_with(&[Binary::Apiserver, Binary::Kwok]);
        let complete = directory_with(&[Binary::Apiserver, Binary::Etcd]);
        let found =
            Binaries::in_directories(&[incomplete.path().into(), complete.path().into()]).expect("found");
        assert_eq!(
            found.path(Binary::Apiserver),
            Some(&*complete.path().join("kube-apiserver"))
        );
        assert_eq!(found.path(Binary::Kwok), Some(&*incomplete.path().join("kwok")));
        assert_eq!(
            found.missing(),
            [
                Binary::Etcdutl,
                Binary::ControllerManager,
                Binary::Scheduler,
                Binary::Kubectl
            ]
        );
    }

    #[test]
    fn a_failed_search_names_where_it_looked_and_what_to_run() {
        let error =
            Binaries::in_directories(&["/nowhere/a".into(), "/nowhere/b".into()]).expect_err("nothing there");
        let message = error.to_string();
        assert!(message.contains("`/nowhere/a`, `/nowhere/b`"), "{message}");
        assert!(message.contains("cargo xtask control-plane"), "{message}");
    }
}
