//! How each process is called, and when it counts as ready.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ServiceAccount;
use kube::{Api, Client};

use super::client::{client, get_text};
use super::guard::Guard;
use super::home::{Home, State};
use super::pki::{Pki, User};
use super::process::Process;
use super::{Binaries, Binary, Error, Options, SharedEtcd, stages};
use crate::access::{Access, Credentials};

const READY_WITHIN: Duration = Duration::from_secs(90);
/// How long one look at the API may take; a socket that accepts but says nothing is not ready.
const LOOK_WITHIN: Duration = Duration::from_secs(5);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// A free port may be taken by another process before kube-apiserver listens on it, and the port of the last start may be
/// held for a moment by a predecessor that is just being killed.
const ATTEMPTS: usize = 4;
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(300);

/// A kube-apiserver that is ready.
pub(super) struct Apiserver {
    pub(super) process: Process,
    pub(super) access: Access,
    pub(super) client: Client,
}

/// Starts kube-apiserver, on the port of the last start or a free one, and waits until it is ready.
pub(super) async fn apiserver(
    binaries: &Binaries,
    options: &Options,
    home: &Home,
    pki: &Pki,
    etcd: &SharedEtcd,
    guard: &Arc<Guard>,
) -> Result<Apiserver, Error> {
    let known = home.state()?;
    let etcd_prefix = known.as_ref().map_or_else(
        || format!("/registry-{}", uuid::Uuid::new_v4().simple()),
        |state| state.etcd_prefix.clone(),
    );
    let mut attempt = 1;
    loop {
        let port = match &known {
            Some(state) => state.port,
            None => free_port()?,
        };
        let access = admin_access(pki, port)?;
        home.write("kubeconfig", &access.kubeconfig("berth"))?;
        let arguments = apiserver_arguments(options, home, pki, etcd, port, &etcd_prefix)?;
        let program = binaries.require(Binary::Apiserver)?;
        let mut process = Process::spawn(Binary::Apiserver, program, arguments, home.logs(), guard)?;
        let client = client(&access).await?;
        match ready(&client, &mut process).await {
            Ok(()) => {
                home.save(&State { port, etcd_prefix })?;
                return Ok(Apiserver {
                    process,
                    access,
                    client,
                });
            }
            Err(Error::Stopped { .. }) if attempt < ATTEMPTS => {
                attempt += 1;
                if known.is_some() {
                    tokio::time::sleep(BETWEEN_ATTEMPTS).await;
                }
            }
            Err(error) => return Err(error),
        }
    }
}

fn apiserver_arguments(
    options: &Options,
    home: &Home,
    pki: &Pki,
    etcd: &SharedEtcd,
    port: u16,
    etcd_prefix: &str,
) -> Result<Vec<String>, Error> {
    let mut arguments = vec![
        format!("--etcd-servers={}", etcd.url()),
        format!("--etcd-prefix={etcd_prefix}"),
        format!("--secure-port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        // Endpoints may not be loopback addresses, and a machine may have no other: one reserved for documentation.
        "--advertise-address=192.0.2.1".to_owned(),
        format!("--tls-cert-file={}", pki.serving_certificate().display()),
        format!("--tls-private-key-file={}", pki.serving_key().display()),
        format!("--client-ca-file={}", pki.ca().display()),
        format!("--service-account-key-file={}", pki.accounts_public().display()),
        format!(
            "--service-account-signing-key-file={}",
            pki.accounts_key().display()
        ),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--profiling=false".to_owned(),
    ];
    if let Some(webhook) = &options.token_webhook {
        let access = Access {
            url: webhook.url.clone(),
            ca_pem: webhook.ca_pem.clone(),
            // The service knows callers by nothing but the token that they ask about.
            credentials: Credentials::Token("kube-apiserver".to_owned()),
        };
        let path = home.write("token-webhook.yaml", &access.kubeconfig("token-webhook"))?;
        arguments.extend([
            format!("--authentication-token-webhook-config-file={}", path.display()),
            "--authentication-token-webhook-version=v1".to_owned(),
            "--authentication-token-webhook-cache-ttl=10s".to_owned(),
        ]);
    }
    arguments.extend(options.apiserver_args.iter().cloned());
    Ok(arguments)
}

fn admin_access(pki: &Pki, port: u16) -> Result<Access, Error> {
    access(pki, User::Admin, &format!("https://127.0.0.1:{port}"))
}

fn access(pki: &Pki, user: User, url: &str) -> Result<Access, Error> {
    let (certificate_pem, key_pem) = pki.client(user)?;
    Ok(Access {
        url: url.to_owned(),
        ca_pem: pki.ca_pem()?,
        credentials: Credentials::Certificate {
            certificate_pem,
            key_pem,
        },
    })
}

pub(super) fn free_port() -> Result<u16, Error> {
    crate::ports::free_port().map_err(Error::files("find a free port on", Path::new("127.0.0.1")))
}

async fn ready(client: &Client, process: &mut Process) -> Result<(), Error> {
    let looks = async {
        loop {
            process.ensure_running()?;
            let look = tokio::time::timeout(LOOK_WITHIN, get_text(client, "/readyz"));
            if matches!(look.await, Ok(Ok(_))) {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    match tokio::time::timeout(READY_WITHIN, looks).await {
        Ok(result) => result,
        Err(_) => Err(process.not_ready(READY_WITHIN)),
    }
}

/// Waits until the controller manager has made the service account without which no pod can be created.
pub(super) async fn default_account(
    client: &Client,
    followers: &mut [Process],
    apiserver: &Process,
) -> Result<(), Error> {
    let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
    let looks = async {
        loop {
            followers.iter_mut().try_for_each(Process::ensure_running)?;
            let look = tokio::time::timeout(LOOK_WITHIN, accounts.get_opt("default"));
            if matches!(look.await, Ok(Ok(Some(_)))) {
                return Ok(());
            }
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    };
    let outcome = tokio::time::timeout(READY_WITHIN, looks).await;
    outcome.unwrap_or_else(|_| Err(followers.first().unwrap_or(apiserver).not_ready(READY_WITHIN)))
}

pub(super) fn controller_manager(
    binaries: &Binaries,
    home: &Home,
    pki: &Pki,
    url: &str,
    guard: &Arc<Guard>,
) -> Result<Process, Error> {
    let kubeconfig = home.write(
        "controller-manager.kubeconfig",
        &access(pki, User::ControllerManager, url)?.kubeconfig("berth"),
    )?;
    let arguments = [
        format!("--kubeconfig={}", kubeconfig.display()),
        format!(
            "--service-account-private-key-file={}",
            pki.accounts_key().display()
        ),
        format!("--root-ca-file={}", pki.ca().display()),
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
        // Hosted control planes allow their controllers more than the default of 20 a second, at which a few hundred
        // namespaces wait for their quotas.
        "--kube-api-qps=200".to_owned(),
        "--kube-api-burst=400".to_owned(),
    ];
    let program = binaries.require(Binary::ControllerManager)?;
    Process::spawn(Binary::ControllerManager, program, arguments, home.logs(), guard)
}

pub(super) fn scheduler(
    binaries: &Binaries,
    home: &Home,
    pki: &Pki,
    url: &str,
    guard: &Arc<Guard>,
) -> Result<Process, Error> {
    let kubeconfig = home.write(
        "scheduler.kubeconfig",
        &access(pki, User::Scheduler, url)?.kubeconfig("berth"),
    )?;
    let arguments = [
        format!("--kubeconfig={}", kubeconfig.display()),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ];
    Process::spawn(
        Binary::Scheduler,
        binaries.require(Binary::Scheduler)?,
        arguments,
        home.logs(),
        guard,
    )
}

pub(super) fn kwok(
    binaries: &Binaries,
    home: &Home,
    pki: &Pki,
    url: &str,
    guard: &Arc<Guard>,
) -> Result<Process, Error> {
    let kubeconfig = home.write(
        "kwok.kubeconfig",
        &access(pki, User::Kwok, url)?.kubeconfig("berth"),
    )?;
    let stages = home.write("stages.yaml", stages::STAGES)?;
    let arguments = [
        format!("--kubeconfig={}", kubeconfig.display()),
        format!("--config={}", stages.display()),
        "--manage-all-nodes=true".to_owned(),
        "--node-lease-duration-seconds=40".to_owned(),
    ];
    Process::spawn(
        Binary::Kwok,
        binaries.require(Binary::Kwok)?,
        arguments,
        home.logs(),
        guard,
    )
}
