//! Signing in with a browser on this machine: authorization code with PKCE (RFC 6749, RFC 7636), come back over loopback (RFC 8252).

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use berth_identity::oidc::{Discovery, Pkce, random_word};
use berth_wire::context::SignIn;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::{
    http::{Http, OauthError},
    tokens::{Answer, Tokens},
};
use crate::{
    exit::{Exit, Failure},
    terminal::Terminal,
};

const PATH: &str = "/callback";
/// How long somebody may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long a browser may take to say what it wants.
const ONE_REQUEST: Duration = Duration::from_secs(5);
const LONGEST_REQUEST: usize = 16 * 1024;

/// How the browser is to be used.
pub(super) struct Browser {
    /// Open it, rather than only print where to go.
    pub open: bool,
    /// Where it comes back to; 0 takes any free port.
    pub port: u16,
}

pub(super) async fn sign_in(
    http: &Http,
    discovery: &Discovery,
    sign_in: &SignIn,
    browser: &Browser,
    terminal: &Terminal,
) -> Result<Tokens, Failure> {
    let (Some(authorize), Some(token)) = (&discovery.authorization_endpoint, &discovery.token_endpoint)
    else {
        return Err(http.failed("it cannot sign in with a browser; use --device"));
    };
    let listening = |error| {
        Failure::new(
            Exit::Failure,
            format!("listen on loopback for the browser: {error}; use --device, or another --redirect-port"),
        )
    };
    let listener = TcpListener::bind(("127.0.0.1", browser.port))
        .await
        .map_err(listening)?;
    let port = listener.local_addr().map_err(listening)?.port();
    let redirect = format!("http://127.0.0.1:{port}{PATH}");
    let random = |_| Failure::new(Exit::Failure, "the system gives no randomness");
    let (pkce, state, nonce) = (
        Pkce::generate().map_err(random)?,
        random_word().map_err(random)?,
        random_word().map_err(random)?,
    );
    let scopes = sign_in.scopes.join(" ");
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("response_type", "code"),
            ("client_id", &sign_in.client_id),
            ("redirect_uri", &redirect),
            ("scope", &scopes),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &pkce.challenge),
            ("code_challenge_method", "S256"),
        ])
        .finish();
    let joint = if authorize.contains('?') { '&' } else { '?' };
    let address = format!("{authorize}{joint}{query}");
    if !(browser.open && open(&address)) {
        terminal.note("Open this address in a browser on this machine:");
    } else {
        terminal.note("A browser was opened. If none shows up, open this address on this machine:");
    }
    terminal.note(&format!("\n  {address}\n"));
    let coming = come_back(&listener, &state, discovery, http);
    let code = tokio::time::timeout(PATIENCE, coming).await.map_err(|_| {
        Failure::new(
            Exit::Timeout,
            "nobody has signed in within 10 minutes; begin again with berth login (--device signs in on another device)",
        )
    })??;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", &redirect),
        ("client_id", &sign_in.client_id),
        ("code_verifier", &pkce.verifier),
    ];
    let answer: Answer = http
        .post(token, &fields)
        .await?
        .map_err(|refusal| http.refused(&refusal, "begin again with berth login"))?;
    Tokens::of(answer, sign_in, Some(&nonce), http)
}

/// The code that the browser brings back. Whatever else comes to the port is answered and passed over.
async fn come_back(
    listener: &TcpListener,
    state: &str,
    discovery: &Discovery,
    http: &Http,
) -> Result<String, Failure> {
    loop {
        let (mut stream, _) = listener
            .accept()
            .await
            .map_err(|error| Failure::new(Exit::Failure, format!("wait for the browser: {error}")))?;
        let Ok(Some(target)) = tokio::time::timeout(ONE_REQUEST, request(&mut stream)).await else {
            continue;
        };
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let given = Given::read(query);
        // Without the state it is not the answer to what was asked: a stranger cannot know it.
        if path != PATH || given.state.as_deref() != Some(state) {
            say(&mut stream, "404 Not Found", "Nothing is here.").await;
            continue;
        }
        let outcome = given.code(discovery, http);
        let text = match &outcome {
            Ok(_) => "You have signed in. Close this page and go back to the terminal.",
            Err(_) => "You have not signed in. The terminal says why.",
        };
        say(&mut stream, "200 OK", text).await;
        return outcome;
    }
}

#[derive(Default)]
struct Given {
    state: Option<String>,
    code: Option<String>,
    issuer: Option<String>,
    error: Option<String>,
    description: String,
}

impl Given {
    fn read(query: &str) -> Self {
        let mut given = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let value = value.into_owned();
            match name.as_ref() {
                "state" => given.state = Some(value),
                "code" => given.code = Some(value),
                "iss" => given.issuer = Some(value),
                "error" => given.error = Some(value),
                "error_description" => given.description = value,
                _ => {}
            }
        }
        given
    }

    fn code(self, discovery: &Discovery, http: &Http) -> Result<String, Failure> {
        // RFC 9207: a code of another provider is not given to this one.
        let required = discovery.authorization_response_iss_parameter_supported;
        if self
            .issuer
            .as_ref()
            .map_or(required, |issuer| *issuer != discovery.issuer)
        {
            return Err(
                http.failed("the browser came back from another issuer; begin again with berth login")
            );
        }
        if let Some(error) = self.error {
            let refusal = OauthError {
                error,
                error_description: self.description,
            };
            return Err(http.refused(&refusal, "begin again with berth login when that was not meant"));
        }
        self.code
            .ok_or_else(|| http.failed("the browser came back without a code; begin again with berth login"))
    }
}

/// The target of a GET request.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let read = stream.read(&mut part).await.ok().filter(|read| *read > 0)?;
        head.extend_from_slice(&part[..read]);
        if head.len() > LONGEST_REQUEST {
            return None;
        }
    }
    let line = head.split(|byte| *byte == b'\r').next()?;
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    (words.next() == Some("GET"))
        .then(|| words.next())
        .flatten()
        .map(str::to_owned)
}

async fn say(stream: &mut TcpStream, status: &str, text: &str) {
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><title>Berth</title><p style=\"font: 1.2em sans-serif; margin: 3em\">{text}</p>\n"
    );
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/html; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{page}",
        page.len()
    );
    // The browser may have gone; the code is here.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// Whether a browser could be started.
fn open(address: &str) -> bool {
    let program = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    Command::new(program)
        .arg(address)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .is_ok()
}
