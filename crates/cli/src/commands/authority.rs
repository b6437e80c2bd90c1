//! `berth fleet authority` and `berth fleet rotate-authority`.

use std::path::PathBuf;

use berth_proto::v1;
use berth_wire::file::Tree;

use super::Session;
use crate::{
    args::{FleetOutput, RotateAuthority, ShowAuthority},
    client::empty,
    context,
    exit::Failure,
    output::{short, unwritable},
};

pub(super) async fn show(
    session: &Session<'_>,
    args: ShowAuthority,
    context_file: Option<PathBuf>,
) -> Result<(), Failure> {
    let request = v1::GetAuthorityRequest {};
    let answer = session
        .hub
        .ask("authority", session.hub.hubs().get_authority(request))
        .await?;
    let authority = answer.authority.ok_or_else(|| empty("authority"))?;
    print(session, &authority, args.output)?;
    if args.update_context {
        let path = context::trust(context_file, &authority.trust_pem)?;
        let done = format!("{} trusts what the hub trusts\n", path.display());
        session.terminal.print(&done)?;
    }
    Ok(())
}

pub(super) async fn rotate(session: &Session<'_>, args: RotateAuthority) -> Result<(), Failure> {
    let step = match (args.finish, args.retire, args.abort) {
        (true, ..) => "finish",
        (_, true, _) => "retire",
        (.., true) => "abort",
        _ => "begin",
    };
    let request = v1::RotateAuthorityRequest {
        step: step.to_owned(),
        force: args.force,
    };
    let answer = session
        .hub
        .ask("authority", session.hub.hubs().rotate_authority(request))
        .await?;
    let authority = answer.authority.ok_or_else(|| empty("authority"))?;
    print(session, &authority, FleetOutput::Text)
}

fn print(session: &Session<'_>, authority: &v1::Authority, output: FleetOutput) -> Result<(), Failure> {
    let tree = || {
        Tree::map()
            .text("stage", &authority.stage)
            .text("pin", &authority.pin)
            .some_text("nextPin", &authority.next_pin)
            .some_text("oldPin", &authority.old_pin)
            .text("trustPem", &authority.trust_pem)
            .number("clusters", authority.clusters)
            .number("trusting", authority.trusting)
            .number("usingCurrent", authority.using_current)
            .with(
                "waitingFor",
                Tree::texts(authority.waiting_for.iter().map(|name| short(name))),
            )
            .some_text("message", &authority.message)
    };
    let text = match output {
        FleetOutput::Json => tree().to_json().map_err(unwritable)?,
        FleetOutput::Yaml => tree().to_yaml().map_err(unwritable)?,
        FleetOutput::Text => people(authority),
    };
    session.terminal.print(&text)
}

fn people(authority: &v1::Authority) -> String {
    let v1::Authority {
        stage,
        pin,
        next_pin,
        old_pin,
        clusters,
        trusting,
        using_current,
        waiting_for,
        message,
        ..
    } = authority;
    let mut lines = vec![format!("Stage:     {stage}"), format!("Signs:     {pin}")];
    if !next_pin.is_empty() {
        lines.push(format!("Next:      {next_pin}"));
    }
    if !old_pin.is_empty() {
        lines.push(format!("Old:       {old_pin}"));
    }
    lines.push(format!(
        "Agents:    {trusting} of {clusters} trust all of them, {using_current} of {clusters} use the one that signs"
    ));
    if !waiting_for.is_empty() {
        let names: Vec<&str> = waiting_for.iter().map(|name| short(name)).collect();
        lines.push(format!("Waits for: {}", names.join(", ")));
    }
    if !message.is_empty() {
        lines.push(format!("To do:     {message}"));
    }
    lines.push(String::new());
    lines.join("\n")
}
