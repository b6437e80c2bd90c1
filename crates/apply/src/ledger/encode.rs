//! How content is written down: JSON lines, zstd.

use std::io::Read as _;

use berth_model::assignment::{AppliedAs, ApplyPhase};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::object::{Item, ObjectRef};

/// No content unpacks to more than that.
const MOST_UNPACKED: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    object: ObjectRef,
    phase: ApplyPhase,
    applied_as: AppliedAs,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

pub(super) fn pack(items: &[Item]) -> Result<Vec<u8>, String> {
    let mut lines = Vec::new();
    for item in items {
        let manifest: &RawValue = serde_json::from_slice(&item.body).map_err(|error| error.to_string())?;
        let line = Line {
            object: item.object.clone(),
            phase: item.phase,
            applied_as: item.applied_as,
            manifest,
        };
        serde_json::to_writer(&mut lines, &line).map_err(|error| error.to_string())?;
        lines.push(b'\n');
    }
    zstd::encode_all(lines.as_slice(), 1).map_err(|error| error.to_string())
}

pub(super) fn unpack(packed: &[u8]) -> Result<Vec<Item>, String> {
    let decoder = zstd::Decoder::new(packed).map_err(|error| error.to_string())?;
    let mut text = String::new();
    decoder
        .take(MOST_UNPACKED)
        .read_to_string(&mut text)
        .map_err(|error| error.to_string())?;
    let item = |line: &str| {
        let line: Line<'_> = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let body = line.manifest.get().as_bytes().into();
        Ok(Item {
            object: line.object,
            phase: line.phase,
            applied_as: line.applied_as,
            body,
        })
    };
    text.lines().map(item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Kind;

    #[test]
    fn what_is_packed_comes_back_byte_for_byte() {
        let item = |name: &str| Item {
            object: ObjectRef::new(Kind::ConfigMap, Some("t-a"), name).unwrap(),
            phase: ApplyPhase::Workload,
            applied_as: AppliedAs::Deployer,
            body: br#"{"b":1,"a":"x\ny"}"#.as_slice().into(),
        };
        let items = vec![item("one"), item("two")];
        assert_eq!(unpack(&pack(&items).unwrap()).unwrap(), items);
        assert!(unpack(b"nonsense").is_err());
    }
}
