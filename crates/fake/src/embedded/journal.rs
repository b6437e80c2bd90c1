//! The journal: every write of a cluster as a line of a file, replayed at the next start.
//!
//! It survives the end of the process, not of the machine: lines are written at once and not synced. A last line that was
//! cut short is dropped. Opening rewrites the file to what is alive.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::access::private_file;
use super::failure::Error;
use super::kinds::{Kind, by_kind};
use super::store::{Name, Store};

const FILE: &str = "journal.jsonl";

/// An open journal.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    broken: bool,
}

impl Journal {
    pub(crate) fn put(&mut self, kind: &Kind, json: &[u8]) {
        let head = format!(
            "{{\"group\":\"{}\",\"kind\":\"{}\",\"put\":",
            kind.group, kind.kind
        );
        self.write(&[head.as_bytes(), json, b"}\n"].concat());
    }

    pub(crate) fn remove(&mut self, kind: &Kind, name: &Name, revision: u64) {
        let line = json!({
            "group": kind.group, "kind": kind.kind,
            "remove": {"namespace": name.namespace, "name": name.name, "revision": revision},
        });
        self.write(format!("{line}\n").as_bytes());
    }

    fn write(&mut self, line: &[u8]) {
        if self.broken {
            return;
        }
        if let Err(error) = self.file.write_all(line) {
            self.broken = true;
            tracing::error!(path = %self.path.display(), %error, "journal cannot be written; the next start continues from an older state");
        }
    }
}

/// Opens the store kept in a directory, or an empty one kept nowhere.
///
/// # Errors
/// When the journal cannot be read or written, or a line of it (other than a cut last one) makes no sense.
pub(crate) fn open(directory: Option<&Path>) -> Result<Store, Error> {
    let mut store = Store::new(None);
    let Some(directory) = directory else {
        return Ok(store);
    };
    fs::create_dir_all(directory).map_err(failed("create", directory))?;
    let path = directory.join(FILE);
    if path.exists() {
        let text = fs::read(&path).map_err(failed("read", &path))?;
        replay(&mut store, &text).map_err(|problem| Error::Damaged {
            path: path.clone(),
            problem,
        })?;
    }
    let fresh = directory.join("journal.new");
    let mut out = BufWriter::new(private_file(&fresh).map_err(failed("create", &fresh))?);
    let revision = json!({"revision": store.revision()});
    let mut written = writeln!(out, "{revision}");
    for (kind, stored) in store.everything() {
        let head = format!(
            "{{\"group\":\"{}\",\"kind\":\"{}\",\"put\":",
            kind.group, kind.kind
        );
        written = written.and_then(|()| out.write_all(&[head.as_bytes(), &stored.json, b"}\n"].concat()));
    }
    written
        .and_then(|()| out.flush())
        .map_err(failed("write", &fresh))?;
    drop(out);
    fs::rename(&fresh, &path).map_err(failed("replace", &path))?;
    let file = OpenOptions::new()
        .append(true)
        .open(&path)
        .map_err(failed("open", &path))?;
    store.keep(Journal {
        file,
        path,
        broken: false,
    });
    Ok(store)
}

fn failed(operation: &'static str, path: &Path) -> impl Fn(std::io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File {
        operation,
        path: path.clone(),
        source,
    }
}

fn replay(store: &mut Store, text: &[u8]) -> Result<(), String> {
    let Some(end) = text.iter().rposition(|b| *b == b'\n') else {
        return Ok(());
    };
    for (index, line) in text[..end].split(|b| *b == b'\n').enumerate() {
        let number = index + 1;
        let line: Value = serde_json::from_slice(line).map_err(|e| format!("line {number}: {e}"))?;
        if let Some(revision) = line["revision"].as_u64() {
            store.unrestore(super::kinds::namespace(), &Name::default(), revision);
            continue;
        }
        let (group, kind) = (
            line["group"].as_str().unwrap_or_default(),
            line["kind"].as_str().unwrap_or_default(),
        );
        let kind = by_kind(group, kind).ok_or_else(|| format!("line {number}: unknown kind {kind:?}"))?;
        if line["put"].is_object() {
            store.restore(kind, &line["put"]);
        } else {
            let gone = &line["remove"];
            let name = Name::new(
                gone["namespace"].as_str().unwrap_or_default(),
                gone["name"].as_str().unwrap_or_default(),
            );
            store.unrestore(kind, &name, gone["revision"].as_u64().unwrap_or(0));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::embedded::kinds;

    #[test]
    fn what_was_written_is_there_at_the_next_start_with_its_revision() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let mut store = open(Some(directory.path())).expect("a new journal");
        let object = |name: &str| json!({"metadata": {"namespace": "a", "name": name, "uid": name}});
        store.put(kinds::config_map(), &mut object("kept"));
        store.put(kinds::config_map(), &mut object("gone"));
        store.remove(kinds::config_map(), &Name::new("a", "gone"));
        let revision = store.revision();
        drop(store);
        let path = directory.path().join(FILE);
        let mut file = OpenOptions::new().append(true).open(&path).expect("the journal");
        file.write_all(b"{\"group\":\"\",\"ki").expect("a line cut short");
        let again = open(Some(directory.path())).expect("the journal");
        assert_eq!(again.revision(), revision);
        assert!(again.get(kinds::config_map(), &Name::new("a", "kept")).is_some());
        assert!(again.get(kinds::config_map(), &Name::new("a", "gone")).is_none());
    }

    #[test]
    fn a_damaged_journal_is_refused_with_its_line() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::write(directory.path().join(FILE), "{\"revision\":3}\nnonsense\n{}\n").expect("a journal");
        let error = open(Some(directory.path())).expect_err("it is damaged");
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
