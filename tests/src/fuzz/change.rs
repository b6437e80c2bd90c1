//! Small changes of an input.

use rand::{Rng, rngs::StdRng, seq::IndexedRandom as _};

/// Bytes that parsers have opinions about.
const ODD: [u8; 14] = [
    0, 1, 0x7f, 0x80, 0xff, b'\n', b'\r', b'\t', b'"', b'\\', b'{', b'}', b'-', 0x1b,
];
/// Texts that they have opinions about.
const WORDS: [&str; 18] = [
    "\u{9b}31m",
    "\u{202e}",
    "\u{0}",
    "../",
    "18446744073709551615",
    "-9223372036854775808",
    "1e308",
    "NaN",
    "null",
    "true",
    "0x10",
    "0o17",
    "~",
    "&a",
    "*a",
    "<<: ",
    "---\n",
    "\u{feff}",
];

/// `input` with one to eight changes.
pub(super) fn changed(
    random: &mut StdRng,
    mut input: Vec<u8>,
    other: &[u8],
    words: &[&str],
    longest: usize,
) -> Vec<u8> {
    for _ in 0..random.random_range(1..=8) {
        once(random, &mut input, other, words);
    }
    input.truncate(longest);
    input
}

fn once(random: &mut StdRng, input: &mut Vec<u8>, other: &[u8], words: &[&str]) {
    let at = random.random_range(0..=input.len());
    let end = (at + random.random_range(0..=16)).min(input.len());
    match random.random_range(0..10) {
        0 => {
            if let Some(byte) = input.get_mut(at) {
                *byte ^= 1 << random.random_range(0..8);
            }
        }
        1 => {
            if let (Some(byte), Some(odd)) = (input.get_mut(at), ODD.choose(random)) {
                *byte = *odd;
            }
        }
        2 => {
            if let Some(byte) = input.get_mut(at) {
                *byte = byte.wrapping_add(random.random_range(0..=4)).wrapping_sub(2);
            }
        }
        3 => drop(input.drain(at..end)),
        4 => {
            let piece = input
                .get(at..end)
                .unwrap_or_default()
                .repeat(random.random_range(1..=8));
            insert(input, at, &piece);
        }
        5 | 6 => {
            let own: Option<&&str> = words.choose(random);
            let word = if random.random_bool(0.7) {
                own.or_else(|| WORDS.choose(random))
            } else {
                WORDS.choose(random)
            };
            insert(input, at, word.map_or(&[][..], |word| word.as_bytes()));
        }
        7 => {
            let bytes: Vec<u8> = (0..random.random_range(1..=8)).map(|_| random.random()).collect();
            insert(input, at, &bytes);
        }
        8 => {
            let from = random.random_range(0..=other.len());
            let piece = other.get(from..).unwrap_or_default();
            input.truncate(at);
            input.extend_from_slice(piece);
        }
        _ => input.truncate(at),
    }
}

fn insert(input: &mut Vec<u8>, at: usize, piece: &[u8]) {
    drop(input.splice(at..at, piece.iter().copied()));
}
