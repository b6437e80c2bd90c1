//! The command line as it is typed.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit;

/// Berth: tenants on shared clusters, on nodes of their own and on clusters of their own.
#[derive(Parser, Debug)]
#[command(name = "berth", version, about, long_about = None, after_help = exit::HELP, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What applies to every command that speaks to a hub.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// File with the hub's address and credentials [default: ~/.config/berth/context.yaml]
    #[arg(long, global = true, env = "BERTH_CONTEXT", value_name = "FILE")]
    pub context_file: Option<PathBuf>,
    /// Longest wait for one answer of the hub, with looking for the one that leads
    #[arg(long, global = true, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    pub request_timeout: Duration,
    /// No colours, whatever the terminal can do (so does the environment's NO_COLOR)
    #[arg(long, global = true)]
    pub no_color: bool,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Bring tenants, tiers, organisations, role bindings and bundles to what files say
    Apply(Apply),
    /// Show tenants, tiers, organisations, bundles, clusters, operations, tokens, API keys, evidence, role bindings, roles or audit events
    Get(Get),
    /// Show everything about one or more of them, for people
    Describe(Describe),
    /// Delete by name or by file
    Delete(Delete),
    /// Say why a tenant is where it is, or why it is nowhere
    Explain(Explain),
    /// Show what `apply` would change; exit code 1 when there is something
    Diff(Diff),
    /// Wait until tenants have a condition, or are gone
    Wait(Wait),
    /// Show tenants and follow their changes
    Watch(Watch),
    Kubeconfig(Box<crate::commands::kubeconfig::Access>),
    Login(crate::login::Login),
    /// Sign out: the provider ends the sign-in where it can, and this machine forgets it
    Logout,
    /// Make API keys for programs
    #[command(subcommand, name = "apikey")]
    ApiKey(ApiKey),
    /// Make join tokens
    #[command(subcommand)]
    Token(Token),
    /// Say who you are to the hub and what you may do
    #[command(subcommand)]
    Auth(crate::commands::auth::Auth),
    /// No new tenants on a cluster from now on
    Cordon(Cordon),
    /// New tenants on a cluster again
    Uncordon(Cordon),
    /// Let tenants onto a cluster that joined by a token with --accept-by-admin, or at a hub that wants every cluster accepted
    Accept(Accept),
    /// Void a cluster's identity: cut its agent off now, and refuse it until it joins again with a new key
    ///
    /// For a cluster whose agent, or whose Secret berth-agent-identity, is in wrong hands. Its session ends within seconds and nothing its
    /// agent shows is taken any more, by any hub of the fleet. Nothing is deleted: tenants there run on as they are, new ones go
    /// elsewhere. It comes back by a token of `berth token create CLUSTER --rejoin`, with a key of its own making.
    Revoke(Revoke),
    /// Let tenants onto a cluster that cannot hold one of their walls
    ///
    /// A cluster on which nobody is known to enforce network policies, or that does not serve ValidatingAdmissionPolicy, takes no
    /// tenants of shared tiers (berth explain tenant says so). Whoever accepts that gives a reason, which every tenant that is
    /// placed there shows for ever.
    AcceptGap(AcceptGap),
    /// Let tenants of a cluster go after a mass-delete breaker stopped that
    ///
    /// No more than max(3, 10 %) of a cluster's tenants go within 10 minutes, whoever asked for it: then the hub, and by its own
    /// count the cluster's agent, stop until somebody confirms that it is meant. Look at what is being deleted first
    /// (berth get tenants). A release confirms every tenant of the cluster whose deletion was asked for by then: they go, all of
    /// them, uncounted. What is asked for later is counted anew. The limits are in the hub's configuration (breaker) and in the
    /// agent's options (--withdraw-limit, --withdraw-percent, --withdraw-window).
    ReleaseBreaker(Cordon),
    /// Have tenants' walls probed now, and show what comes of it; exit code 1 when one does not hold
    Probe(Probe),
    /// Show how the hub is and what the clusters hold against what it has, let it take command after a restore, roll its authority over
    #[command(subcommand)]
    Fleet(Fleet),
    /// Print a completion script for a shell
    Completion(Completion),
    /// Show the whole of Berth on this machine: hub, played EKS, clusters, agents, tenants of every isolation level
    Dev(crate::dev::Dev),
    /// Run the hub
    Hub(Box<berth_hub::Options>),
    /// Check audit logs; `berth get audit` shows what is in a hub's
    #[command(subcommand)]
    Audit(crate::commands::audit::Audit),
    /// Look into a hub's store, back it up, restore it, move it
    #[command(subcommand)]
    Store(Box<crate::commands::store::Store>),
    /// Run a cluster's agent, or print its manifest
    Agent(Box<crate::commands::agent::Agent>),
}

/// Where objects are written down.
#[derive(Args, Clone, Debug)]
pub(crate) struct Files {
    /// File, directory (its .yaml, .yml and .json files, in order of name) or - for standard input; repeatable
    #[arg(short, long = "filename", value_name = "FILE|DIR|-", required = true)]
    pub filename: Vec<PathBuf>,
}

/// Bring tenants, tiers, organisations, role bindings and bundles to what files say.
#[derive(Args, Debug)]
pub(crate) struct Apply {
    /// What to apply.
    #[command(flatten)]
    pub files: Files,
    /// Let the hub check everything and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Wait until every tenant in the files is Ready
    #[arg(long)]
    pub wait: bool,
    /// Longest wait for all of it
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = duration)]
    pub timeout: Duration,
}

/// How lists are shown.
#[derive(Args, Clone, Debug)]
pub(crate) struct Output {
    /// How to show them
    #[arg(short, long, default_value = "table", value_name = "FORMAT")]
    pub output: Format,
    /// Tables without their first line
    #[arg(long)]
    pub no_headers: bool,
}

/// A format.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A table.
    Table,
    /// A table with more columns.
    Wide,
    /// JSON; several as a List.
    Json,
    /// YAML; several as a List.
    Yaml,
    /// kind/name, a line each.
    Name,
}

/// Show tenants, tiers, organisations, bundles, clusters, operations, tokens, API keys, evidence, role bindings, roles or audit events.
#[derive(Args, Debug)]
pub(crate) struct Get {
    /// KIND [NAME...] or KIND/NAME...
    #[arg(required = true, value_name = "KIND [NAME]")]
    pub targets: Vec<String>,
    /// Only those with `key=value,...`: labels; for tenants also tier, isolation, cluster, ready, organisation, team, project, costCentre and environment
    #[arg(short = 'l', long, alias = "filter", value_name = "FILTER")]
    pub selector: Option<String>,
    /// Go on and show changes (tenants only)
    #[arg(short, long)]
    pub watch: bool,
    /// How to show them.
    #[command(flatten)]
    pub output: Output,
    /// Which events, for `audit`.
    #[command(flatten)]
    pub audit: crate::commands::audit::Filter,
}

/// Show everything about one or more things.
#[derive(Args, Debug)]
pub(crate) struct Describe {
    /// KIND [NAME...] or KIND/NAME...
    #[arg(required = true, value_name = "KIND [NAME]")]
    pub targets: Vec<String>,
}

/// Delete by name or by file.
#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// KIND NAME... or KIND/NAME...
    #[arg(
        value_name = "KIND NAME",
        required_unless_present = "filename",
        conflicts_with = "filename"
    )]
    pub targets: Vec<String>,
    /// File, directory or - with what to delete; repeatable
    #[arg(short, long, value_name = "FILE|DIR|-")]
    pub filename: Vec<PathBuf>,
    /// What is not there is no failure
    #[arg(long)]
    pub ignore_not_found: bool,
    /// Wait until tenants are gone, with everything that was made for them
    #[arg(long)]
    pub wait: bool,
    /// Longest wait for all of it
    #[arg(long, default_value = "30m", value_name = "DURATION", value_parser = duration)]
    pub timeout: Duration,
}

/// Say why a tenant is where it is.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    /// tenant NAME or tenant/NAME
    #[arg(
        value_name = "tenant NAME",
        required_unless_present = "filename",
        conflicts_with = "filename"
    )]
    pub targets: Vec<String>,
    /// Explain a tenant that is not created yet, as if it were created now
    #[arg(short, long, value_name = "FILE|-")]
    pub filename: Vec<PathBuf>,
    /// How to show it.
    #[command(flatten)]
    pub output: Output,
}

/// Show what `apply` would change.
#[derive(Args, Debug)]
pub(crate) struct Diff {
    /// What would be applied.
    #[command(flatten)]
    pub files: Files,
}

/// Wait until tenants have a condition, or are gone.
#[derive(Args, Debug)]
pub(crate) struct Wait {
    /// tenant NAME... or tenant/NAME...
    #[arg(required = true, value_name = "tenant/NAME")]
    pub targets: Vec<String>,
    /// What for: condition=TYPE, condition=TYPE=STATUS, or delete
    #[arg(long = "for", default_value = "condition=Ready", value_name = "WHAT", value_parser = crate::commands::wait::goal)]
    pub goal: crate::commands::wait::Goal,
    /// Longest wait for all of them
    #[arg(long, default_value = "10m", value_name = "DURATION", value_parser = duration)]
    pub timeout: Duration,
}

/// Show tenants and follow their changes.
#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// tenants, tenant NAME or tenant/NAME
    #[arg(required = true, value_name = "tenants [NAME]")]
    pub targets: Vec<String>,
    /// Only those with `key=value,...`
    #[arg(short = 'l', long, alias = "filter", value_name = "FILTER")]
    pub selector: Option<String>,
    /// How to show them.
    #[command(flatten)]
    pub output: Output,
}

/// How the hub is, and what an operator decides about it.
#[derive(Subcommand, Debug)]
pub(crate) enum Fleet {
    /// Show whether the context's hub leads, in which term, on which store, and what keeps it from acting
    Status(FleetStatus),
    /// Show which tenants the clusters hold differently from what the hub's store says, and what taking command would do with each
    Difference(FleetStatus),
    /// Let a hub act that only observes because its store was restored, or that has stopped because an agent knows a higher term
    TakeCommand(TakeCommand),
    /// Show the certificate authority, where its roll-over stands, and how many agents trust and use it
    Authority(ShowAuthority),
    /// Roll the certificate authority over, without touching a cluster
    RotateAuthority(RotateAuthority),
    /// Write what somebody who is to help wants to see into one file; nothing secret is in it
    SupportBundle(SupportBundle),
}

/// Where to.
#[derive(Args, Debug)]
pub(crate) struct SupportBundle {
    /// The file to write, a tar archive of JSON files; it must not be there yet
    #[arg(short, long, value_name = "FILE", default_value = "berth-support.tar")]
    pub file: PathBuf,
}

/// How to show it.
#[derive(Args, Debug)]
pub(crate) struct FleetStatus {
    /// How to show it
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    pub output: FleetOutput,
}

/// A format for what is about the whole fleet.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FleetOutput {
    /// For people.
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// Let tenants onto a cluster.
#[derive(Args, Debug)]
pub(crate) struct Accept {
    /// cluster NAME... or cluster/NAME...
    #[arg(required = true, value_name = "cluster NAME")]
    pub targets: Vec<String>,
}

/// Void a cluster's identity.
#[derive(Args, Debug)]
pub(crate) struct Revoke {
    /// cluster NAME... or cluster/NAME...
    #[arg(required = true, value_name = "cluster NAME")]
    pub targets: Vec<String>,
    /// Why, in one line
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

/// The fleet's certificate authority.
#[derive(Args, Debug)]
pub(crate) struct ShowAuthority {
    /// Write the authorities that are trusted now into the context file
    #[arg(long)]
    pub update_context: bool,
    /// How to show it
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    pub output: FleetOutput,
}

/// Roll the fleet's certificate authority over, step by step; without --finish, --retire or --abort the first one.
///
/// The first step (no flag) makes the next authority, beside the present one; agents are told to trust both. The second (--finish), when all
/// do: the next one signs, and agents get new certificates by themselves. The third (--retire), when no agent uses the old one: it is trusted
/// no more. Until --finish, --abort forgets the next one.
#[derive(Args, Debug)]
pub(crate) struct RotateAuthority {
    /// Let the next authority sign
    #[arg(long, group = "step")]
    pub finish: bool,
    /// Trust the old authority no more
    #[arg(long, group = "step")]
    pub retire: bool,
    /// Forget the next authority
    #[arg(long, group = "step")]
    pub abort: bool,
    /// Although agents, join tokens or other hubs hold it back: those that are not ready must join again
    #[arg(long, requires = "step")]
    pub force: bool,
}

/// Let a hub take command. It raises its term above every one known, sends what its store says, and puts back what clusters hold
/// newer; what it does not know it leaves alone. Make sure that no other hub of this fleet runs.
#[derive(Args, Debug)]
pub(crate) struct TakeCommand {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Why, for the hub's log
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub reason: String,
}

/// API keys.
#[derive(Subcommand, Debug)]
pub(crate) enum ApiKey {
    /// Make a machine account with its key, which is shown once; berth get apikeys and berth delete apikey NAME do the rest
    Create(ApiKeyCreate),
}

/// Make an API key.
#[derive(Args, Debug)]
pub(crate) struct ApiKeyCreate {
    /// The account's name; bindings name it as apikey:NAME
    pub name: String,
    /// How long it works, at most 365d
    #[arg(long, default_value = "90d", value_name = "DURATION", value_parser = duration)]
    pub ttl: Duration,
    /// What it is for
    #[arg(long, default_value = "", hide_default_value = true, value_name = "TEXT")]
    pub description: String,
    /// How to show it; token prints the key alone
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    pub output: TokenFormat,
}

/// Join tokens.
#[derive(Subcommand, Debug)]
pub(crate) enum Token {
    /// Make a single-use token that lets one cluster's agent join the fleet
    Create(TokenCreate),
}

/// Make a join token.
#[derive(Args, Debug)]
pub(crate) struct TokenCreate {
    /// The cluster's name in the fleet
    pub cluster: String,
    /// How long it works, at most 1h
    #[arg(long, default_value = "30m", value_name = "DURATION", value_parser = duration)]
    pub ttl: Duration,
    /// From where it may be used, as the hub sees the agent's address; repeatable [default: everywhere]
    #[arg(long, value_name = "CIDR")]
    pub from: Vec<String>,
    /// Give a cluster that has joined already, or was revoked, a new identity; only that Kubernetes cluster can use it
    #[arg(long, conflicts_with = "accept_by_admin")]
    pub rejoin: bool,
    /// The cluster takes no tenants until `berth accept cluster`
    #[arg(long)]
    pub accept_by_admin: bool,
    /// Label the cluster gets on joining; repeatable
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = pair)]
    pub labels: Vec<(String, String)>,
    /// Region, when the nodes do not say
    #[arg(long, default_value = "", hide_default_value = true)]
    pub region: String,
    /// Name in the cloud when it differs
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    pub cloud_name: String,
    /// How to show it; token prints the token alone
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    pub output: TokenFormat,
}

/// How a new token is shown.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenFormat {
    /// For people, with the next command.
    Text,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
    /// The token alone.
    Token,
}

/// A cluster.
#[derive(Args, Debug)]
pub(crate) struct Cordon {
    /// The cluster, as NAME or cluster/NAME; repeatable
    #[arg(required = true, value_name = "CLUSTER")]
    pub clusters: Vec<String>,
}

/// A wall that a cluster cannot hold.
#[derive(Args, Debug)]
pub(crate) struct AcceptGap {
    /// The cluster, as NAME or cluster/NAME
    #[arg(value_name = "CLUSTER")]
    pub cluster: String,
    /// Which wall
    #[arg(value_name = "GAP", value_parser = ["network-policy", "admission-policy"])]
    pub gap: String,
    /// Why, in one line
    #[arg(long, value_name = "TEXT", required_unless_present = "revoke")]
    pub reason: Option<String>,
    /// Take the acceptance back for tenants to come
    #[arg(long, conflicts_with = "reason")]
    pub revoke: bool,
}

/// Have tenants' walls probed now.
#[derive(Args, Debug)]
pub(crate) struct Probe {
    /// tenant NAME... or tenant/NAME...
    #[arg(required = true, value_name = "tenant NAME")]
    pub targets: Vec<String>,
    /// Longest wait for all of it
    #[arg(long, default_value = "1m", value_name = "DURATION", value_parser = duration)]
    pub timeout: Duration,
}

/// Print a completion script.
#[derive(Args, Debug)]
pub(crate) struct Completion {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// `30s`, `5m`, `1h30m`, `90d`, or a number of seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let wrong = || format!("{text:?} is no duration; write it as 30s, 5m, 1h30m or 90d");
    if let Some(days) = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok()) {
        return days
            .checked_mul(24 * 3600)
            .map(Duration::from_secs)
            .ok_or_else(wrong);
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| wrong())?;
    Duration::try_from(span).map_err(|_| wrong())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("{text:?} has no '='; write KEY=VALUE"))?;
    if key.is_empty() {
        return Err(format!("{text:?} has no key; write KEY=VALUE"));
    }
    Ok((key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_are_written_as_kubectl_has_them() {
        for (text, seconds) in [
            ("30s", 30),
            ("5m", 300),
            ("1h30m", 5400),
            ("45", 45),
            ("0", 0),
            ("2d", 172_800),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for wrong in ["", "soon", "-5m", "5 parsecs"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    /// The commands of a page: what follows `$ ` in its console blocks.
    fn commands(page: &str) -> Vec<Vec<String>> {
        page.lines()
            .filter_map(|line| line.strip_prefix("$ "))
            .flat_map(|line| line.split(" | "))
            .map(|command| command.split(" > ").next().unwrap_or(command))
            .map(|command| command.split(" # ").next().unwrap_or(command))
            .filter(|command| command.starts_with("berth "))
            .map(|command| command.split_whitespace().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn every_command_of_the_pages_is_one_this_program_knows() {
        let pages = [
            include_str!("../../../README.md"),
            include_str!("../../../hub/README.md"),
            include_str!("../../../deploy/agent/README.md"),
        ];
        let mut seen = 0;
        for command in pages.iter().flat_map(|page| commands(page)) {
            let parsed = Cli::try_parse_from(&command);
            assert!(
                parsed.is_ok(),
                "{command:?}: {}",
                parsed.err().map(|e| e.to_string()).unwrap_or_default()
            );
            seen += 1;
        }
        assert!(seen > 10, "only {seen} commands were found");
    }
}
