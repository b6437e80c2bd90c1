//! Generates the types and services from the `.proto` files. protox compiles them, so no `protoc` is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const FILES: [&str; 16] = [
    "berth/v1/access.proto",
    "berth/v1/tenant.proto",
    "berth/v1/tier.proto",
    "berth/v1/organisation.proto",
    "berth/v1/bundle.proto",
    "berth/v1/cluster.proto",
    "berth/v1/join_token.proto",
    "berth/v1/operation.proto",
    "berth/v1/evidence.proto",
    "berth/v1/audit.proto",
    "berth/v1/hub.proto",
    "berth/v1/login.proto",
    "berth/v1/api_key.proto",
    "berth/v1/network.proto",
    "berth/agent/v1/agent.proto",
    "berth/record/v1/record.proto",
];

#[expect(
    clippy::disallowed_methods,
    reason = "cargo tells build scripts by the environment"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=berth");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        .bytes(".berth.agent.v1.Assign.objects_zstd")
        .btree_map(".")
        // They hold a secret; src/redacted.rs says what is shown of them.
        .skip_debug([
            ".berth.agent.v1.TokenMinted",
            ".berth.agent.v1.ReviewToken",
            ".berth.v1.IssueTenantCredentialResponse",
            ".berth.v1.CreateApiKeyResponse",
        ])
        .compile_fds(descriptors)?;
    Ok(())
}
