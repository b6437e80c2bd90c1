//! `berth login` and `berth logout`: somebody signs in at the hub's OpenID provider, and the context remembers it.

mod browser;
mod device;
mod http;
mod tokens;
mod trust;

use std::{path::PathBuf, time::Duration};

use berth_proto::v1;
use berth_wire::context::{Context, SignIn};
use clap::Args;

use self::{browser::Browser, http::Http};
use crate::{
    args::Common,
    client::{Bearer, Hub},
    context::{self, Loaded},
    exit::{Exit, Failure},
    terminal::Terminal,
};

pub(crate) use tokens::{Keeper, Tokens};

/// Sign in at a hub, with a browser on this machine or on another device
///
/// The hub says which OpenID provider its people sign in at. Who signs in, and where, is remembered in the context file and in a
/// file beside it that its owner alone can read; commands renew the sign-in by themselves. The first time say which hub it is and
/// whom to trust: --server with --ca-pin (berth token create prints the pin) or --ca-file (ca/ca.crt of its data directory).
/// Programs use an API key (berth apikey create) or a ServiceAccount's token instead: --token-file.
#[derive(Args, Debug)]
pub(crate) struct Login {
    /// The hub, as https://HOST:PORT [default: the context's]
    #[arg(long, env = "BERTH_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// Who signs the hub's certificate, a PEM file [default: the context's]
    #[arg(long, value_name = "FILE", conflicts_with = "ca_pin")]
    pub ca_file: Option<PathBuf>,
    /// The pin of who signs the hub's certificate, as sha256:HEX
    #[arg(long, value_name = "PIN")]
    pub ca_pin: Option<String>,
    /// At which provider, where the hub has several
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// Sign in on another device, with a code: for machines without a browser
    #[arg(long)]
    pub device: bool,
    /// Sign in with a browser on this machine; the default
    #[arg(long, conflicts_with = "device")]
    pub browser: bool,
    /// Only print the address, open no browser
    #[arg(long, conflicts_with = "device")]
    pub no_open: bool,
    /// Where the browser comes back to, when the provider wants a certain port [default: any free one]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    pub redirect_port: u16,
    /// Nobody signs in: use the API key or ServiceAccount token in this file, which is read for every call
    #[arg(long, value_name = "FILE", conflicts_with_all = ["device", "browser", "no_open", "issuer"])]
    pub token_file: Option<PathBuf>,
    /// The cluster whose ServiceAccount's token it is
    #[arg(long, value_name = "NAME", requires = "token_file")]
    pub cluster: Option<String>,
}

/// Signs in, and remembers it once the hub has taken it.
pub(crate) async fn login(args: Login, common: Common, terminal: &Terminal) -> Result<(), Failure> {
    tokio::select! {
        biased;
        outcome = signing_in(args, common, terminal) => outcome,
        _ = tokio::signal::ctrl_c() => Err(Failure::new(
            Exit::Failure,
            "interrupted; nobody has signed in, and what was remembered before is as it was",
        )),
    }
}

async fn signing_in(args: Login, common: Common, terminal: &Terminal) -> Result<(), Failure> {
    let path = context::path(common.context_file)?;
    let known = context::known(&path)?;
    if known.as_ref().is_some_and(|known| !known.key_pem.is_empty()) {
        return Err(Failure::new(
            Exit::Conflict,
            format!(
                "context file {} holds a client certificate, which signing in would overwrite; give another file with --context-file or BERTH_CONTEXT",
                path.display()
            ),
        ));
    }
    let mut context = hub(&args, known).await?;
    if let Some(file) = args.token_file {
        let file = std::path::absolute(&file).unwrap_or(file);
        context.token_file = Some(file);
        context.token_cluster = args.cluster.unwrap_or_default();
        let bearer = Bearer::of(&context, None);
        return finish(context, bearer, &path, common.request_timeout, terminal).await;
    }
    let sign_in = provider(&context, args.issuer.as_deref(), common.request_timeout).await?;
    let http = Http::new(&sign_in.issuer, &sign_in.ca_pem)?;
    let discovery = tokens::discover(&http, &sign_in.issuer).await?;
    let tokens = if args.device {
        device::sign_in(&http, &discovery, &sign_in, terminal).await?
    } else {
        let browser = Browser {
            open: !args.no_open,
            port: args.redirect_port,
        };
        browser::sign_in(&http, &discovery, &sign_in, &browser, terminal).await?
    };
    context.oidc = Some(sign_in.clone());
    let bearer = Bearer::given(tokens.id_token.clone());
    finish(context, bearer, &path, common.request_timeout, terminal).await?;
    Keeper::new(&path, sign_in).store(&tokens)
}

/// Has the hub say who it is, and writes the context down.
async fn finish(
    context: Context,
    bearer: Bearer,
    path: &std::path::Path,
    timeout: Duration,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let loaded = Loaded { context, bearer };
    let hub = Hub::leading(&loaded, timeout).await?;
    let caller = hub
        .ask("sign in", hub.access().get_caller(v1::GetCallerRequest {}))
        .await?;
    let text = loaded
        .context
        .to_yaml()
        .map_err(|error| Failure::new(Exit::Failure, error.to_string()))?;
    tokens::write_private(path, &text).map_err(|error| {
        Failure::new(
            Exit::Failure,
            format!("write context file {}: {error}", path.display()),
        )
    })?;
    terminal.note(&format!(
        "Signed in at {} as {}",
        loaded.context.server, caller.subject
    ));
    Ok(())
}

/// Which hub, and whom to trust, without any credential.
async fn hub(args: &Login, known: Option<Context>) -> Result<Context, Failure> {
    let known = known.unwrap_or_default();
    let server = match &args.server {
        Some(server) if server.starts_with("https://") => server.trim_end_matches('/').to_owned(),
        Some(server) => {
            return Err(Failure::usage(format!(
                "--server {server:?} does not start with https://"
            )));
        }
        None if known.server.is_empty() => {
            return Err(Failure::usage(
                "say which hub: --server https://HOST:PORT, with --ca-pin or --ca-file",
            ));
        }
        None => known.server.clone(),
    };
    let same = known.server == server;
    let ca_pem = match (&args.ca_file, &args.ca_pin) {
        (Some(file), _) => trust::from_file(file)?,
        (None, Some(pin)) => trust::from_pin(&server, pin).await?,
        (None, None) if same && !known.ca_pem.is_empty() => known.ca_pem.clone(),
        (None, None) => {
            return Err(Failure::usage(
                "say whom to trust: --ca-pin sha256:HEX (berth token create prints it) or --ca-file FILE (ca/ca.crt of the hub's data directory)",
            ));
        }
    };
    Ok(Context {
        server,
        servers: if same { known.servers } else { Vec::new() },
        ca_pem,
        ..Context::default()
    })
}

/// Where the hub's people sign in.
async fn provider(context: &Context, issuer: Option<&str>, timeout: Duration) -> Result<SignIn, Failure> {
    let loaded = Loaded {
        context: context.clone(),
        bearer: Bearer::nothing(),
    };
    let hub = Hub::new(&loaded, timeout)?;
    let request = v1::GetLoginOptionsRequest {};
    let options = hub
        .ask("sign in", hub.logins().get_login_options(request))
        .await?
        .oidc;
    let issuers: Vec<&str> = options.iter().map(|one| one.issuer.as_str()).collect();
    let chosen = match (issuer, options.as_slice()) {
        (_, []) => {
            return Err(Failure::new(
                Exit::Conflict,
                "this hub has no OpenID provider (auth.oidc of its configuration); use a context file with a certificate, or --token-file with an API key",
            ));
        }
        (Some(issuer), all) => all.iter().find(|one| one.issuer == issuer),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let Some(chosen) = chosen else {
        return Err(Failure::usage(format!(
            "say at which provider with --issuer: {}",
            issuers.join(" or ")
        )));
    };
    Ok(SignIn {
        issuer: chosen.issuer.clone(),
        client_id: chosen.client_id.clone(),
        scopes: chosen.scopes.clone(),
        ca_pem: chosen.ca_pem.clone(),
    })
}

/// Signs out: the provider ends the sign-in where it can, and this machine forgets it.
pub(crate) async fn logout(common: Common, terminal: &Terminal) -> Result<(), Failure> {
    let path = context::path(common.context_file)?;
    let Some(sign_in) = context::known(&path)?.and_then(|known| known.oidc) else {
        return Err(Failure::new(
            Exit::Conflict,
            format!("nobody has signed in by {}", path.display()),
        ));
    };
    let keeper = Keeper::new(&path, sign_in.clone());
    let refresh_token = keeper.forget()?;
    if let Some(refresh_token) = refresh_token
        && let Err(failure) = revoke(&sign_in, &refresh_token).await
    {
        for line in failure.lines {
            terminal.note(&format!(
                "warning: the sign-in is forgotten here, but may live on at the provider: {line}"
            ));
        }
    }
    terminal.note("Signed out");
    Ok(())
}

async fn revoke(sign_in: &SignIn, refresh_token: &str) -> Result<(), Failure> {
    let http = Http::new(&sign_in.issuer, &sign_in.ca_pem)?;
    let Some(endpoint) = tokens::discover(&http, &sign_in.issuer)
        .await?
        .revocation_endpoint
    else {
        return Err(http.failed("it has no way to end one"));
    };
    let fields = [
        ("token", refresh_token),
        ("token_type_hint", "refresh_token"),
        ("client_id", &sign_in.client_id),
    ];
    http.tell(&endpoint, &fields).await
}
