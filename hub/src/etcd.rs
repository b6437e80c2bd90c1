//! How the hub reaches etcd: the address of the command line with the credentials of the configuration file.

use std::{fs, path::Path, time::Duration};

use berth_runtime::{
    CancellationToken,
    clock::Clock,
    retry::{Failure, Policy, RetryError, retry},
};
use berth_store::{EtcdError, EtcdOptions, EtcdStore};
use tracing::warn;

use crate::{config::EtcdAccess, home::HomeError};

/// For an etcd that elects, or starts together with its hubs.
const START: Policy = Policy::new(Duration::from_millis(200), Duration::from_secs(5));

/// Connects to the etcd at `url`, however long it does not answer; what will not get better by waiting ends it.
pub(crate) async fn connect(
    url: &str,
    access: &EtcdAccess,
    clock: &dyn Clock,
    cancel: &CancellationToken,
) -> Result<EtcdStore, HomeError> {
    let options = options(url, access)?;
    let connected = retry(&START, clock, cancel, || async {
        EtcdStore::connect(&options).await.map_err(|error| match &error {
            EtcdError::Store(problem) if problem.retryable() => {
                warn!(store = url, error = %problem, "etcd does not answer; trying again (see --store and etcd in the configuration)");
                Failure::retry(error)
            }
            _ => Failure::Stop(error),
        })
    });
    connected.await.map_err(|ended| match ended {
        RetryError::Cancelled { .. } => HomeError::Cancelled,
        RetryError::Stopped(error) | RetryError::Exhausted { last: error, .. } => HomeError::Etcd(error),
    })
}

/// The options of the store at `url`.
fn options(url: &str, access: &EtcdAccess) -> Result<EtcdOptions, HomeError> {
    let mut options = EtcdOptions::parse(url).map_err(|error| HomeError::Etcd(error.into()))?;
    let EtcdAccess {
        ca_file,
        cert_file,
        key_file,
        user,
        password_file,
        lease_seconds,
        request_timeout_seconds,
    } = access;
    options.ca_pem = read(ca_file.as_deref())?;
    options.cert_pem = read(cert_file.as_deref())?;
    options.key_pem = read(key_file.as_deref())?;
    options.user.clone_from(user);
    options.password = read(password_file.as_deref())?.map(|password| password.trim_end().to_owned());
    options.lease_ttl = Duration::from_secs(*lease_seconds);
    options.request_timeout = Duration::from_secs_f64(*request_timeout_seconds);
    options
        .check()
        .map_err(|error| HomeError::Etcd(EtcdError::from(error)))?;
    Ok(options)
}

fn read(path: Option<&Path>) -> Result<Option<String>, HomeError> {
    path.map(|path| {
        fs::read_to_string(path).map_err(|source| HomeError::File {
            operation: "read",
            path: path.to_owned(),
            source,
        })
    })
    .transpose()
}
