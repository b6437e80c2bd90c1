//! How the hub reaches etcd: the address of the command line with the credentials of the configuration file.

use std::{fs, path::Path, time::Duration};

use berth_store::{EtcdError, EtcdOptions};

use crate::{config::EtcdAccess, home::HomeError};

/// The options of the store at `url`.
pub(crate) fn options(url: &str, access: &EtcdAccess) -> Result<EtcdOptions, HomeError> {
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
