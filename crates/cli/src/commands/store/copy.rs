//! `berth store backup` and `berth store export`: out of a store.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use berth_proto::v1;
use berth_store::{
    backup,
    snapshot::{self, Summary},
};
use bytes::Bytes;

use super::{
    Backup, Export, Format,
    access::{Opened, open_store},
    keys, show,
    source::{of_backup, of_snapshot, place},
};
use crate::{
    args::Common,
    client::Hub,
    context,
    exit::{Exit, Failure},
    terminal::Terminal,
};

/// Of a running hub.
pub(super) async fn online(args: Backup, common: Common, terminal: &Terminal) -> Result<(), Failure> {
    let hub = Hub::leading(&context::load(common.context_file)?, common.request_timeout).await?;
    let progress = terminal.progress();
    progress.say("asking the hub");
    let request = v1::BackupRequest {
        recipient: args.recipient.clone().unwrap_or_default(),
    };
    let mut parts = hub.ask("backup", hub.hubs().backup(request)).await?;
    let (mut file, mut sealed) = (Vec::new(), Vec::new());
    // The limit of a request is one for each part here: a fleet's whole backup takes as long as it takes.
    while let Some(part) = tokio::time::timeout(common.request_timeout, parts.message())
        .await
        .map_err(|_| {
            Failure::new(
                Exit::Timeout,
                "backup: the hub stopped sending (--request-timeout allows longer)",
            )
        })?
        .map_err(|status| Failure::of("backup", &status))?
    {
        file.extend_from_slice(&part.part);
        if !part.encrypted_keys.is_empty() {
            sealed = part.encrypted_keys;
        }
        progress.say(&format!("{} read", show::bytes(file.len() as u64)));
    }
    drop(progress);
    put(&args.to, Bytes::from(file), sealed, terminal, args.output.output).await
}

/// Of a hub that is stopped, or of what several hubs share.
pub(super) async fn offline(args: Backup, terminal: &Terminal) -> Result<(), Failure> {
    let progress = terminal.progress();
    progress.say("reading the store");
    let opened = open_store(&args.store).await?;
    let file = taken(&opened).await?;
    let sealed = match (&args.recipient, &args.store.data_dir) {
        (Some(recipient), Some(dir)) => keys::seal(dir, recipient)?,
        _ => Vec::new(),
    };
    drop(progress);
    put(&args.to, file, sealed, terminal, args.output.output).await
}

pub(super) async fn export(args: Export, terminal: &Terminal) -> Result<(), Failure> {
    let progress = terminal.progress();
    progress.say("reading the store");
    let opened = open_store(&args.store).await?;
    let file = taken(&opened).await?;
    drop(progress);
    let summary = new_file(&args.to, &file)?;
    say(
        terminal,
        args.output.output,
        &args.to.display().to_string(),
        &summary,
    )
}

async fn taken(opened: &Opened) -> Result<Bytes, Failure> {
    let mut file = Vec::new();
    let written = snapshot::write(opened.store()?, &opened.about().await?, &mut file).await;
    written.map_err(|error| of_snapshot("the store", &error))?;
    Ok(Bytes::from(file))
}

/// Puts a backup where it is wanted. It is checked first: what does not read back is no backup.
async fn put(
    to: &str,
    file: Bytes,
    sealed: Vec<u8>,
    terminal: &Terminal,
    format: Format,
) -> Result<(), Failure> {
    store(to, file, terminal, format).await?;
    if sealed.is_empty() {
        terminal.note("the hub's keys are not in it: name --recipient age1... (or the hub's backup.recipient), or keep ca/ and audit-key/ elsewhere");
        return Ok(());
    }
    let at = keys::put(to, sealed).await?;
    terminal.note(&format!("the hub's keys are in {at}, encrypted"));
    Ok(())
}

async fn store(to: &str, file: Bytes, terminal: &Terminal, format: Format) -> Result<(), Failure> {
    if to.contains("://") || Path::new(to).is_dir() {
        let place = place(to)?;
        let (chain, summary) = backup::save(place.as_ref(), file)
            .await
            .map_err(|error| of_backup(&error))?;
        return say(terminal, format, &format!("{} ({chain})", place.name()), &summary);
    }
    let summary = new_file(&PathBuf::from(to), &file)?;
    say(terminal, format, to, &summary)
}

fn new_file(path: &Path, bytes: &Bytes) -> Result<Summary, Failure> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let summary = snapshot::verify(&bytes[..]).map_err(|error| of_snapshot("the backup", &error))?;
    let failed = |operation: &'static str| {
        move |error: std::io::Error| {
            Failure::new(Exit::Failure, format!("{operation} {}: {error}", path.display()))
        }
    };
    if path.exists() {
        return Err(Failure::new(
            Exit::Conflict,
            format!(
                "{} is there already: name a new file, or a directory that holds several backups",
                path.display()
            ),
        ));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".unfinished");
    let beside = PathBuf::from(beside);
    let mut file = fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&beside)
        .map_err(failed("create"))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(failed("write"))?;
    fs::rename(&beside, path).map_err(failed("write"))?;
    Ok(summary)
}

fn say(terminal: &Terminal, format: Format, to: &str, summary: &Summary) -> Result<(), Failure> {
    show::print(
        terminal,
        format,
        || format!("written to {to}\n\n{}", show::lines(&show::summary(summary))),
        || show::summary_tree(summary).text("to", to),
    )
}
