//! What older versions wrote, sent and stored is still read, kept and answered: the corpora in `proto/corpus`, one per version.
//!
//! Each example goes the way its message goes in Berth, into the model and back, alone and beside fields and alternatives that
//! only a later version knows. The version's own descriptors stand for its decoder.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod api;
mod frozen;
#[path = "../../examples/corpus/layout.rs"]
#[expect(dead_code, reason = "shared with the program that writes a corpus")]
mod layout;
mod link;
mod records;

use std::fs;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};

/// A version's corpus.
struct Version {
    name: String,
    /// What the version knew.
    pool: DescriptorPool,
}

/// One file of a corpus.
struct Example {
    /// Such as `0.1/record/TenantRecord.minimal.binpb`.
    file: String,
    /// Such as `TenantRecord`, in `link-*` the alternative.
    name: String,
    /// Whether it has only what is always there.
    minimal: bool,
    bytes: Vec<u8>,
    /// As its version knew it.
    known: MessageDescriptor,
}

/// All versions with a corpus.
fn versions() -> Vec<Version> {
    let mut found: Vec<Version> = fs::read_dir(layout::root())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| Version {
            name: entry.file_name().into_string().unwrap(),
            pool: DescriptorPool::decode(&*fs::read(entry.path().join(layout::IMAGE)).unwrap()).unwrap(),
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!found.is_empty());
    found
}

/// The examples of one directory in all versions.
fn examples(directory: &str) -> Vec<Example> {
    let mut found = Vec::new();
    for version in versions() {
        let path = layout::root().join(&version.name).join(directory);
        let mut files: Vec<_> = fs::read_dir(&path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "binpb"))
            .collect();
        files.sort();
        for file in files {
            let stem = file.file_stem().unwrap().to_str().unwrap();
            let name = stem.split('.').next().unwrap().to_owned();
            let message = match directory {
                "link-request" => "berth.agent.v1.LinkRequest".to_owned(),
                "link-response" => "berth.agent.v1.LinkResponse".to_owned(),
                "join" => format!("berth.agent.v1.{name}"),
                "record" => format!("berth.record.v1.{name}"),
                _ => format!("berth.v1.{name}"),
            };
            found.push(Example {
                file: format!("{}/{directory}/{stem}", version.name),
                minimal: stem.ends_with("minimal"),
                bytes: fs::read(&file).unwrap(),
                known: version.pool.get_message_by_name(&message).unwrap(),
                name,
            });
        }
    }
    assert!(!found.is_empty(), "{directory}");
    found
}

/// Fields that no version has, in every message of `message`: a number, a text and a fixed one.
fn with_unknown_fields(message: &mut DynamicMessage) {
    let children: Vec<_> = message.fields().map(|(field, _)| field).collect();
    for field in children {
        each_message(message.get_field_mut(&field), &mut with_unknown_fields);
    }
    // Field 15000: varint 7, then "new", then 8 bytes.
    let bytes = b"\xc0\xa9\x07\x07\xc2\xa9\x07\x03new\xc1\xa9\x07\x01\x02\x03\x04\x05\x06\x07\x08";
    message.merge(&bytes[..]).unwrap();
    assert_eq!(message.unknown_fields().count(), 3);
}

fn each_message(value: &mut Value, then: &mut dyn FnMut(&mut DynamicMessage)) {
    match value {
        Value::Message(message) => then(message),
        Value::List(list) => list.iter_mut().for_each(|value| each_message(value, then)),
        Value::Map(map) => map.values_mut().for_each(|value| each_message(value, then)),
        _ => {}
    }
}

impl Example {
    fn decoded(&self, bytes: &[u8]) -> DynamicMessage {
        DynamicMessage::decode(self.known.clone(), bytes).unwrap()
    }

    /// The example as a newer side would send it.
    fn of_a_newer_side(&self) -> Vec<u8> {
        let mut message = self.decoded(&self.bytes);
        with_unknown_fields(&mut message);
        message.encode_to_vec()
    }

    /// Whether what `through` makes of the example reads, to whoever wrote it, as what they wrote; with and without fields of a
    /// newer side. A minimal example may come back with what its absence means.
    fn survives(&self, through: impl Fn(&[u8]) -> Vec<u8>) {
        let out = through(&self.bytes);
        assert_eq!(
            through(&self.of_a_newer_side()),
            out,
            "{}: fields not known",
            self.file
        );
        assert_eq!(through(&out), out, "{}: settled", self.file);
        if self.minimal {
            return;
        }
        let mut read = self.decoded(&out);
        let newer = read.take_unknown_fields().count();
        assert_eq!(read, self.decoded(&self.bytes), "{}", self.file);
        // In the same bytes, but for the order of fields, which is nobody's to rely on.
        let same = |of: &[u8]| {
            let mut bytes = of.to_vec();
            bytes.sort_unstable();
            bytes
        };
        let written_so = newer > 0 || same(&out) == same(&self.bytes);
        assert!(written_so, "{}: other bytes", self.file);
    }
}
