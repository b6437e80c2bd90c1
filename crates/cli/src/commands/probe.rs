//! `berth probe`.

use std::time::Duration;

use berth_proto::v1;

use super::Session;
use crate::{
    args::{Format, Output, Probe},
    exit::{Exit, Failure, Outcome},
    kinds::{self, Kind, Targets},
    output,
};

/// How often the hub is asked whether there is something new.
const LOOK: Duration = Duration::from_millis(300);

pub(super) async fn run(session: &Session<'_>, args: Probe) -> Result<(), Failure> {
    let Probe { targets, timeout } = args;
    let Targets { kind, names } = kinds::targets(&targets)?;
    if kind != Kind::Tenant || names.is_empty() {
        return Err(Failure::usage("name the tenants: berth probe tenant NAME"));
    }
    let mut outcome = Outcome::default();
    let mut found = Vec::new();
    for name in &names {
        let asked = tokio::time::timeout(timeout, probe(session, name)).await;
        let late = || {
            Failure::new(
                Exit::Timeout,
                format!(
                    "tenant/{name}: not probed in time; is its agent busy? see berth get evidence {name}"
                ),
            )
        };
        found.extend(outcome.take(asked.unwrap_or_else(|_| Err(late()))));
    }
    if !found.is_empty() {
        let output = Output {
            output: Format::Wide,
            no_headers: false,
        };
        output::show(session.terminal, &found, &output, false, session.now())?;
    }
    for evidence in found.iter().filter(|evidence| evidence.failed > 0) {
        let message = format!("{}: {}", evidence.name, evidence.message);
        outcome.add(Failure::new(Exit::Failure, message));
    }
    outcome.finish()
}

/// Has one tenant probed and waits for what comes of it.
async fn probe(session: &Session<'_>, name: &str) -> Result<v1::Evidence, Failure> {
    let hub = &session.hub;
    let before = match hub.evidence(name).await {
        Ok(evidence) => evidence.probe_time,
        Err(failure) if failure.exit == Exit::NotFound => None,
        Err(failure) => return Err(failure),
    };
    ask(session, name).await?;
    let mut asked = hub.server();
    let seconds = |at: &Option<prost_types::Timestamp>| at.as_ref().map(|at| (at.seconds, at.nanos));
    loop {
        let found = hub.evidence(name).await;
        if hub.server() != asked {
            // What a hub was asked for is forgotten with its lead.
            ask(session, name).await?;
            asked = hub.server();
        }
        match found {
            Ok(evidence) if seconds(&evidence.probe_time) > seconds(&before) => return Ok(evidence),
            Ok(_) => {}
            Err(failure) if failure.exit == Exit::NotFound => {}
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn ask(session: &Session<'_>, name: &str) -> Result<(), Failure> {
    let request = v1::ProbeTenantRequest {
        name: format!("tenants/{name}"),
    };
    let mut evidences = session.hub.evidences();
    let asked = evidences.probe_tenant(request);
    session.hub.ask(&format!("tenant/{name}"), asked).await.map(drop)
}
