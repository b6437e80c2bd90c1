//! The bytes of a snapshot and of a segment of changes.
//!
//! Eight bytes of magic and a format version lie open; after them comes one zstd frame with
//! - a header: its length and JSON, to which later versions may add;
//! - records: kind (1 entry, 2 put, 3 delete), flags, key, revision, created, value, CRC-32 of the record;
//! - a trailer: kind 0, the number of records, and BLAKE3 of everything from the header on.
//!
//! Numbers are big endian. Lengths are checked before anything is allocated by them.

use std::io::{self, Read, Write};

use berth_model::{Revision, Timestamp};
use bytes::{BufMut, Bytes};
use serde::{Deserialize, Serialize};

use super::SnapshotError;
use crate::{
    entry::{Change, Entry},
    key::Key,
    txn::MAX_VALUE_BYTES,
};

const MAGIC: &[u8; 8] = b"BERTHSNP";
/// The format this version writes; it reads no newer one.
pub(crate) const FORMAT: u16 = 1;
const MAX_HEADER: usize = 64 << 10;
const MAX_KEY: usize = 512;
const LEVEL: i32 = 3;

const TRAILER: u8 = 0;
const ENTRY: u8 = 1;
const PUT: u8 = 2;
const DELETE: u8 = 3;
const LAST: u8 = 1;

/// What the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A store at one revision: entries.
    Snapshot,
    /// What came after another revision: changes.
    Segment,
}

/// What the file says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) schema: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) fleet: Option<String>,
    pub(crate) incarnation: String,
    /// What a segment's changes come after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<u64>,
    pub(crate) revision: u64,
    pub(crate) created_at: Timestamp,
    pub(crate) count: u64,
}

/// One of the things a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    Entry(Entry),
    Change(Change),
}

/// Makes a file, bit by bit.
pub(crate) struct Encoder {
    out: zstd::stream::write::Encoder<'static, Vec<u8>>,
    hasher: blake3::Hasher,
    count: u64,
    record: Vec<u8>,
}

impl Encoder {
    pub(crate) fn new(header: &Header) -> io::Result<Self> {
        let mut open = Vec::with_capacity(1 << 16);
        open.put_slice(MAGIC);
        open.put_u16(FORMAT);
        let mut out = zstd::stream::write::Encoder::new(open, LEVEL)?;
        out.include_checksum(true)?;
        let json = serde_json::to_vec(header)?;
        let mut encoder = Self {
            out,
            hasher: blake3::Hasher::new(),
            count: 0,
            record: Vec::new(),
        };
        encoder
            .record
            .put_u32(u32::try_from(json.len()).unwrap_or(u32::MAX));
        encoder.record.put_slice(&json);
        encoder.write_record()?;
        Ok(encoder)
    }

    pub(crate) fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let Entry {
            key,
            value,
            revision,
            created,
        } = entry;
        self.push(ENTRY, 0, key, *revision, *created, value)
    }

    pub(crate) fn change(&mut self, change: &Change) -> io::Result<()> {
        let flags = if change.last { LAST } else { 0 };
        let nothing = Bytes::new();
        let (kind, value) = match &change.put {
            Some(value) => (PUT, value),
            None => (DELETE, &nothing),
        };
        self.push(
            kind,
            flags,
            &change.key,
            change.revision,
            Revision::default(),
            value,
        )
    }

    fn push(
        &mut self,
        kind: u8,
        flags: u8,
        key: &Key,
        revision: Revision,
        created: Revision,
        value: &[u8],
    ) -> io::Result<()> {
        let (Ok(key_len), Ok(value_len)) = (u16::try_from(key.as_str().len()), u32::try_from(value.len()))
        else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a value is too long"));
        };
        let record = &mut self.record;
        record.put_u8(kind);
        record.put_u8(flags);
        record.put_u16(key_len);
        record.put_u32(value_len);
        record.put_u64(revision.0);
        record.put_u64(created.0);
        record.put_slice(key.as_str().as_bytes());
        record.put_slice(value);
        let sum = crc32fast::hash(record);
        record.put_u32(sum);
        self.count += 1;
        self.write_record()
    }

    fn write_record(&mut self) -> io::Result<()> {
        self.hasher.update(&self.record);
        self.out.write_all(&self.record)?;
        self.record.clear();
        Ok(())
    }

    /// What is ready to go out, when it is worth a write.
    pub(crate) fn take(&mut self) -> Option<Vec<u8>> {
        let ready = self.out.get_mut();
        (ready.len() >= 1 << 16).then(|| std::mem::replace(ready, Vec::with_capacity(1 << 17)))
    }

    /// The rest, and the digest of it all.
    pub(crate) fn finish(mut self) -> io::Result<(Vec<u8>, String)> {
        let mut trailer = vec![TRAILER];
        trailer.put_u64(self.count);
        self.hasher.update(&trailer);
        let digest = self.hasher.finalize();
        trailer.put_slice(digest.as_bytes());
        self.out.write_all(&trailer)?;
        Ok((self.out.finish()?, digest.to_hex().to_string()))
    }
}

/// Reads a file, record by record. Until it has ended well nothing in it can be relied on.
pub(crate) struct Decoder<R: Read> {
    input: zstd::stream::read::Decoder<'static, io::BufReader<Counting<R>>>,
    hasher: blake3::Hasher,
    header: Header,
    count: u64,
    digest: Option<String>,
}

impl<R: Read> Decoder<R> {
    pub(crate) fn new(input: R) -> Result<Self, SnapshotError> {
        let mut input = io::BufReader::with_capacity(1 << 16, Counting { input, bytes: 0 });
        let mut open = [0; 10];
        input.read_exact(&mut open).map_err(failed)?;
        if !open.starts_with(MAGIC) {
            return Err(SnapshotError::damaged("it does not begin like one"));
        }
        check_version("format", u16::from_be_bytes([open[8], open[9]]), FORMAT)?;
        let input = zstd::stream::read::Decoder::with_buffer(input).map_err(failed)?;
        let mut decoder = Self {
            input,
            hasher: blake3::Hasher::new(),
            header: Header {
                kind: Kind::Snapshot,
                schema: 0,
                fleet: None,
                incarnation: String::new(),
                after: None,
                revision: 0,
                created_at: Timestamp::UNIX_EPOCH,
                count: 0,
            },
            count: 0,
            digest: None,
        };
        let len = u32::from_be_bytes(decoder.array()?) as usize;
        if len > MAX_HEADER {
            return Err(SnapshotError::damaged("its header is too long"));
        }
        let json = decoder.bytes(len)?;
        decoder.header = serde_json::from_slice(&json)
            .map_err(|error| SnapshotError::damaged(format!("its header cannot be read: {error}")))?;
        check_version("schema", decoder.header.schema, crate::sled::SCHEMA)?;
        Ok(decoder)
    }

    pub(crate) const fn header(&self) -> &Header {
        &self.header
    }

    /// The next record; none when the file has ended well.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, SnapshotError> {
        if self.digest.is_some() {
            return Ok(None);
        }
        let [kind] = self.array()?;
        if kind == TRAILER {
            self.trailer()?;
            return Ok(None);
        }
        let [flags] = self.array()?;
        let key_len = u16::from_be_bytes(self.array()?);
        let value_len = u32::from_be_bytes(self.array()?);
        let (key_len, value_len) = (usize::from(key_len), value_len as usize);
        if !(ENTRY..=DELETE).contains(&kind) || key_len > MAX_KEY || value_len > MAX_VALUE_BYTES {
            return Err(SnapshotError::damaged(format!(
                "record {} is none",
                self.count + 1
            )));
        }
        let revision: [u8; 8] = self.array()?;
        let created: [u8; 8] = self.array()?;
        let key = self.bytes(key_len)?;
        let value = self.bytes(value_len)?;
        let sum = u32::from_be_bytes(self.array()?);
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[kind, flags]);
        hasher.update(&(key_len as u16).to_be_bytes());
        hasher.update(&(value_len as u32).to_be_bytes());
        for part in [&revision[..], &created, &key, &value] {
            hasher.update(part);
        }
        if hasher.finalize() != sum {
            return Err(SnapshotError::damaged(format!(
                "record {} fails its checksum",
                self.count + 1
            )));
        }
        let key = Key::new(String::from_utf8_lossy(&key))
            .map_err(|error| SnapshotError::damaged(error.to_string()))?;
        let revision = Revision(u64::from_be_bytes(revision));
        let value = Bytes::from(value);
        self.count += 1;
        Ok(Some(match kind {
            ENTRY => Record::Entry(Entry {
                key,
                value,
                revision,
                created: Revision(u64::from_be_bytes(created)),
            }),
            kind => Record::Change(Change {
                revision,
                key,
                put: (kind == PUT).then_some(value),
                last: flags & LAST != 0,
            }),
        }))
    }

    fn trailer(&mut self) -> Result<(), SnapshotError> {
        let count = u64::from_be_bytes(self.array()?);
        let digest = self.hasher.finalize();
        let mut said = [0; 32];
        self.input.read_exact(&mut said).map_err(failed)?;
        if count != self.count || count != self.header.count {
            return Err(SnapshotError::damaged(format!(
                "it has {} records and says {}",
                self.count, self.header.count
            )));
        }
        if said != *digest.as_bytes() {
            return Err(SnapshotError::damaged("it fails its digest"));
        }
        let mut more = [0];
        if self.input.read(&mut more).map_err(failed)? != 0 {
            return Err(SnapshotError::damaged("something follows its end"));
        }
        self.digest = Some(digest.to_hex().to_string());
        Ok(())
    }

    /// After the last record: the digest, and how long the file is.
    pub(crate) fn end(&self) -> (String, u64) {
        (
            self.digest.clone().unwrap_or_default(),
            self.input.get_ref().get_ref().bytes,
        )
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let mut array = [0; N];
        self.input.read_exact(&mut array).map_err(failed)?;
        self.hasher.update(&array);
        Ok(array)
    }

    fn bytes(&mut self, len: usize) -> Result<Vec<u8>, SnapshotError> {
        let mut bytes = vec![0; len];
        self.input.read_exact(&mut bytes).map_err(failed)?;
        self.hasher.update(&bytes);
        Ok(bytes)
    }
}

fn check_version(what: &'static str, found: u16, supported: u16) -> Result<(), SnapshotError> {
    if found > supported {
        return Err(SnapshotError::Newer {
            what,
            found,
            supported,
        });
    }
    Ok(())
}

/// The operating system says why it cannot read; everything else is about what was read.
fn failed(error: io::Error) -> SnapshotError {
    if error.raw_os_error().is_some() {
        return SnapshotError::Read(error);
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof => SnapshotError::damaged("it is cut off"),
        _ => SnapshotError::damaged(error.to_string()),
    }
}

/// Counts what is read.
pub(crate) struct Counting<R> {
    input: R,
    bytes: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
