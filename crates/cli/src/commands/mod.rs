//! One file per command. To add one: a variant in `args::Command`, a file here, an arm below.

pub(crate) mod agent;
mod api_key;
mod apply;
pub(crate) mod audit;
pub(crate) mod auth;
mod authority;
mod completion;
mod cordon;
mod delete;
mod describe;
mod diff;
mod explain;
mod fleet;
mod get;
pub(crate) mod kubeconfig;
mod probe;
pub(crate) mod store;
mod stream;
mod support;
mod token;
pub(crate) mod wait;
mod watch;

use berth_model::Timestamp;
use berth_runtime::clock::{Clock as _, SystemClock};

use crate::{
    args::{Cli, Command, Common, Fleet},
    client::Hub,
    context,
    exit::{Exit, Failure},
    terminal::Terminal,
};

/// What commands that speak to a hub work with.
struct Session<'a> {
    hub: Hub,
    terminal: &'a Terminal,
}

impl Session<'_> {
    fn now(&self) -> Timestamp {
        SystemClock::new().now()
    }
}

/// Does what was asked for.
pub(crate) fn run(cli: Cli, terminal: &Terminal) -> Result<(), Failure> {
    let Cli { common, command } = cli;
    match command {
        Command::Completion(args) => completion::run(&args, terminal),
        Command::Audit(args) => audit::run(args, terminal),
        Command::Agent(args) => agent::run(*args, common, terminal),
        Command::Store(args) => store::run(*args, common, terminal),
        Command::Login(args) => block_on(crate::login::login(args, common, terminal)),
        Command::Logout => block_on(crate::login::logout(common, terminal)),
        Command::Kubeconfig(args) => kubeconfig::run(*args, common, terminal),
        Command::Dev(args) => on_threads(crate::dev::run(args, common.request_timeout)),
        command => block_on(speak(common, command, terminal)),
    }
}

/// Speaks to a hub.
fn speak_to(
    common: Common,
    terminal: &Terminal,
    work: impl AsyncFnOnce(&Session<'_>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    block_on(async {
        let hub = Hub::leading(&context::load(common.context_file)?, common.request_timeout).await?;
        work(&Session { hub, terminal }).await
    })
}

/// Work that is worth all cores: a hub or an agent in this process.
fn on_threads(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| Failure::new(Exit::Failure, format!("start: {error}")))?;
    let result = runtime.block_on(work);
    runtime.shutdown_background();
    result
}

async fn speak(common: Common, command: Command, terminal: &Terminal) -> Result<(), Failure> {
    let Common {
        context_file,
        request_timeout,
        no_color: _,
    } = common;
    let context = context::load(context_file.clone())?;
    // How a hub is, each one says itself, also one that does not lead.
    let hub = match &command {
        Command::Fleet(Fleet::Status(_)) => Hub::new(&context, request_timeout)?,
        _ => Hub::leading(&context, request_timeout).await?,
    };
    let session = Session { hub, terminal };
    match command {
        Command::Apply(args) => apply::run(&session, args).await,
        Command::Get(args) => get::run(&session, args).await,
        Command::Describe(args) => describe::run(&session, args).await,
        Command::Delete(args) => delete::run(&session, args).await,
        Command::Explain(args) => explain::run(&session, args).await,
        Command::Diff(args) => diff::run(&session, args).await,
        Command::Wait(args) => wait::run(&session, args).await,
        Command::Watch(args) => watch::run(&session, args).await,
        Command::ApiKey(args) => api_key::run(&session, args).await,
        Command::Auth(args) => auth::run(&session, args).await,
        Command::Token(args) => token::run(&session, args).await,
        Command::Cordon(args) => cordon::run(&session, args, true).await,
        Command::Uncordon(args) => cordon::run(&session, args, false).await,
        Command::Accept(args) => cordon::accept(&session, args).await,
        Command::Revoke(args) => cordon::revoke(&session, args).await,
        Command::AcceptGap(args) => cordon::accept_gap(&session, args).await,
        Command::Probe(args) => probe::run(&session, args).await,
        Command::Fleet(Fleet::Authority(args)) => authority::show(&session, args, context_file).await,
        Command::Fleet(Fleet::RotateAuthority(args)) => authority::rotate(&session, args).await,
        Command::Fleet(Fleet::SupportBundle(args)) => support::run(&session, args).await,
        Command::Fleet(args) => fleet::run(&session, args).await,
        Command::ReleaseBreaker(args) => cordon::release_breaker(&session, args).await,
        Command::Completion(_)
        | Command::Dev(_)
        | Command::Hub(_)
        | Command::Agent(_)
        | Command::Audit(_)
        | Command::Kubeconfig(_)
        | Command::Login(_)
        | Command::Logout
        | Command::Store(_) => Ok(()),
    }
}

fn block_on(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Exit::Failure, format!("start: {error}")))?;
    let result = runtime.block_on(work);
    // Reading standard input cannot be interrupted; do not wait for it.
    runtime.shutdown_background();
    result
}
