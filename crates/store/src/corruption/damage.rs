//! The ways files are damaged: as disks, people and tools do it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rand::{Rng, RngCore, rngs::StdRng};

pub(super) fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The files of a store, without the lock, which says nothing of what it holds.
fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !dir.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else if !path.ends_with("LOCK") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Damages something of the store in `dir`, or its witness, and says what.
pub(super) fn one(
    dir: &Path,
    witness: bool,
    stages: &[PathBuf],
    other: &Path,
    random: &mut StdRng,
) -> io::Result<String> {
    let mut found = files(dir)?;
    found.retain(|file| file.starts_with(dir.join("store")) != witness);
    let Some(file) = choose(&found, random) else {
        return Ok("nothing left to damage".into());
    };
    let name = file.strip_prefix(dir).unwrap_or(file).display().to_string();
    let how = match random.random_range(0..12) {
        0..6 => {
            let mut bytes = fs::read(file)?;
            if bytes.is_empty() {
                return Ok(format!("{name} was empty already"));
            }
            let how = in_bytes(&mut bytes, random);
            fs::write(file, bytes)?;
            how
        }
        6 => {
            fs::remove_file(file)?;
            "deleted".into()
        }
        7 => {
            let Some(second) = choose(&found, random) else {
                return Ok(name);
            };
            let (one, two) = (fs::read(file)?, fs::read(second)?);
            fs::write(file, two)?;
            fs::write(second, one)?;
            format!("swapped with {}", second.display())
        }
        8 => replace(file, dir, other, "that of another store")?,
        9 | 10 => {
            let stage = random.random_range(0..stages.len() - 1);
            replace(file, dir, &stages[stage], &format!("that of stage {stage}"))?
        }
        _ if witness => "left".into(),
        _ => {
            // The store's directory is put back, all of it or all but one file.
            let stage = random.random_range(0..stages.len() - 1);
            for older in files(&stages[stage])? {
                let target = dir.join(older.strip_prefix(&stages[stage]).unwrap_or(&older));
                if target != *file && target.starts_with(dir.join("store")) {
                    fs::create_dir_all(target.parent().unwrap_or(dir))?;
                    fs::copy(&older, target)?;
                }
            }
            format!("at most not that of stage {stage}")
        }
    };
    Ok(format!("{name} {how}"))
}

/// The database, mostly: there is most in it.
fn choose<'a>(files: &'a [PathBuf], random: &mut StdRng) -> Option<&'a PathBuf> {
    let database = files.iter().find(|file| file.ends_with("db"));
    if random.random_bool(0.5) && database.is_some() {
        return database;
    }
    if files.is_empty() {
        return None;
    }
    files.get(random.random_range(0..files.len()))
}

fn replace(file: &Path, dir: &Path, from: &Path, by: &str) -> io::Result<String> {
    let source = from.join(file.strip_prefix(dir).unwrap_or(file));
    if source.exists() {
        fs::copy(source, file)?;
        return Ok(format!("replaced by {by}"));
    }
    // A file of a name of its own: the older one comes beside it, as a copied directory would have it.
    for older in files(from)? {
        if older
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("snap"))
        {
            fs::remove_file(file)?;
            fs::copy(&older, file.with_file_name(older.file_name().unwrap_or_default()))?;
            return Ok(format!("replaced by {by}"));
        }
    }
    Ok(format!("left, as {by} has none"))
}

fn in_bytes(bytes: &mut Vec<u8>, random: &mut StdRng) -> String {
    let at = place(bytes, random);
    let len = bytes.len();
    let span = [1, 8, 64, 512, 4096, 65536][random.random_range(0..6)].min(len - at);
    match random.random_range(0..7) {
        0 | 1 => {
            let flips = [1, 1, 3, 20][random.random_range(0..4)];
            for _ in 0..flips {
                let at = place(bytes, random);
                bytes[at] ^= 1 << random.random_range(0..8);
            }
            format!("with {flips} bits flipped")
        }
        2 => {
            bytes[at..at + span].fill(0);
            format!("zeroed from {at} for {span}")
        }
        3 => {
            random.fill_bytes(&mut bytes[at..at + span]);
            format!("garbage from {at} for {span}")
        }
        4 => {
            bytes.truncate(at);
            format!("cut off at {at}")
        }
        5 => {
            let to = place(bytes, random);
            let span = span.min(len - to);
            bytes.copy_within(at..at + span, to);
            format!("with {span} bytes of {at} again at {to}")
        }
        _ => {
            let mut more = vec![0; span];
            random.fill_bytes(&mut more);
            bytes.extend_from_slice(&more);
            format!("with {span} bytes of garbage behind it")
        }
    }
}

/// Somewhere, and mostly where something is: a database is zeros for a good part.
fn place(bytes: &[u8], random: &mut StdRng) -> usize {
    let at = random.random_range(0..bytes.len());
    if random.random_ratio(1, 4) {
        return at;
    }
    let next = bytes[at..]
        .iter()
        .position(|byte| *byte != 0)
        .map(|further| at + further);
    next.or_else(|| bytes.iter().position(|byte| *byte != 0))
        .unwrap_or(at)
}
