//! Evidence of isolation as the bytes that its agent signs: one canonical JSON document.
//!
//! Canonical means keys in order and no white space, so that the same evidence is the same bytes. What is signed is the document;
//! it travels and rests in zstd. Nothing here signs or verifies.

use berth_model::{Evidence, evidence::MOST_PROBES};
use serde::{Deserialize, Serialize};

use crate::objects::{self, ObjectsError};

/// What the document says it is, so that no other signed document can be taken for it.
const KIND: &str = "IsolationEvidence";
const API_VERSION: &str = "berth.dev/v1";
/// No document is larger.
const LARGEST: usize = 512 << 10;
/// No document is larger in zstd, so that one record holds it with its signature and its certificate.
pub const LARGEST_COMPRESSED: usize = 13 << 10;

/// Evidence and what was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// The document in zstd.
    pub statement_zstd: Vec<u8>,
    /// Of the document.
    pub signature: Vec<u8>,
}

/// Why bytes are no evidence.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// It cannot be written.
    #[error("write evidence")]
    Write(#[source] serde_json::Error),
    /// Not the document.
    #[error("read evidence")]
    Read(#[source] serde_json::Error),
    /// Another document.
    #[error("read evidence: the document is {0:?}")]
    Kind(String),
    /// Too many probes.
    #[error("read evidence: {0} probes are more than {MOST_PROBES}")]
    TooMany(usize),
    /// Too large.
    #[error("evidence of {found} bytes is larger than {LARGEST_COMPRESSED}")]
    TooLarge {
        /// How large.
        found: usize,
    },
    /// Its compression.
    #[error(transparent)]
    Compression(#[from] ObjectsError),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    api_version: String,
    kind: String,
    #[serde(flatten)]
    evidence: Evidence,
}

/// The document that is signed.
///
/// # Errors
/// [`EvidenceError::Write`], which evidence cannot cause.
pub fn statement(evidence: &Evidence) -> Result<Vec<u8>, EvidenceError> {
    let document = Document {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        evidence: evidence.clone(),
    };
    // Through `Value`: its maps are ordered by key, while a struct writes its fields as declared.
    let value = serde_json::to_value(document).map_err(EvidenceError::Write)?;
    serde_json::to_vec(&value).map_err(EvidenceError::Write)
}

/// Reads the document.
///
/// # Errors
/// [`EvidenceError`] for everything but evidence of a bounded size.
pub fn read_statement(statement: &[u8]) -> Result<Evidence, EvidenceError> {
    let document: Document = serde_json::from_slice(statement).map_err(EvidenceError::Read)?;
    if document.kind != KIND || document.api_version != API_VERSION {
        return Err(EvidenceError::Kind(format!(
            "{} {}",
            document.api_version, document.kind
        )));
    }
    let probes = document.evidence.probes.len();
    if probes > MOST_PROBES {
        return Err(EvidenceError::TooMany(probes));
    }
    Ok(document.evidence)
}

/// The document in zstd.
///
/// # Errors
/// [`EvidenceError::TooLarge`].
pub fn pack(statement: &[u8]) -> Result<Vec<u8>, EvidenceError> {
    let packed = objects::compress(statement)?;
    bounded(&packed)?;
    Ok(packed)
}

/// The document out of zstd.
///
/// # Errors
/// [`EvidenceError`] for what is too large or is no zstd.
pub fn unpack(statement_zstd: &[u8]) -> Result<Vec<u8>, EvidenceError> {
    bounded(statement_zstd)?;
    Ok(objects::decompress(statement_zstd, LARGEST)?)
}

fn bounded(packed: &[u8]) -> Result<(), EvidenceError> {
    let found = packed.len();
    if found > LARGEST_COMPRESSED {
        return Err(EvidenceError::TooLarge { found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn evidence_survives_and_is_the_same_bytes_each_time() {
        let evidence = testing::an_evidence();
        let document = statement(&evidence).unwrap();
        let read = read_statement(&unpack(&pack(&document).unwrap()).unwrap()).unwrap();
        assert_eq!(read, evidence);
        assert_eq!(statement(&read).unwrap(), document);
    }

    #[test]
    fn another_document_is_no_evidence() {
        let text = String::from_utf8(statement(&testing::an_evidence()).unwrap()).unwrap();
        let other = text.replace(KIND, "Invoice");
        assert!(matches!(
            read_statement(other.as_bytes()),
            Err(EvidenceError::Kind(_))
        ));
        for nothing in ["", "{}", "[]", "null"] {
            assert!(
                matches!(read_statement(nothing.as_bytes()), Err(EvidenceError::Read(_))),
                "{nothing}"
            );
        }
    }

    #[test]
    fn what_would_not_fit_into_a_record_is_refused_before_it_is_unpacked() {
        assert!(matches!(
            unpack(&vec![0; LARGEST_COMPRESSED + 1]),
            Err(EvidenceError::TooLarge { .. })
        ));
        let probe = testing::an_evidence().probes.remove(0);
        let many = Evidence {
            probes: vec![probe; MOST_PROBES + 1],
            ..testing::an_evidence()
        };
        let document = statement(&many).unwrap();
        assert!(matches!(
            read_statement(&document),
            Err(EvidenceError::TooMany(_))
        ));
    }
}
