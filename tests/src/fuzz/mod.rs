//! Fuzzing on stable Rust: inputs are made from kept ones by small changes; those that lead to an answer nobody has seen yet are changed further.
//!
//! There is no coverage to steer by: what an input leads to (taken, or refused with which words) stands for the path through the
//! code. An input that panics, hangs or breaks a target's own rule is written to `tests/fuzz/corpus/TARGET` and stays there as a test.

mod change;
mod targets;

use std::{
    collections::{BTreeMap, BTreeSet, hash_map::DefaultHasher},
    hash::Hasher as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

pub use targets::{TARGETS, Target};

use crate::waiting::Watch;

/// No input is longer.
const LONGEST: usize = 1 << 16;
/// No input may take longer: whoever sends it would hold up others.
const SLOW: Duration = Duration::from_secs(2);
/// As many different answers are remembered.
const ANSWERS: usize = 4096;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Inputs tried.
    pub tried: u64,
    /// Different answers seen.
    pub answers: usize,
    /// Inputs that broke something, with how.
    pub broken: Vec<(Vec<u8>, String)>,
    /// The shortest input of each answer.
    pub kept: Vec<Vec<u8>>,
}

/// The target of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Where the kept inputs of a target are.
#[must_use]
pub fn corpus(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target.name)
}

/// The kept inputs, by file name.
///
/// # Errors
/// They cannot be read.
pub fn kept(target: &Target) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut kept = BTreeMap::new();
    let directory = corpus(target);
    let files = std::fs::read_dir(&directory).with_context(|| format!("read {}", directory.display()))?;
    for file in files {
        let path = file.context("read a corpus")?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        kept.insert(
            name,
            std::fs::read(&path).with_context(|| format!("read {}", path.display()))?,
        );
    }
    Ok(kept)
}

/// Writes an input into the corpus, under a name made of its content.
///
/// # Errors
/// It cannot be written.
pub fn keep(target: &Target, kind: &str, input: &[u8]) -> anyhow::Result<PathBuf> {
    let directory = corpus(target);
    std::fs::create_dir_all(&directory).context("make the corpus's directory")?;
    let path = directory.join(format!("{kind}-{:016x}", hash(input)));
    std::fs::write(&path, input).with_context(|| format!("write {}", path.display()))?;
    Ok(path)
}

fn hash(value: &(impl std::hash::Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Tries one input: what it leads to.
///
/// # Errors
/// It panics, takes too long or breaks the target's own rule.
pub fn one(target: &Target, input: &[u8]) -> Result<String, String> {
    let watch = Watch::start();
    let answer = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let took = watch.elapsed();
    let answer = answer.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("panics: {}", text.unwrap_or_default())
    })??;
    if took > SLOW {
        return Err(format!("takes {took:?}"));
    }
    Ok(answer)
}

/// Tries inputs made from `seeds` for `time`.
#[must_use]
pub fn run(target: &Target, seeds: Vec<Vec<u8>>, time: Duration, seed: u64) -> Outcome {
    let mut random = StdRng::seed_from_u64(seed);
    let mut outcome = Outcome::default();
    let mut seen: BTreeSet<u64> = BTreeSet::new();
    let mut pool: Vec<Vec<u8>> = Vec::new();
    let mut told: BTreeSet<String> = BTreeSet::new();
    let watch = Watch::start();
    let mut waiting = seeds;
    waiting.push(Vec::new());
    while watch.elapsed() < time {
        let input = waiting.pop().unwrap_or_else(|| {
            let at = random.random_range(0..pool.len().max(1));
            let from = pool.get(at).cloned().unwrap_or_default();
            let other = random.random_range(0..pool.len().max(1));
            let other = pool.get(other).map_or(&[][..], Vec::as_slice);
            change::changed(&mut random, from, other, target.words, LONGEST)
        });
        outcome.tried += 1;
        match one(target, &input) {
            Ok(answer) => {
                if seen.len() < ANSWERS && seen.insert(hash(&shape(&answer))) {
                    pool.push(input);
                }
            }
            // The same way of breaking is told once.
            Err(how) => {
                if told.insert(shape(&how)) {
                    outcome.broken.push((input, how));
                }
            }
        }
    }
    outcome.answers = seen.len();
    outcome.kept = pool;
    outcome
}

/// An answer without what it quotes: numbers and names differ from input to input, the words do not.
fn shape(answer: &str) -> String {
    let mut quoted = false;
    let mut shape = String::new();
    for c in answer.chars().take(400) {
        match c {
            '"' => quoted = !quoted,
            c if quoted || c.is_ascii_digit() || !c.is_ascii() || c.is_ascii_control() => {}
            c => shape.push(c),
        }
    }
    shape
}
