//! What the documents name is there: files and tests that are said to prove something.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{
    fs,
    path::{Path, PathBuf},
};

const ENDINGS: [&str; 5] = [".rs", ".yaml", ".proto", ".md", ".toml"];
const ROOMS: [&str; 6] = ["crates", "agent", "hub", "deploy", "tests", "proto"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn documents(within: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(within).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            documents(&path, found);
        } else if name.ends_with(".md") {
            found.push(path);
        }
    }
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn alternatives(text: &str) -> Vec<String> {
    let Some((before, rest)) = text.split_once('{') else {
        return vec![text.to_owned()];
    };
    let Some((choices, after)) = rest.split_once('}') else {
        return vec![text.to_owned()];
    };
    choices
        .split(',')
        .flat_map(|choice| alternatives(&format!("{before}{choice}{after}")))
        .collect()
}

/// What a document names between backticks as a file, or as `file::test`.
fn named(text: &str) -> Vec<String> {
    let outside_blocks = text.split("```").step_by(2).collect::<String>();
    let between = outside_blocks.split('`').skip(1).step_by(2);
    between
        .filter(|name| !name.contains(char::is_whitespace) && !name.contains('*'))
        .filter(|name| {
            let file = name.split("::").next().unwrap();
            let begins = ROOMS.iter().any(|room| file.starts_with(&format!("{room}/")));
            begins && ENDINGS.iter().any(|ending| file.ends_with(ending))
        })
        .flat_map(alternatives)
        .collect()
}

#[test]
fn every_file_and_test_that_a_document_names_is_there() {
    let mut found = Vec::new();
    documents(&root(), &mut found);
    assert!(found.len() >= 8, "{found:?}");
    let (mut looked_at, mut wrong) = (0, Vec::new());
    for document in found {
        for name in named(&fs::read_to_string(&document).unwrap()) {
            looked_at += 1;
            let mut parts = name.split("::");
            let file = parts.next().unwrap();
            let test = parts.last();
            let places = [root().join(file), document.parent().unwrap().join(file)];
            let text = places.iter().find_map(|place| fs::read_to_string(place).ok());
            let there = match (text, test) {
                (None, _) => false,
                (Some(_), None) => true,
                (Some(text), Some(test)) => text.contains(&format!("fn {test}(")),
            };
            if !there {
                wrong.push(format!("{}: {name}", document.display()));
            }
        }
    }
    assert!(looked_at > 50, "{looked_at}");
    assert!(wrong.is_empty(), "named and not there:\n{}", wrong.join("\n"));
}
