//! An etcd that its operator puts back to an earlier state: by a copy of its data directories, or by `etcdutl snapshot restore`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{EtcdCluster, Member};
use crate::control_plane::{Binaries, Binary, Error};

/// Arguments of a member that tell `etcdutl` who it is.
const IDENTITY: [&str; 4] = [
    "--name=",
    "--data-dir=",
    "--initial-cluster=",
    "--initial-advertise-peer-urls=",
];

impl EtcdCluster {
    /// Copies what the members have written to `to`. They must not run.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn copy_data(&self, to: &Path) -> Result<(), Error> {
        for (at, member) in self.members.iter().enumerate() {
            copy(&member.data(), &to.join(format!("m{at}")))?;
        }
        Ok(())
    }

    /// Puts what [`Self::copy_data`] has copied in the place of what the members have. They must not run.
    ///
    /// # Errors
    /// It cannot be read or written.
    pub fn put_data_back(&self, from: &Path) -> Result<(), Error> {
        for (at, member) in self.members.iter().enumerate() {
            remove(&member.data())?;
            copy(&from.join(format!("m{at}")), &member.data())?;
        }
        Ok(())
    }

    /// Puts all members back to a snapshot that was saved through etcd's maintenance interface, as `etcdutl` does with further
    /// `arguments`. They must not run.
    ///
    /// # Errors
    /// There is no `etcdutl`, or it refuses.
    pub async fn restore_snapshot(
        &self,
        binaries: &Binaries,
        snapshot: &Path,
        arguments: &[&str],
    ) -> Result<(), Error> {
        let program = binaries.require(Binary::Etcdutl)?;
        for member in &self.members {
            remove(&member.data())?;
            let identity = member
                .arguments
                .iter()
                .filter(|argument| IDENTITY.iter().any(|name| argument.starts_with(name)));
            let ended = tokio::process::Command::new(program)
                .args(["snapshot", "restore"])
                .arg(snapshot)
                .args(identity)
                // Members of the etcd that was must not take it for theirs.
                .arg("--initial-cluster-token=restored")
                .args(arguments)
                .output()
                .await
                .map_err(|source| Error::Spawn {
                    program: program.display().to_string(),
                    source,
                })?;
            if !ended.status.success() {
                return Err(Error::Stopped {
                    binary: Binary::Etcdutl,
                    status: ended.status.to_string(),
                    log: String::from_utf8_lossy(&ended.stderr).into_owned(),
                });
            }
        }
        Ok(())
    }
}

impl Member {
    fn data(&self) -> PathBuf {
        self.logs.join("data")
    }
}

fn remove(path: &Path) -> Result<(), Error> {
    fs::remove_dir_all(path).map_err(Error::files("remove", path))
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(Error::files("create", to))?;
    for entry in fs::read_dir(from).map_err(Error::files("read", from))? {
        let from = entry.map_err(Error::files("read", from))?.path();
        let to = to.join(from.file_name().unwrap_or_default());
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to).map_err(Error::files("copy", &from))?;
        }
    }
    Ok(())
}
