//! `berth fleet support-bundle`: what somebody who is to help wants to see, in one file. It holds what the caller may see and nothing
//! secret: no manifests, no tokens, no keys; a part that the caller may not see says so in its place.

use std::{fs::OpenOptions, io::Write, os::unix::fs::OpenOptionsExt as _, path::Path};

use berth_wire::file::Tree;

use super::{Session, audit, fleet};
use crate::{
    args::SupportBundle,
    exit::{Exit, Failure},
    output::{Shown, listed, unwritable},
};

/// The newest events that are in it.
const EVENTS: u32 = 2_000;

pub(super) async fn run(session: &Session<'_>, args: SupportBundle) -> Result<(), Failure> {
    let hub = &session.hub;
    let parts = [
        ("about", about(session).await),
        ("fleet", fleet::standing(session).await),
        ("clusters", part(hub.list_clusters().await)),
        ("tenants", part(hub.list_tenants("").await)),
        ("tiers", part(hub.list_tiers().await)),
        ("organisations", part(hub.list_organisations().await)),
        ("bundles", part(hub.list_bundles().await)),
        ("operations", part(hub.list_operations().await)),
        ("evidence", part(hub.list_evidence().await)),
        ("role-bindings", part(hub.list_role_bindings().await)),
        ("join-tokens", part(hub.list_tokens().await)),
        ("api-keys", part(hub.list_api_keys().await)),
        ("audit", audit::newest(session, EVENTS).await),
    ];
    let missing = parts.iter().filter(|(_, part)| part.is_err()).count();
    write(&args.file, parts)
        .map_err(|error| Failure::new(Exit::Failure, format!("write {}: {error}", args.file.display())))??;
    let path = args.file.display();
    session
        .terminal
        .note(&format!("written to {path}; look it over before you hand it on"));
    if missing > 0 {
        session.terminal.note(&format!(
            "{missing} parts are missing, and say why (tar -xOf {path} NAME.json)"
        ));
    }
    Ok(())
}

async fn about(session: &Session<'_>) -> Result<Tree, Failure> {
    Ok(Tree::map()
        .text("commandLine", env!("CARGO_PKG_VERSION"))
        .text("time", &session.now().to_string()))
}

fn part<T: Shown>(items: Result<Vec<T>, Failure>) -> Result<Tree, Failure> {
    listed(&items?, false)
}

/// Each part as a JSON file of a tar archive that only its owner reads; nothing is overwritten.
fn write<const N: usize>(
    path: &Path,
    parts: [(&str, Result<Tree, Failure>); N],
) -> std::io::Result<Result<(), Failure>> {
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let mut archive = tar::Builder::new(file);
    for (name, part) in parts {
        let tree = part.unwrap_or_else(|failure| Tree::map().text("missing", &failure.lines.join("; ")));
        let text = match tree.to_json() {
            Ok(text) => text,
            Err(error) => return Ok(Err(unwritable(error))),
        };
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, format!("{name}.json"), text.as_bytes())?;
    }
    let mut file = archive.into_inner()?;
    file.flush()?;
    file.sync_all()?;
    Ok(Ok(()))
}
