//! Where the examples of a version are, and of which messages there are some.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use prost_reflect::{DescriptorPool, MessageDescriptor};
use sha2::{Digest as _, Sha256};

/// The descriptors of a version.
pub(crate) const IMAGE: &str = "berth.binpb";
/// The hashes of its files, as `sha256sum -c` reads them.
pub(crate) const SUMS: &str = "SHA256SUMS";

/// Whole messages that are read by somebody else than who wrote them, by the directory of their examples.
pub(crate) struct Top {
    directory: &'static str,
    pub(crate) message: MessageDescriptor,
}

impl Top {
    /// Whether it is in a store, and not sent.
    pub(crate) fn at_rest(&self) -> bool {
        self.directory == "record"
    }

    /// The file of an example, without and with a name of its own.
    pub(crate) fn file(&self, example: &str) -> PathBuf {
        let name = match (is_link(&self.message), example) {
            (true, _) => example.to_owned(),
            (false, "") => self.message.name().to_owned(),
            (false, _) => format!("{}.{example}", self.message.name()),
        };
        Path::new(self.directory).join(format!("{name}.binpb"))
    }
}

fn is_link(message: &MessageDescriptor) -> bool {
    matches!(
        message.full_name(),
        "berth.agent.v1.LinkRequest" | "berth.agent.v1.LinkResponse"
    )
}

/// The corpora of all versions.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto/corpus")
}

/// Everything that calls carry, and every record.
pub(crate) fn tops(pool: &DescriptorPool) -> Vec<Top> {
    let mut found = BTreeMap::new();
    for service in pool.services() {
        for method in service.methods() {
            for message in [method.input(), method.output()] {
                let directory = match message.full_name() {
                    "berth.agent.v1.LinkRequest" => "link-request",
                    "berth.agent.v1.LinkResponse" => "link-response",
                    name if name.starts_with("berth.agent.") => "join",
                    _ => "api",
                };
                found.insert(message.full_name().to_owned(), Top { directory, message });
            }
        }
    }
    for message in pool.all_messages() {
        if message.package_name() == "berth.record.v1"
            && message.parent_message().is_none()
            && message.name().ends_with("Record")
        {
            let directory = "record";
            found.insert(message.full_name().to_owned(), Top { directory, message });
        }
    }
    found.into_values().collect()
}

/// The hash of every file but the list of hashes.
pub(crate) fn sums(version: &Path) -> io::Result<BTreeMap<String, String>> {
    let mut sums = BTreeMap::new();
    let mut open = vec![version.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let name = path.strip_prefix(version).unwrap_or(&path);
            let name = name.to_string_lossy().replace('\\', "/");
            if name != SUMS {
                sums.insert(name, hex::encode(Sha256::digest(fs::read(&path)?)));
            }
        }
    }
    Ok(sums)
}
