//! One line of the log, as bytes and as what it says.

use std::fmt;

use berth_model::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    event::Event,
    key::{AuditKey, AuditKeyError, PublicKey},
};

/// SHA-256 of a line's bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Hash([u8; 32]);

impl Hash {
    /// Of a line without its newline.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        // Only as it is written here: what reads the same is not the same bytes.
        hex::decode_to_slice(text, &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A line that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no line of an audit log: {0}")]
pub struct MalformedLine(pub String);

/// What a line says.
#[derive(Clone, Debug)]
pub struct Line {
    /// Goes up by one with every line.
    pub seq: u64,
    /// When it was written.
    pub time: Timestamp,
    /// Of the line before.
    pub prev: Hash,
    /// What it is.
    pub body: Body,
}

/// What a line is.
#[derive(Clone, Debug)]
pub enum Body {
    /// Something happened.
    Event(Box<Event>),
    /// The first line of a segment.
    Segment(Start),
    /// Everything up to here is signed.
    Seal {
        /// Pin of the key.
        key: String,
        /// In base64, of the line's bytes up to this text.
        signature: String,
        /// Where in the line's bytes the signature's text begins.
        signed: usize,
    },
}

/// What a segment begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// The format's version.
    pub version: u32,
    /// Tells this log from others.
    pub log: String,
    /// Of which hub it is.
    pub hub: String,
    /// Which segment this is; the first is 1.
    pub segment: u64,
    /// The key that signs it: the 32 bytes of an Ed25519 public key, in base64.
    pub public_key: String,
}

#[derive(Serialize, Deserialize)]
struct Seal {
    key: String,
    signature: String,
}

#[derive(Serialize, Deserialize)]
struct Written {
    seq: u64,
    time: String,
    prev: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    event: Option<Event>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    segment: Option<Start>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seal: Option<Seal>,
}

/// What stands before a seal's signature.
const SIGNATURE: &str = "\"signature\":\"";

impl Line {
    /// Reads a line without its newline.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(bytes: &[u8]) -> Result<Self, MalformedLine> {
        let wrong = |problem: &str| MalformedLine(problem.to_owned());
        let written: Written =
            serde_json::from_slice(bytes).map_err(|error| MalformedLine(error.to_string()))?;
        let prev = Hash::parse(&written.prev).ok_or_else(|| wrong("prev is no SHA-256"))?;
        let time = written.time.parse().map_err(|_| wrong("time is no time"))?;
        let body = match (written.event, written.segment, written.seal) {
            (Some(event), None, None) => Body::Event(Box::new(event)),
            (None, Some(start), None) => Body::Segment(start),
            (None, None, Some(Seal { key, signature })) => {
                let at = bytes
                    .windows(SIGNATURE.len())
                    .rposition(|window| window == SIGNATURE.as_bytes())
                    .ok_or_else(|| wrong("the seal has no signature"))?;
                Body::Seal {
                    key,
                    signature,
                    signed: at + SIGNATURE.len(),
                }
            }
            _ => {
                return Err(wrong(
                    "it is neither one event, nor a segment's beginning, nor a seal",
                ));
            }
        };
        Ok(Self {
            seq: written.seq,
            time,
            prev,
            body,
        })
    }

    /// Whether a seal's signature is by that key over these bytes, which are this line's.
    pub(super) fn sealed(&self, bytes: &[u8], key: &PublicKey) -> bool {
        match &self.body {
            Body::Seal {
                signature, signed, ..
            } => {
                bytes.get(*signed..) == Some(format!("{signature}\"}}}}").as_bytes())
                    && key.verifies(&bytes[..*signed], signature)
            }
            _ => false,
        }
    }
}

/// The bytes of an event's line, without a newline.
pub(super) fn event(seq: u64, time: Timestamp, prev: Hash, event: Event) -> String {
    text(&Written {
        event: Some(event.clipped()),
        ..written(seq, time, prev)
    })
}

/// The bytes of a segment's first line.
pub(super) fn start(seq: u64, time: Timestamp, prev: Hash, start: Start) -> String {
    text(&Written {
        segment: Some(start),
        ..written(seq, time, prev)
    })
}

/// The bytes of a seal.
pub(super) fn seal(seq: u64, time: Timestamp, prev: Hash, key: &AuditKey) -> Result<String, AuditKeyError> {
    let seal = Seal {
        key: key.public().pin().to_string(),
        signature: String::new(),
    };
    let mut line = text(&Written {
        seal: Some(seal),
        ..written(seq, time, prev)
    });
    let end = line.split_off(line.len() - "\"}}".len());
    let signature = key.sign(line.as_bytes())?;
    line.push_str(&signature);
    line.push_str(&end);
    Ok(line)
}

fn written(seq: u64, time: Timestamp, prev: Hash) -> Written {
    Written {
        seq,
        time: time.to_string(),
        prev: prev.to_string(),
        event: None,
        segment: None,
        seal: None,
    }
}

/// JSON on one line that shows on a terminal as what it is: also the control characters that JSON lets pass are escaped, and those
/// that turn the direction of writing.
fn text(written: &Written) -> String {
    // Strings and numbers alone: nothing here can fail to be written.
    let json = serde_json::to_string(written).unwrap_or_default();
    if json.chars().all(plain) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len() + 64);
    for c in json.chars() {
        if plain(c) {
            escaped.push(c);
        } else {
            use fmt::Write as _;
            // All of them are in the basic plane.
            let _ = write!(escaped, "\\u{:04x}", u32::from(c));
        }
    }
    escaped
}

fn plain(c: char) -> bool {
    !(c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}'))
}
