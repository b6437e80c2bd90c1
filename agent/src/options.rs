//! How an agent is configured: one struct, taken apart field by field in [`crate::run()`], so that a flag nobody uses does not compile.

use std::{net::SocketAddr, path::PathBuf};

use berth_apply::BreakerLimits;
use berth_identity::CaPins;
use berth_runtime::telemetry::Format;
use http::Uri;

/// How often tenants' walls are probed, in seconds.
pub const EVIDENCE_INTERVAL: u64 = 600;

/// The agent of one cluster: dials the hub, keeps this cluster as the hub assigns it, and reports back.
///
/// The first start needs --token-file and --ca-pin, as `berth token create CLUSTER` prints them. The identity got for them is
/// kept in the cluster (Secret berth-agent-identity), so that later starts need neither.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// Address of the hub's agent listener, https://HOST:PORT; several, by comma or repeated, are tried in turn.
    #[arg(long, value_name = "URL", env = "BERTH_HUB", value_delimiter = ',', required = true, value_parser = hub_url)]
    pub hub: Vec<Uri>,

    /// File with the join token; read at the first start only, and may be gone afterwards.
    #[arg(long, value_name = "FILE", env = "BERTH_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,

    /// Pin of the hub's certificate authority, sha256:HEX, or several by comma; needed at the first start.
    #[arg(long, value_name = "PIN", env = "BERTH_CA_PIN")]
    pub ca_pin: Option<CaPins>,

    /// How to reach the cluster; without it the pod's service account, or else the usual kubeconfig.
    #[arg(long, value_name = "FILE", env = "BERTH_KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,

    /// The agent's own namespace, where it keeps its identity, its ledger and its Lease.
    #[arg(long, value_name = "NAME", env = "BERTH_NAMESPACE", default_value = berth_model::label::AGENT_NAMESPACE)]
    pub namespace: String,

    /// Where users reach this cluster's API, reported to the hub; without it the address the agent itself uses.
    #[arg(
        long,
        visible_alias = "advertise-api-url",
        value_name = "URL",
        env = "BERTH_API_URL"
    )]
    pub api_url: Option<String>,

    /// That many tenants may always be deleted within --withdraw-window; at more the agent stops until an operator confirms.
    #[arg(long, value_name = "TENANTS", env = "BERTH_WITHDRAW_LIMIT", default_value_t = BreakerLimits::default().tenants)]
    pub withdraw_limit: usize,

    /// That share of the cluster's tenants may be deleted within --withdraw-window, in percent, when it is more.
    #[arg(long, value_name = "PERCENT", env = "BERTH_WITHDRAW_PERCENT", default_value_t = BreakerLimits::default().percent)]
    pub withdraw_percent: usize,

    /// The window of --withdraw-limit and --withdraw-percent, in seconds.
    #[arg(long, value_name = "SECONDS", env = "BERTH_WITHDRAW_WINDOW", default_value_t = BreakerLimits::default().window.as_secs())]
    pub withdraw_window: u64,

    /// How often each tenant's walls are probed, in seconds, besides after every change; evidence is believed for three of it.
    #[arg(long, value_name = "SECONDS", env = "BERTH_EVIDENCE_INTERVAL", default_value_t = EVIDENCE_INTERVAL, value_parser = clap::value_parser!(u64).range(1..=28_800))]
    pub evidence_interval: u64,

    /// Serve /livez, /readyz and /metrics here.
    #[arg(long, value_name = "ADDR", env = "BERTH_OPS_LISTEN")]
    pub ops_listen: Option<SocketAddr>,

    /// Name of this process among agents of the cluster; the same name takes the Lease over at once. In a pod: the pod's name.
    #[arg(long, value_name = "NAME", env = "POD_NAME", hide = true)]
    pub instance: Option<String>,

    /// Write log lines as text or json.
    #[arg(long, value_name = "FORMAT", env = "BERTH_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// Which log lines to write, such as info,berth_agent=debug.
    #[arg(long, value_name = "FILTER", env = "BERTH_LOG", default_value = "info")]
    pub log: String,
}

/// `text` or `json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl From<LogFormat> for Format {
    fn from(format: LogFormat) -> Self {
        match format {
            LogFormat::Text => Self::Text,
            LogFormat::Json => Self::Json,
        }
    }
}

/// A hub's address: `https`, a host and a port, nothing more.
fn hub_url(text: &str) -> Result<Uri, String> {
    let problem = |what: &str| Err(format!("{what}; write it as https://HOST:PORT"));
    let Ok(uri) = text.trim().parse::<Uri>() else {
        return problem("not a URL");
    };
    match uri.scheme_str() {
        Some("https") => {}
        Some(other) => return problem(&format!("the hub speaks https, not {other}")),
        None => return problem("the scheme is missing"),
    }
    if uri.host().is_none_or(str::is_empty) {
        return problem("the host is missing");
    }
    if uri.port_u16().is_none() {
        return problem("the port is missing");
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return problem("it has a path");
    }
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Cli {
        #[command(flatten)]
        options: Options,
    }

    #[test]
    fn a_hub_address_is_https_host_and_port() {
        for fine in [
            "https://hub.example:8443",
            "https://10.0.0.1:1",
            "https://[::1]:8443/",
        ] {
            assert!(hub_url(fine).is_ok(), "{fine}");
        }
        for wrong in [
            "hub:8443",
            "http://hub:1",
            "https://hub",
            "https://hub:1/path",
            "https://:1",
            "",
            "https://hub:1/?x",
        ] {
            assert!(hub_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn several_hubs_are_given_by_comma_or_repeated() {
        let pin = format!("sha256:{}", "00".repeat(32));
        let args = [
            "agent",
            "--hub",
            "https://a:1,https://b:2",
            "--hub",
            "https://c:3",
            "--ca-pin",
            &pin,
        ];
        let options = Cli::try_parse_from(args)
            .unwrap_or_else(|e| panic!("{e}"))
            .options;
        assert_eq!(options.hub.len(), 3);
        assert!(options.ca_pin.is_some());
        assert!(Cli::try_parse_from(["agent", "--hub", "https://a:1", "--ca-pin", "sha256:00"]).is_err());
    }
}
