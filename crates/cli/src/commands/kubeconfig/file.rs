//! The file a kubeconfig goes into: whole or not at all, for its owner alone, and never in place of somebody else's.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use crate::exit::{Exit, Failure};

/// How each file begins that this command writes.
pub(super) const HEADER: &str = "# berth kubeconfig";

/// Whether the file may be written: it is not there, or is of this command.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let mut head = Vec::new();
    match File::open(path).and_then(|file| file.take(HEADER.len() as u64).read_to_end(&mut head)) {
        Ok(_) if head == HEADER.as_bytes() || head.is_empty() => Ok(()),
        Ok(_) => Err(Failure::new(
            Exit::Conflict,
            format!(
                "{0} is there and was not written by berth kubeconfig; name another file, and use both with KUBECONFIG={0}:FILE",
                path.display()
            ),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(unwritable(path, &error)),
    }
}

/// Writes it beside its place and moves it there, so that it is never half there nor ever readable for others.
pub(super) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let beside = beside(path);
    // What an earlier call left that was killed.
    drop(fs::remove_file(&beside));
    let written = create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    written.map_err(|error| {
        drop(fs::remove_file(&beside));
        unwritable(path, &error)
    })
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{}", std::process::id()))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Exit::Failure, format!("write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_is_for_its_owner_alone_and_is_replaced_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acme.kubeconfig");
        for text in ["# berth kubeconfig one", "# berth kubeconfig two"] {
            check(&path).unwrap();
            write(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let left: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[test]
    fn a_file_of_somebody_else_is_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config");
        fs::write(&path, "apiVersion: v1\nkind: Config\n").unwrap();
        let failure = check(&path).unwrap_err();
        assert_eq!(failure.exit, Exit::Conflict);
        assert!(failure.lines[0].contains("name another file"), "{failure:?}");
    }

    #[test]
    fn a_directory_that_is_not_there_is_a_failure_that_names_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("none").join("config");
        check(&path).unwrap();
        let failure = write(&path, "x").unwrap_err();
        assert!(failure.lines[0].contains("none/config"), "{failure:?}");
    }
}
