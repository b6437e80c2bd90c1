//! Reads `-f`: files, directories and standard input. Every fault of every file is reported at once.

use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use berth_wire::file::{self, Document};

use crate::exit::{Exit, Failure, Outcome};

/// The longest text that is read; what is longer is refused by the parser, so one byte more is enough.
const LONGEST: u64 = (1 << 20) + 1;

/// The documents of all `paths`, in order.
pub(crate) fn read(paths: &[PathBuf]) -> Result<Vec<Document>, Failure> {
    let mut documents = Vec::new();
    let mut outcome = Outcome::default();
    for path in paths {
        if path.as_os_str() == "-" {
            let text = outcome.take(text_of("standard input", io::stdin().lock()));
            documents.extend(
                text.and_then(|text| outcome.take(parse("standard input", &text)))
                    .unwrap_or_default(),
            );
            continue;
        }
        for path in outcome.take(expand(path)).unwrap_or_default() {
            let name = path.display().to_string();
            let text = fs::File::open(&path)
                .map_err(|error| unreadable(&name, &error))
                .and_then(|file| text_of(&name, file));
            let text = outcome.take(text);
            documents.extend(
                text.and_then(|text| outcome.take(parse(&name, &text)))
                    .unwrap_or_default(),
            );
        }
    }
    outcome.finish()?;
    if documents.is_empty() {
        return Err(Failure::new(Exit::Invalid, "there is nothing in the given files"));
    }
    Ok(documents)
}

/// A file itself, or a directory's files.
fn expand(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let name = path.display().to_string();
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).map_err(|error| unreadable(&name, &error))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry.map_err(|error| unreadable(&name, &error))?.path();
        let known = file
            .extension()
            .is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        if known && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::new(
            Exit::Invalid,
            format!("{name}: has no .yaml, .yml or .json files"),
        ));
    }
    Ok(files)
}

fn text_of(name: &str, source: impl io::Read) -> Result<String, Failure> {
    let mut text = String::new();
    source
        .take(LONGEST)
        .read_to_string(&mut text)
        .map_err(|error| unreadable(name, &error))?;
    Ok(text)
}

fn parse(name: &str, text: &str) -> Result<Vec<Document>, Failure> {
    file::parse(text).map_err(|faults| {
        let lines = faults.iter().map(|fault| format!("{name}: {fault}")).collect();
        Failure {
            exit: Exit::Invalid,
            lines,
        }
    })
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    let exit = if error.kind() == io::ErrorKind::InvalidData {
        Exit::Invalid
    } else {
        Exit::Failure
    };
    Failure::new(exit, format!("read {name}: {error}"))
}
