//! Where etcd is, who asks, and how long is waited. It opens nothing.

use std::{fmt, time::Duration};

/// What is asked when a URL names no port.
const CLIENT_PORT: u16 = 2379;
/// Under what everything is kept when the URL says nothing.
const PREFIX: &str = "/berth/";

/// How etcd is reached and used. Passwords and keys are never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct EtcdOptions {
    /// `http://HOST:PORT` or `https://HOST:PORT` of the members, tried in turn. All of one cluster.
    pub endpoints: Vec<String>,
    /// Under what everything is kept; begins and ends with a slash. Fleets that share an etcd have different ones.
    pub prefix: String,
    /// Who signs the members' certificates, PEM: needed for TLS, nobody is trusted by default.
    pub ca_pem: Option<String>,
    /// The certificate this client shows, PEM; goes with `key_pem`.
    pub cert_pem: Option<String>,
    /// Its key, PEM.
    pub key_pem: Option<String>,
    /// The user, when etcd asks for one; goes with `password`.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// How long a leader that is not heard of stays leader. etcd counts whole seconds and takes at least two.
    pub lease_ttl: Duration,
    /// How long an answer is waited for.
    pub request_timeout: Duration,
}

/// Why options cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("etcd store {what}: {problem}")]
pub struct InvalidEtcdOptions {
    /// Which part: the URL without its user, or the name of an option.
    pub what: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl InvalidEtcdOptions {
    pub(super) fn new(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            problem: problem.into(),
        }
    }
}

impl EtcdOptions {
    /// The members at `endpoints`, without certificates and user.
    #[must_use]
    pub fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            prefix: PREFIX.to_owned(),
            ca_pem: None,
            cert_pem: None,
            key_pem: None,
            user: None,
            password: None,
            lease_ttl: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
        }
    }

    /// Takes `etcd://HOST:PORT,HOST:PORT/PREFIX`, or `etcds://` for TLS. Port and prefix may be left out.
    /// A user is not taken here: what is written on a command line is seen by everybody on the machine.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn parse(url: &str) -> Result<Self, InvalidEtcdOptions> {
        let (scheme, rest) = match (url.strip_prefix("etcd://"), url.strip_prefix("etcds://")) {
            (Some(rest), _) => ("http", rest),
            (_, Some(rest)) => ("https", rest),
            _ => {
                return Err(InvalidEtcdOptions::new(
                    url.split("://").next().unwrap_or_default(),
                    "is no such URL: etcd://HOST:2379,HOST:2379/PREFIX, or etcds:// for TLS",
                ));
            }
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        if let Some((_, host)) = hosts.rsplit_once('@') {
            return Err(InvalidEtcdOptions::new(
                host,
                "has a user in its URL, which others on the machine can read: give user and password as options",
            ));
        }
        let mut endpoints = Vec::new();
        for host in hosts.split(',') {
            endpoints.push(format!("{scheme}://{}", with_port(host)?));
        }
        let mut options = Self::new(endpoints);
        let path = path.trim_matches('/');
        if !path.is_empty() {
            options.prefix = format!("/{path}/");
        }
        options.check()?;
        Ok(options)
    }

    /// Whether they can be used.
    ///
    /// # Errors
    /// The first part that is wrong.
    pub fn check(&self) -> Result<(), InvalidEtcdOptions> {
        let wrong = |what: &str, problem: &str| Err(InvalidEtcdOptions::new(what, problem));
        if self.endpoints.is_empty() {
            return wrong("endpoints", "are none: name at least one member");
        }
        let tls = |endpoint: &String| endpoint.starts_with("https://");
        if self
            .endpoints
            .iter()
            .any(|endpoint| !tls(endpoint) && !endpoint.starts_with("http://"))
        {
            return wrong("endpoints", "are not all http:// or https://");
        }
        let encrypted = self.endpoints.iter().filter(|endpoint| tls(endpoint)).count();
        if encrypted != 0 && encrypted != self.endpoints.len() {
            return wrong("endpoints", "are partly with and partly without TLS");
        }
        let any_pem = self.ca_pem.is_some() || self.cert_pem.is_some() || self.key_pem.is_some();
        if encrypted == 0 && any_pem {
            return wrong(
                "certificates",
                "are only used with TLS: write etcds:// instead of etcd://",
            );
        }
        if self.cert_pem.is_some() != self.key_pem.is_some() {
            return wrong("client certificate", "needs both the certificate and its key");
        }
        if self.user.is_some() != self.password.is_some() {
            return wrong("user", "needs both a name and a password");
        }
        let graphic = self.prefix.bytes().all(|byte| byte.is_ascii_graphic());
        let slashes = self.prefix.len() > 2 && self.prefix.starts_with('/') && self.prefix.ends_with('/');
        if !slashes || !graphic || self.prefix.contains("//") || self.prefix.len() > 256 {
            return wrong(
                "prefix",
                "is not printable ASCII between slashes, such as /berth/",
            );
        }
        if self.lease_ttl < Duration::from_secs(2) || self.lease_ttl > Duration::from_secs(60) {
            return wrong("lease", "lasts from 2 to 60 seconds");
        }
        if self.request_timeout.is_zero() {
            return wrong("request timeout", "is nothing: give it a few seconds");
        }
        Ok(())
    }
}

fn with_port(host: &str) -> Result<String, InvalidEtcdOptions> {
    let wrong = |problem: &str| Err(InvalidEtcdOptions::new(format!("host {host:?}"), problem));
    let odd = |c: char| !(c.is_ascii_alphanumeric() || "-._:[]".contains(c));
    if host.is_empty() || host.contains(odd) {
        return wrong("is no HOST or HOST:PORT");
    }
    // The colons of an IPv6 address are inside its brackets.
    let name_ends = host.rfind(']').map_or(0, |at| at + 1);
    match host[name_ends..].split_once(':') {
        None => Ok(format!("{host}:{CLIENT_PORT}")),
        Some((name, port)) if name_ends + name.len() > 0 => match port.parse::<u16>() {
            Ok(1..) => Ok(host.to_owned()),
            _ => wrong("has a port that is no number from 1 to 65535"),
        },
        Some(_) => wrong("has a port and no name"),
    }
}

impl fmt::Debug for EtcdOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EtcdOptions")
            .field("endpoints", &self.endpoints)
            .field("prefix", &self.prefix)
            .field("ca", &self.ca_pem.is_some())
            .field("client_certificate", &self.cert_pem.is_some())
            .field("user", &self.user)
            .field("lease_ttl", &self.lease_ttl)
            .field("request_timeout", &self.request_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_members_and_prefix() {
        for (url, endpoints, prefix) in [
            ("etcd://a", &["http://a:2379"][..], "/berth/"),
            ("etcd://a:1,b/", &["http://a:1", "http://b:2379"], "/berth/"),
            (
                "etcds://10.0.0.1:2379/fleets/eu",
                &["https://10.0.0.1:2379"],
                "/fleets/eu/",
            ),
            (
                "etcd://[::1]:5,[fe80::2]/x/",
                &["http://[::1]:5", "http://[fe80::2]:2379"],
                "/x/",
            ),
        ] {
            let options = EtcdOptions::parse(url).unwrap();
            assert_eq!(
                (&options.endpoints[..], &*options.prefix),
                (
                    &endpoints.iter().map(|e| (*e).to_owned()).collect::<Vec<_>>()[..],
                    prefix
                ),
                "{url}"
            );
        }
    }

    #[test]
    fn a_url_that_is_wrong_is_told_what_is_wrong_and_no_password() {
        for (url, word) in [
            ("http://a:2379", "etcd://HOST"),
            ("a:2379", "etcd://HOST"),
            ("etcd://", "no HOST"),
            ("etcd://a,,b", "no HOST"),
            ("etcd://a:0", "port"),
            ("etcd://a:99999", "port"),
            ("etcd://:5", "no name"),
            ("etcd://root:secret@a:1", "as options"),
            ("root:secret@etcd://a", "etcd://HOST"),
            ("etcd://a/b//c", "slashes"),
            ("etcd://a/b c", "slashes"),
        ] {
            let error = EtcdOptions::parse(url).unwrap_err().to_string();
            assert!(error.contains(word), "{url}: {error}");
            assert!(!error.contains("secret") || url.starts_with("root"), "{error}");
        }
    }

    #[test]
    fn halves_of_pairs_and_certificates_without_tls_are_refused() {
        let plain = EtcdOptions::parse("etcd://a").unwrap();
        let tls = EtcdOptions::parse("etcds://a").unwrap();
        for (wrong, word) in [
            (
                EtcdOptions {
                    ca_pem: Some("x".into()),
                    ..plain.clone()
                },
                "etcds://",
            ),
            (
                EtcdOptions {
                    cert_pem: Some("x".into()),
                    ..tls.clone()
                },
                "its key",
            ),
            (
                EtcdOptions {
                    user: Some("x".into()),
                    ..tls.clone()
                },
                "password",
            ),
            (
                EtcdOptions {
                    lease_ttl: Duration::from_millis(500),
                    ..tls.clone()
                },
                "seconds",
            ),
            (
                EtcdOptions {
                    endpoints: Vec::new(),
                    ..tls.clone()
                },
                "at least one",
            ),
            (
                EtcdOptions {
                    prefix: "berth".into(),
                    ..tls.clone()
                },
                "slashes",
            ),
        ] {
            let error = wrong.check().unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let options = EtcdOptions {
            password: Some("hidden-word".into()),
            key_pem: Some("hidden-key".into()),
            ..EtcdOptions::new(vec!["https://a".into()])
        };
        assert!(!format!("{options:?}").contains("hidden"));
    }
}
