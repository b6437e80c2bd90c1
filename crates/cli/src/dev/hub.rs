//! The hub of `berth dev`: the real one, in this process, with the fake EKS as its cloud.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use berth_fake::cloud::LocalCloud;
use berth_hub::{HubError, LogFormat, Running};
use berth_runtime::CancellationToken;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{sync::oneshot, task::JoinHandle};

use super::{failed, place::Place};
use crate::exit::{Exit, Failure};

/// Looks at infrastructure more often than a hub with a real cloud.
const INFRA_POLL: Duration = Duration::from_millis(300);

/// Where the hub listened: the agents in clusters that were made know it by that.
#[derive(Deserialize, Serialize)]
struct Ports {
    api: SocketAddr,
    agents: SocketAddr,
}

/// Starts the hub and waits until it listens.
pub(super) async fn start(
    place: &Place,
    cloud: &LocalCloud,
    region: &str,
    cancel: &CancellationToken,
) -> Result<(Running, JoinHandle<Result<(), HubError>>), Failure> {
    let ports_file = place.path("ports.json");
    let ports = match fs::read(&ports_file)
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
    {
        Some(ports) => ports,
        None => {
            let ports = Ports {
                api: free_port()?,
                agents: free_port()?,
            };
            write(&ports_file, &json!(ports).to_string())?;
            ports
        }
    };
    let config = configure(place, cloud, region)?;
    let options = berth_hub::Options {
        data_dir: place.path("hub"),
        store: berth_hub::options::StoreChoice::Sled,
        advertise_api: None,
        advertise_agents: None,
        listen: ports.api,
        agent_listen: ports.agents,
        ops_listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        config: Some(config),
        log_format: LogFormat::Text,
        log: String::new(),
    };
    let (tell, started) = oneshot::channel();
    let mut task = tokio::spawn(berth_hub::run(options, cancel.clone(), |running| {
        drop(tell.send(running.clone()))
    }));
    tokio::select! {
        biased;
        Ok(running) = started => Ok((running, task)),
        result = &mut task => Err(ended(result)),
    }
}

/// Writes the configuration of a hub whose cloud is `cloud`.
pub(super) fn configure(place: &Place, cloud: &LocalCloud, region: &str) -> Result<PathBuf, Failure> {
    let config = place.path("hub.yaml");
    let key = cloud.credentials();
    let eks = json!({
        "defaultRegion": region,
        "regions": {
            region: { "subnetIds": ["subnet-0a1b2c3d4e5f60001", "subnet-0a1b2c3d4e5f60002"] },
            "us-east-1": { "subnetIds": ["subnet-0a1b2c3d4e5f60003", "subnet-0a1b2c3d4e5f60004"] },
        },
        "clusterRoleArn": "arn:aws:iam::123456789012:role/berth-cluster",
        "nodeRoleArn": "arn:aws:iam::123456789012:role/berth-node",
        "endpointUrl": cloud.endpoint_url(),
        "credentials": { "accessKeyId": key.access_key_id, "secretAccessKey": key.secret_access_key },
    });
    // JSON is YAML.
    let text = json!({
        "placement": {
            "defaultRegion": region,
            "infraPollSeconds": INFRA_POLL.as_secs_f64(),
            // Nothing here carries packets, and the embedded API knows no admission policies.
            "acceptGaps": { "network-policy": "demo", "admission-policy": "demo" },
        },
        "eks": eks,
    });
    write(&config, &format!("{text:#}"))?;
    Ok(config)
}

/// Why a hub that should run has ended.
pub(super) fn ended(result: Result<Result<(), HubError>, tokio::task::JoinError>) -> Failure {
    match result {
        Ok(Ok(())) => Failure::new(Exit::Failure, "the hub has ended"),
        Ok(Err(error)) => failed("the hub cannot go on", &error),
        Err(error) => failed("the hub has ended", &error),
    }
}

/// Sends the log of hub and agents into a file.
pub(super) fn log_to(path: &Path, filter: &str) -> Result<(), Failure> {
    berth_runtime::telemetry::init_file(path, filter).map_err(|error| failed("write the log", &error))
}

fn free_port() -> Result<SocketAddr, Failure> {
    std::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(|error| failed("find a free port", &error))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| failed(&format!("write {}", path.display()), &error))?;
    file.write_all(text.as_bytes())
        .map_err(|error| failed(&format!("write {}", path.display()), &error))
}
