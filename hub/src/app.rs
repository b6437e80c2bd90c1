//! Builds every part of a hub and runs it until it is told to end.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use berth_control::{Authorizer, Board, Registry, Sessions};
use berth_eks::EksProvisioner;
use berth_identity::{Incoming, IncomingOptions, key_backup::Recipient, recovery::Challenges, tls};
use berth_model::FleetId;
use berth_proto::{
    agent::agent_service_server::AgentServiceServer,
    v1::{
        access_service_server::AccessServiceServer, api_key_service_server::ApiKeyServiceServer,
        audit_service_server::AuditServiceServer, bundle_service_server::BundleServiceServer,
        cluster_service_server::ClusterServiceServer, evidence_service_server::EvidenceServiceServer,
        hub_service_server::HubServiceServer, join_token_service_server::JoinTokenServiceServer,
        login_service_server::LoginServiceServer, operation_service_server::OperationServiceServer,
        organisation_service_server::OrganisationServiceServer, tenant_service_server::TenantServiceServer,
        tier_service_server::TierServiceServer,
    },
};
use berth_provision::{NoCloud, Provisioner};
use berth_runtime::{CancellationToken, Clock, Metrics, Readiness, SystemClock, ops};
use berth_store::Candidate;
use tokio::net::TcpListener;
use tonic::transport::Server;
use tower::layer::util::{Identity, Stack};
use tracing::{info, warn};

use crate::{
    acceptor::Acceptor,
    audit::{
        self, Audit, AuditError, AuditOptions, Webhook, Writing,
        agents::AgentCalls,
        calls::{Known, Recorded, Witness},
    },
    auth::{Accounts, Bearer, Oidc},
    backup::Backing,
    bootstrap::AgentBootstrap,
    calls::{Admission, Certificates, Entry, Passing},
    config::Config,
    error::HubError,
    gate::Gate,
    grpc::{
        Api, access::AccessOf, agent::Agents, api_key::ApiKeys, audit::Events, bundle::Bundles,
        cluster::Clusters, evidence::EvidenceOf, hub::Hubs, join_token::JoinTokens, login::Logins,
        operation::Operations, organisation::Organisations, tenant::Tenants, tier::Tiers,
    },
    home::{Home, HomeError},
    lead::{Lead, Leader},
    limits::{self, Callers, Limited, Strangers},
    metrics,
    options::Options,
    upkeep::{About, Upkeep},
};

/// Time that open calls get to end when the hub ends.
const DRAIN: Duration = Duration::from_secs(5);
const KEEPALIVE: Duration = Duration::from_secs(20);
/// Between two looks at a store that no hub has ever led on.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Where a running hub is reached.
#[derive(Clone, Debug)]
pub struct Running {
    /// The API, `https://HOST:PORT`.
    pub api_url: String,
    /// Where agents dial.
    pub agent_urls: Vec<String>,
    /// Where /readyz is.
    pub ops: SocketAddr,
    /// The admin's context.
    pub admin_context: PathBuf,
    /// Pin of the hub's authority.
    pub ca_pin: String,
}

/// Runs a hub until `cancel`. `started` is told once everything listens.
///
/// # Errors
/// [`HubError`] says which part and what to do.
pub async fn run(
    options: Options,
    cancel: CancellationToken,
    started: impl FnOnce(&Running) + Send,
) -> Result<(), HubError> {
    let Options {
        data_dir,
        store,
        advertise_api,
        advertise_agents,
        listen,
        agent_listen,
        ops_listen,
        config,
        log_format: _,
        log: _,
    } = options;
    let config = Config::load(config.as_deref())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let readiness = Readiness::new();
    let starting = readiness.guard("start");

    let oidc = Oidc::new(&config.auth, clock.clone())?;
    let keys_dir = config.keys.dir.clone().unwrap_or_else(|| data_dir.clone());
    let opened = Home::open(
        &data_dir,
        &keys_dir,
        &store,
        &config.etcd,
        clock.as_ref(),
        &cancel,
    );
    let home = match opened.await {
        Ok(home) => Arc::new(home),
        Err(HomeError::Cancelled) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let (api_listener, api_address) = bind("the API", listen).await?;
    let (agent_listener, agent_address) = bind("agents", agent_listen).await?;
    let (ops_listener, ops_address) = bind("operators", ops_listen).await?;

    let api_url = advertise_api.unwrap_or_else(|| format!("https://{}", reachable(api_address)));
    let agent_url = advertise_agents.unwrap_or_else(|| format!("https://{}", reachable(agent_address)));
    let hub_urls = match config.agents.hub_urls.as_slice() {
        [] => vec![agent_url.clone()],
        urls => urls.to_vec(),
    };
    let mut urls = hub_urls.clone();
    urls.extend([api_url.clone(), agent_url.clone()]);
    let names = server_names(&config, &[api_address, agent_address], &urls);

    let sessions = Sessions::new(clock.clone());
    let board = Board::default();
    let registry = Registry::new(home.store.clone(), clock.clone());
    let provisioner: Arc<dyn Provisioner> = match &config.eks {
        Some(eks) => Arc::new(
            EksProvisioner::new(eks.clone())
                .await
                .map_err(|error| HubError::Cloud(error.to_string()))?
                .with_clock(clock.clone()),
        ),
        None => Arc::new(NoCloud),
    };
    #[cfg(feature = "failpoints")]
    let provisioner: Arc<dyn Provisioner> = Arc::new(crate::failing::FailingCloud(provisioner));
    let backing = Backing::new(config.backup.as_ref())
        .map_err(HubError::Backup)?
        .map(Arc::new);
    let candidate = Candidate {
        id: uuid::Uuid::new_v4().simple().to_string(),
        api_url: api_url.clone(),
        agent_url,
    };
    let writing = Writing::begin(
        &config.audit.dir.clone().unwrap_or_else(|| data_dir.join("audit")),
        &keys_dir.join("audit-key"),
        AuditOptions {
            hub: api_url.clone(),
            segment_bytes: config.audit.segment_megabytes.max(1) << 20,
            seal_events: config.audit.seal_events.max(1),
            seal_after: Duration::from_secs(config.audit.seal_seconds.max(1)),
        },
        clock.clone(),
    )?;
    let audit = writing.audit.clone();
    let webhook = match &config.audit.webhook {
        Some(webhook) => {
            Some(Webhook::new(webhook, audit.clone(), clock.clone()).map_err(AuditError::Webhook)?)
        }
        None => None,
    };
    let lead = Lead::new(candidate, home.election.leader());
    let leader = Leader {
        lead: lead.clone(),
        home: home.clone(),
        provisioner,
        bootstrapper: Arc::new(AgentBootstrap {
            registry: registry.clone(),
            authority: home.authority.clone(),
            hub_urls: hub_urls.clone(),
            image: config.agents.image.clone(),
        }),
        recorder: Arc::new(audit.clone()),
        sessions: sessions.clone(),
        board: board.clone(),
        clock: clock.clone(),
        settings: config.settings(),
        backing: backing.clone(),
    };
    // The loop outlives the listeners, so that what was accepted last is still decided.
    let loop_cancel = CancellationToken::new();
    let mut leading = tokio::spawn(leader.run(cancel.clone(), loop_cancel.clone()));
    let fleet_id = tokio::select! {
        biased;
        fleet_id = which_fleet(&home, &lead, clock.as_ref()) => fleet_id?,
        ended = &mut leading => {
            writing.end().await;
            home.close().await;
            return leading_ended(ended);
        }
    };
    let about = About {
        data_dir,
        fleet: fleet_id.clone(),
        api_url: api_url.clone(),
        names,
        outside: config.tls.clone(),
    };
    let upkeep = Arc::new(Upkeep::new(home.clone(), sessions.clone(), clock.clone(), about)?);
    let authorizer = Authorizer::default();
    tokio::spawn(
        authorizer
            .clone()
            .follow(home.store.clone(), clock.clone(), cancel.clone()),
    );
    let api = Api {
        registry,
        authorizer,
        board: board.clone(),
        sessions: sessions.clone(),
        lead: lead.clone(),
        clock: clock.clone(),
        authority: home.authority.clone(),
        fleet_id: fleet_id.clone(),
        hub_urls: hub_urls.clone(),
        require_accept: config.join.require_accept,
    };

    let registered = Metrics::new("berth_hub");
    let (api_limits, agent_limits) = limits::both(&config.limits, &registered, &clock);
    metrics::register(
        &registered,
        board,
        sessions.clone(),
        lead.clone(),
        backing.clone(),
        audit.clone(),
        clock.clone(),
    );
    let reporting = tokio::spawn(audit::terms(
        audit.clone(),
        lead.clone(),
        readiness.clone(),
        loop_cancel.clone(),
    ));
    let sending = webhook.map(|webhook| tokio::spawn(webhook.run(loop_cancel.clone())));
    let ops_task = tokio::spawn(ops::serve(
        ops_listener,
        ops::router(readiness.clone(), registered),
        loop_cancel.clone(),
    ));

    let incoming = |listener, limited: &Limited, tls| {
        let options = IncomingOptions {
            handshake_timeout: limited.limits().handshake(),
            concurrent_handshakes: limited.limits().handshakes,
            doorkeeper: Some(Arc::new(limited.door())),
            ..IncomingOptions::new(fleet_id.clone())
        };
        Acceptor::new(Incoming::new(listener, tls, options), limited.clone())
    };
    let api_incoming = incoming(
        api_listener,
        &api_limits,
        tls::api_server(&upkeep.trust, upkeep.api.clone())?,
    );
    let agent_incoming = incoming(
        agent_listener,
        &agent_limits,
        tls::agent_server(&upkeep.trust, upkeep.agents.clone())?,
    );
    oidc.warm_up();
    let recipient = backing.as_ref().and_then(|backing| backing.recipient().cloned());
    let api_router = api_router(
        &api,
        &home,
        Way {
            oidc,
            audit: &audit,
            recipient,
            limited: &api_limits,
            upkeep: &upkeep,
        },
    )?;
    let agents = AgentServiceServer::new(Agents {
        api: api.clone(),
        store: home.store.clone(),
        challenges: Challenges::new()?,
        lifetime: Duration::from_secs(config.agents.certificate_seconds),
        ending: cancel.clone(),
    })
    .max_decoding_message_size(config.limits.message_bytes)
    .max_encoding_message_size(config.limits.message_bytes);
    let agent_router = server(&agent_limits)
        .layer(Passing(agent_limits.strangers()))
        .layer(Passing(AgentCalls::new(audit.clone(), clock.clone())))
        .add_service(agents);

    let mut api_task =
        tokio::spawn(api_router.serve_with_incoming_shutdown(api_incoming, cancel.clone().cancelled_owned()));
    let mut agent_task = tokio::spawn(
        agent_router.serve_with_incoming_shutdown(agent_incoming, cancel.clone().cancelled_owned()),
    );
    let running = Running {
        api_url,
        agent_urls: hub_urls,
        ops: ops_address,
        admin_context: upkeep.admin_context(),
        ca_pin: home.authority.pin().to_string(),
    };
    // A hub that follows is as ready as one that leads; one that was elected and cannot lead never is.
    let unsettled = tokio::select! {
        biased;
        ended = &mut leading => Some(ended),
        () = lead.settled() => {
            info!(api = %running.api_url, agents = ?running.agent_urls, ops = %running.ops, context = %running.admin_context.display(), store = home.kind, "hub runs");
            drop(starting);
            started(&running);
            None
        }
        () = cancel.cancelled() => None,
    };

    let mut lost = None;
    let ended = match unsettled {
        Some(ended) => Some(ended),
        None => tokio::select! {
            biased;
            () = cancel.cancelled() => None,
            ended = &mut leading => Some(ended),
            ended = &mut api_task => { lost = Some(("the API", ended)); None }
            ended = &mut agent_task => { lost = Some(("agents", ended)); None }
            () = upkeep.run() => None,
        },
    };
    let lost = lost.filter(|_| !cancel.is_cancelled());
    // Streams of agents and watchers never end by themselves.
    sessions.goodbye_all("Draining", "the hub is ending");
    cancel.cancel();
    let drained = tokio::time::timeout(DRAIN, async {
        while !(api_task.is_finished() && agent_task.is_finished()) {
            clock.sleep(Duration::from_millis(5)).await;
        }
    });
    if drained.await.is_err() {
        warn!("calls were still open after {DRAIN:?} and are cut");
        api_task.abort();
        agent_task.abort();
    }
    loop_cancel.cancel();
    let ended = match ended {
        Some(ended) => ended,
        None => leading.await,
    };
    let _ = ops_task.await;
    let _ = reporting.await;
    if let Some(sending) = sending {
        let _ = sending.await;
    }
    writing.end().await;
    home.close().await;
    if let Some((what, ended)) = lost {
        return Err(served(what, ended));
    }
    leading_ended(ended)
}

fn leading_ended(ended: Result<Result<(), HubError>, tokio::task::JoinError>) -> Result<(), HubError> {
    ended.unwrap_or_else(|panicked| {
        Err(HubError::Serve {
            what: "the control loop",
            source: Box::new(panicked),
        })
    })
}

/// Which fleet the store is of; waits for the first hub to lead when nobody ever has.
async fn which_fleet(home: &Home, lead: &Lead, clock: &dyn Clock) -> Result<FleetId, HubError> {
    loop {
        match home.fleet().await {
            Ok(Some(record)) => return Ok(record.fleet),
            Ok(None) => {}
            Err(HomeError::Store(error)) if error.retryable() => {
                warn!(%error, "the store does not answer; trying again");
            }
            Err(error) => return Err(error.into()),
        }
        tokio::select! {
            biased;
            () = lead.settled() => clock.sleep(LOOK_AGAIN).await,
            () = clock.sleep(LOOK_AGAIN) => {}
        }
    }
}

/// Why a listener has ended by itself.
fn served(
    what: &'static str,
    ended: Result<Result<(), tonic::transport::Error>, tokio::task::JoinError>,
) -> HubError {
    match ended {
        Ok(Ok(())) => HubError::Serve {
            what,
            source: "it ended by itself".into(),
        },
        Ok(Err(error)) => HubError::Serve {
            what,
            source: Box::new(error),
        },
        Err(panicked) => HubError::Serve {
            what,
            source: Box::new(panicked),
        },
    }
}

fn server(limited: &Limited) -> Server {
    let server = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .tcp_nodelay(true);
    limited.serving(server)
}

/// What a call passes on its way in, from the inside out: last it was recorded, before that it was asked whether the caller may, whether this
/// hub may answer, who calls, and at the very beginning whether there is room. The log sees both ends of it.
type Layers = Steps<
    Recorded,
    Steps<
        Admission,
        Steps<Gate, Steps<Known, Steps<Callers, Steps<Entry, Steps<Witness, Steps<Strangers>>>>>>,
    >,
>;
type Steps<T, Before = Identity> = Stack<Passing<T>, Before>;

/// What a call passes on its way in besides the services themselves.
struct Way<'a> {
    oidc: Oidc,
    audit: &'a Audit,
    recipient: Option<Recipient>,
    limited: &'a Limited,
    upkeep: &'a Arc<Upkeep>,
}

fn api_router(
    api: &Api,
    home: &Arc<Home>,
    way: Way<'_>,
) -> Result<tonic::transport::server::Router<Layers>, HubError> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(berth_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .map_err(|source| HubError::Serve {
            what: "gRPC reflection",
            source: Box::new(source),
        })?;
    let (_, health) = tonic_health::server::health_reporter();
    let hubs = HubServiceServer::new(Hubs {
        api: api.clone(),
        home: home.clone(),
        recipient: way.recipient,
        upkeep: way.upkeep.clone(),
    });
    let recording = audit::calls::Layers::new(way.audit.clone(), api.clock.clone());
    let events = AuditServiceServer::new(Events {
        api: api.clone(),
        audit: way.audit.clone(),
    });
    // A token for one fleet is worth nothing to another.
    let audience = format!("{}.berth.dev", api.fleet_id);
    let bearer = Bearer {
        registry: api.registry.clone(),
        oidc: way.oidc.clone(),
        accounts: Accounts::new(
            api.sessions.clone(),
            Arc::new({
                let lead = api.lead.clone();
                move || lead.leading().is_some()
            }),
            api.clock.clone(),
            audience.clone(),
        ),
    };
    let logins = Logins {
        oidc: way.oidc,
        audience,
    };
    let limited = way.limited;
    let longest = limited.limits().message_bytes;
    let entry = Entry::new(vec![Arc::new(Certificates), Arc::new(bearer)], longest);
    Ok(server(limited)
        .layer(Passing(limited.strangers()))
        .layer(Passing(recording.witness()))
        .layer(Passing(entry))
        .layer(Passing(limited.callers()))
        .layer(Passing(recording.known()))
        .layer(Passing(Gate::new(api.lead.clone())))
        .layer(Passing(Admission::new(
            api.authorizer.clone(),
            api.registry.clone(),
        )))
        .layer(Passing(recording.recorded()))
        .add_service(health)
        .add_service(reflection)
        .add_service(hubs)
        .add_service(LoginServiceServer::new(logins))
        .add_service(ApiKeyServiceServer::new(ApiKeys(api.clone())))
        .add_service(events)
        .add_service(AccessServiceServer::new(AccessOf(api.clone())))
        .add_service(TenantServiceServer::new(Tenants(api.clone())))
        .add_service(TierServiceServer::new(Tiers(api.clone())))
        .add_service(OrganisationServiceServer::new(Organisations(api.clone())))
        .add_service(BundleServiceServer::new(Bundles(api.clone())))
        .add_service(ClusterServiceServer::new(Clusters(api.clone())))
        .add_service(JoinTokenServiceServer::new(JoinTokens(api.clone())))
        .add_service(EvidenceServiceServer::new(EvidenceOf(api.clone())))
        .add_service(OperationServiceServer::new(Operations(api.clone()))))
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), HubError> {
    let listen = |source| HubError::Listen {
        what,
        address,
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(listen)?;
    let bound = listener.local_addr().map_err(listen)?;
    Ok((listener, bound))
}

/// An address others can use: a listener on every address is reached by loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let mut address = address;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    address
}

/// Names in the hub's own certificate.
fn server_names(config: &Config, addresses: &[SocketAddr], hub_urls: &[String]) -> Vec<String> {
    let mut names: Vec<String> = vec!["localhost".into(), "127.0.0.1".into(), "::1".into()];
    names.extend(addresses.iter().map(|address| address.ip().to_string()));
    names.extend(config.names.iter().cloned());
    names.extend(hub_urls.iter().filter_map(|url| {
        url.parse::<http::Uri>()
            .ok()?
            .host()
            .map(|h| h.trim_matches(['[', ']']).to_owned())
    }));
    names.sort();
    names.dedup();
    names.retain(|name| name != "0.0.0.0" && name != "::");
    names
}
