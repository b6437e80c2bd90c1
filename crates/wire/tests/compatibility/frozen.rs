//! The corpora themselves: unchanged, complete, and readable by the descriptors of today.

use std::{collections::BTreeSet, fs};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _, Value};

use crate::{examples, layout, versions};

const DIRECTORIES: [&str; 5] = ["api", "join", "link-request", "link-response", "record"];

fn today() -> DescriptorPool {
    DescriptorPool::decode(berth_proto::DESCRIPTORS).unwrap()
}

#[test]
fn a_corpus_never_changes() {
    for version in versions() {
        let directory = layout::root().join(&version.name);
        let list = fs::read_to_string(directory.join(layout::SUMS)).unwrap();
        let listed: Vec<(String, String)> = list
            .lines()
            .map(|line| line.split_once("  ").unwrap())
            .map(|(sum, file)| (file.to_owned(), sum.to_owned()))
            .collect();
        let found: Vec<_> = layout::sums(&directory).unwrap().into_iter().collect();
        for (listed, found) in listed.iter().zip(&found) {
            assert_eq!(listed, found, "corpus {}", version.name);
        }
        assert_eq!(listed.len(), found.len(), "corpus {}", version.name);
    }
}

#[test]
fn every_message_and_field_of_today_has_an_example() {
    let today = today();
    let mut seen = BTreeSet::new();
    for directory in DIRECTORIES {
        for example in examples(directory) {
            let message = today.get_message_by_name(example.known.full_name()).unwrap();
            note(
                &DynamicMessage::decode(message, &*example.bytes).unwrap(),
                &mut seen,
            );
        }
    }
    let mut wanted = BTreeSet::new();
    for top in layout::tops(&today) {
        want(&top.message, &mut wanted);
    }
    assert!(wanted.len() > 300, "{}", wanted.len());
    let missing: Vec<_> = wanted.difference(&seen).collect();
    assert!(
        missing.is_empty(),
        "no corpus has {missing:#?}; write this version's anew as proto/README.md says"
    );
}

/// The messages and fields that are in `message`.
fn note(message: &DynamicMessage, seen: &mut BTreeSet<String>) {
    seen.insert(message.descriptor().full_name().to_owned());
    for (field, value) in message.fields() {
        seen.insert(field.full_name().to_owned());
        let mut within = |value: &Value| {
            if let Some(message) = value.as_message() {
                note(message, seen);
            }
        };
        match value {
            Value::List(list) => list.iter().for_each(within),
            Value::Map(map) => map.values().for_each(within),
            value => within(value),
        }
    }
}

/// The messages and fields that can be in `message`.
fn want(message: &MessageDescriptor, wanted: &mut BTreeSet<String>) {
    if message.package_name().starts_with("google.") {
        return;
    }
    if !message.is_map_entry() && !wanted.insert(message.full_name().to_owned()) {
        return;
    }
    for field in message.fields() {
        if !message.is_map_entry() {
            wanted.insert(field.full_name().to_owned());
        }
        if let Kind::Message(inner) = field.kind() {
            want(&inner, wanted);
        }
    }
}

#[test]
fn every_example_reads_today_as_it_was_written_and_is_written_so_that_its_version_reads_it() {
    let today = today();
    for directory in DIRECTORIES {
        for example in examples(directory) {
            let now = today.get_message_by_name(example.known.full_name());
            let now = now.unwrap_or_else(|| panic!("{}: its message is gone", example.file));
            let read = DynamicMessage::decode(now, &*example.bytes).unwrap();
            let forgotten: Vec<_> = read.unknown_fields().collect();
            assert!(forgotten.is_empty(), "{}: {forgotten:?}", example.file);
            assert_eq!(
                example.decoded(&read.encode_to_vec()),
                example.decoded(&example.bytes),
                "{}",
                example.file
            );
        }
    }
}

#[test]
fn the_image_of_this_version_is_what_is_built() {
    let own = env!("CARGO_PKG_VERSION").rsplit_once('.').unwrap().0;
    let Some(version) = versions().into_iter().find(|version| version.name == own) else {
        panic!("version {own} has no corpus; write it as proto/README.md says");
    };
    let names = |pool: &DescriptorPool| -> BTreeSet<String> {
        let fields = pool
            .all_messages()
            .flat_map(|message| message.fields().collect::<Vec<_>>());
        fields
            .map(|field| format!("{} = {} {:?}", field.full_name(), field.number(), field.kind()))
            .collect()
    };
    let (frozen, built) = (names(&version.pool), names(&today()));
    let gone: Vec<_> = frozen.difference(&built).collect();
    let new: Vec<_> = built.difference(&frozen).collect();
    assert!(
        gone.is_empty() && new.is_empty(),
        "gone: {gone:#?}, new: {new:#?}"
    );
}
