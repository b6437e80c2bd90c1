//! Writes the compatibility corpus of a version: `cargo run -p berth-wire --example corpus -- 0.1`.
//!
//! What is written and when it may be written again is said in `proto/README.md`.

mod fill;
mod layout;
mod values;

use std::{error::Error, fs, path::Path};

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use prost_types::FileDescriptorSet;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [version] = &arguments[..] else {
        return Err("say which version's corpus, as in `-- 0.1`".into());
    };
    let own = env!("CARGO_PKG_VERSION").rsplit_once('.').map(|(minor, _)| minor);
    if own != Some(version) {
        return Err(format!(
            "this is version {}: the corpus of {version} is not its to write; released ones never change",
            env!("CARGO_PKG_VERSION")
        )
        .into());
    }
    let pool = DescriptorPool::decode(berth_proto::DESCRIPTORS)?;
    let directory = layout::root().join(version);
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    write(&directory.join(layout::IMAGE), &image()?)?;
    let mut count = 0;
    for top in layout::tops(&pool) {
        for (name, example) in fill::examples(&top) {
            let path = directory.join(top.file(&name));
            write(&path, &example.encode_to_vec())?;
            write(&path.with_extension("json"), &readable(&example)?)?;
            count += 1;
        }
    }
    let sums = layout::sums(&directory)?;
    let lines: String = sums
        .iter()
        .map(|(file, sum)| format!("{sum}  {file}\n"))
        .collect();
    write(&directory.join(layout::SUMS), lines.as_bytes())?;
    println!("{count} examples in {}", directory.display());
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(fs::write(path, bytes)?)
}

/// The descriptors without comments and positions, which no comparison needs.
fn image() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut set = FileDescriptorSet::decode(berth_proto::DESCRIPTORS)?;
    for file in &mut set.file {
        file.source_code_info = None;
    }
    Ok(set.encode_to_vec())
}

/// Protobuf JSON with the names of the `.proto` files.
fn readable(message: &DynamicMessage) -> Result<Vec<u8>, Box<dyn Error>> {
    let options = SerializeOptions::new().use_proto_field_name(true);
    let value = message.serialize_with_options(serde_json::value::Serializer, &options)?;
    let mut text = serde_json::to_vec_pretty(&value)?;
    text.push(b'\n');
    Ok(text)
}
