//! `berth agent` and `berth agent manifest`.

use berth_proto::v1;
use berth_runtime::{CancellationToken, telemetry};
use berth_wire::status;
use clap::{Args, Subcommand};

use super::{Session, on_threads, speak_to};
use crate::{
    args::Common,
    exit::{Exit, Failure},
    terminal::Terminal,
};

/// Run a cluster's agent, or print its manifest.
#[derive(Args, Debug)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true
)]
pub(crate) struct Agent {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    options: Option<berth_agent::Options>,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Print what `kubectl apply -f -` brings an agent into a cluster with; makes a join token for it
    Manifest(Manifest),
}

/// Print the agent's manifest.
#[derive(Args, Debug)]
struct Manifest {
    /// The cluster's name in the fleet
    cluster: String,
    /// Image of the agent; its entry point is berth-agent
    #[arg(long, default_value = concat!("berth-agent:", env!("CARGO_PKG_VERSION")))]
    image: String,
    /// The agent's namespace
    #[arg(long, default_value = berth_model::label::AGENT_NAMESPACE)]
    namespace: String,
    /// Leave out the MutatingAdmissionPolicy, for clusters that do not serve admissionregistration.k8s.io/v1 of it (before 1.36)
    #[arg(long)]
    no_pinning_policy: bool,
    /// Leave out the join token: for an agent that has joined before and gets a newer manifest
    #[arg(long)]
    no_token: bool,
    /// Give a cluster that has joined already, or was revoked, a new identity; delete its Secret berth-agent-identity first
    #[arg(long, conflicts_with = "no_token")]
    rejoin: bool,
    /// Where users reach the cluster's API; inside a pod the agent cannot know
    #[arg(long, value_name = "URL")]
    api_url: Option<String>,
    /// Region, when the nodes do not say
    #[arg(long, default_value = "", hide_default_value = true)]
    region: String,
    /// Name in the cloud when it differs
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    cloud_name: String,
}

/// Does what was asked for.
pub(super) fn run(args: Agent, common: Common, terminal: &Terminal) -> Result<(), Failure> {
    match args {
        Agent {
            verb: Some(Verb::Manifest(manifest)),
            ..
        } => speak_to(common, terminal, async |session| print(session, manifest).await),
        Agent {
            verb: None,
            options: Some(options),
        } => on_threads(serve(options)),
        Agent {
            verb: None,
            options: None,
        } => Err(Failure::usage(
            "name a hub (--hub URL), or ask for `berth agent manifest CLUSTER`",
        )),
    }
}

async fn serve(options: berth_agent::Options) -> Result<(), Failure> {
    telemetry::init(options.log_format.into(), &options.log)
        .map_err(|error| Failure::usage(error.to_string()))?;
    let shutdown = CancellationToken::new();
    let told = shutdown.clone();
    tokio::spawn(async move {
        if berth_runtime::drain::signal().await.is_ok() {
            told.cancel();
        }
    });
    berth_agent::run(options, shutdown)
        .await
        .map_err(|error| Failure::new(Exit::Failure, format!("agent: {error}")))
}

async fn print(session: &Session<'_>, manifest: Manifest) -> Result<(), Failure> {
    let Manifest {
        cluster,
        image,
        namespace,
        no_pinning_policy,
        no_token,
        rejoin,
        api_url,
        region,
        cloud_name,
    } = manifest;
    let subject = format!("token for cluster {cluster}");
    // A token is made in any case: only its answer says where agents dial and what they check.
    let mut request = v1::CreateJoinTokenRequest {
        cluster,
        region,
        cloud_name,
        rejoin,
        ..v1::CreateJoinTokenRequest::default()
    };
    if no_token {
        // Nobody uses it, so whether the cluster has joined is all the same.
        let first = session.hub.tokens().create_join_token(request.clone()).await;
        let reason = first.as_ref().err().and_then(status::reason);
        request.rejoin = reason.as_deref() == Some("CLUSTER_JOINED");
        if let Ok(unused) = first {
            discard(session, &subject, unused.into_inner().join_token).await?;
        }
    }
    let made = session
        .hub
        .ask(&subject, session.hub.tokens().create_join_token(request))
        .await?;
    if no_token {
        discard(session, &subject, made.join_token).await?;
    }
    let objects = berth_agent::manifest::render(&berth_agent::manifest::ManifestOptions {
        hub_urls: made.hub_urls,
        ca_pin: made.ca_pin,
        token: (!no_token).then_some(made.token),
        image,
        namespace,
        mutating: !no_pinning_policy,
        api_url,
    });
    session.terminal.print(&berth_agent::manifest::to_yaml(&objects))
}

/// Takes a token back.
async fn discard(session: &Session<'_>, subject: &str, token: Option<v1::JoinToken>) -> Result<(), Failure> {
    let Some(token) = token else {
        return Ok(());
    };
    let request = v1::DeleteJoinTokenRequest { name: token.name };
    session
        .hub
        .ask(subject, session.hub.tokens().delete_join_token(request))
        .await?;
    Ok(())
}
