//! The file that says where the log ends, so that an end that was cut off is missed.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    key::{AuditKey, AuditKeyError, PublicKey},
    line::Hash,
};

pub(super) const NAME: &str = "head";
const SIGNATURE: &str = "\"signature\":\"";

/// Where the log ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) log: String,
    pub(super) segment: u64,
    pub(super) seq: u64,
    pub(super) hash: Hash,
}

#[derive(Serialize, Deserialize)]
struct Written {
    log: String,
    segment: u64,
    seq: u64,
    hash: String,
    signature: String,
}

impl Head {
    /// Writes it in place of the one before, whole or not at all while the machine runs. It is not waited for to be durable: after a
    /// power cut an older one or an empty one is there, and the log's own seals say the rest.
    pub(super) fn write(&self, dir: &Path, key: &AuditKey) -> Result<(), WriteError> {
        let written = Written {
            log: self.log.clone(),
            segment: self.segment,
            seq: self.seq,
            hash: self.hash.to_string(),
            signature: String::new(),
        };
        let mut text = serde_json::to_string(&written).unwrap_or_default();
        let end = text.split_off(text.len() - "\"}".len());
        let signature = key.sign(text.as_bytes())?;
        text.push_str(&signature);
        text.push_str(&end);
        text.push('\n');
        let beside = dir.join("head.new");
        fs::write(&beside, text)?;
        fs::rename(&beside, dir.join(NAME))?;
        Ok(())
    }

    /// Reads it; none when there is none. Whether it is signed by one of `keys` is said with it.
    pub(super) fn read(dir: &Path, keys: &[PublicKey]) -> io::Result<Option<(Option<Self>, bool)>> {
        let text = match fs::read(dir.join(NAME)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // A power cut after the first one was named and before it was on the disk.
        if text.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let Some(line) = text.strip_suffix(b"\n") else {
            return Ok(Some((None, false)));
        };
        let Ok(written) = serde_json::from_slice::<Written>(line) else {
            return Ok(Some((None, false)));
        };
        let Some(hash) = Hash::parse(&written.hash) else {
            return Ok(Some((None, false)));
        };
        let at = line
            .windows(SIGNATURE.len())
            .rposition(|window| window == SIGNATURE.as_bytes());
        let signed = at.map(|at| at + SIGNATURE.len()).is_some_and(|signed| {
            line.get(signed..) == Some(format!("{}\"}}", written.signature).as_bytes())
                && keys
                    .iter()
                    .any(|key| key.verifies(&line[..signed], &written.signature))
        });
        let Written {
            log, segment, seq, ..
        } = written;
        Ok(Some((
            Some(Self {
                log,
                segment,
                seq,
                hash,
            }),
            signed,
        )))
    }
}

#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error(transparent)]
    Key(#[from] AuditKeyError),
}
