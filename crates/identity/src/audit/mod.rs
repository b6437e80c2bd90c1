//! The audit log: JSON lines, each with the hash of the line before it, sealed by signatures.
//!
//! A log is a directory of segments (`audit-000001.jsonl`...) and a file `head`. One event is one line. Each line has a sequence
//! number that goes up by one and `prev`, the SHA-256 of the exact bytes of the line before it (without its newline), across segments.
//! Every so many lines, after some time, and when the log is closed, a seal follows: a line with an Ed25519 signature over itself, and
//! by its `prev` over everything before it. `head` names the last line, signed too, and is renewed with every write.
//!
//! What can be known from that: any line changed, taken out, put in, moved or repeated breaks the chain at that place; an end that was
//! cut off is missed by the head. Whoever can write both files but not sign can only put back an older log with its older head; only
//! what was exported before shows that. Whoever has the key can sign anything.
//!
//! Files and times come from the caller; nothing here knows what an event is about.

mod event;
mod head;
mod key;
mod line;
mod log;
mod read;
mod verify;

pub use event::{Event, Kind, Stage, Subject};
pub use key::{AuditKey, AuditKeyError, KeyPin, PublicKey};
pub use line::{Body, Hash, Line, MalformedLine, Start};
pub use log::{Log, LogError, LogOptions, Opened};
pub use read::{Numbered, Segment, newest_first, segments};
pub use verify::{Finding, Problem, Report, Trust, verify_dir, verify_files};
