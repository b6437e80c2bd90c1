//! Signing in on another device (RFC 8628): for machines without a browser.

use std::time::Duration;

use berth_identity::oidc::Discovery;
use berth_wire::context::SignIn;
use serde::Deserialize;

use super::{
    http::Http,
    tokens::{Answer, Tokens},
};
use crate::{
    exit::{Exit, Failure},
    terminal::Terminal,
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// When the provider does not say, and what `slow_down` adds.
const STEP: u64 = 5;

#[derive(Deserialize)]
struct Began {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: Option<String>,
    expires_in: u64,
    interval: Option<u64>,
}

pub(super) async fn sign_in(
    http: &Http,
    discovery: &Discovery,
    sign_in: &SignIn,
    terminal: &Terminal,
) -> Result<Tokens, Failure> {
    let (Some(begin), Some(token)) = (
        &discovery.device_authorization_endpoint,
        &discovery.token_endpoint,
    ) else {
        return Err(http.failed("it cannot sign in on another device; leave out --device"));
    };
    let scopes = sign_in.scopes.join(" ");
    let fields = [("client_id", sign_in.client_id.as_str()), ("scope", &scopes)];
    let began: Began = http
        .post(begin, &fields)
        .await?
        .map_err(|refusal| http.refused(&refusal, "is the client allowed to use the device code grant?"))?;
    terminal.note(&format!(
        "On any device, open {} and enter the code {}",
        tame(&began.verification_uri),
        tame(&began.user_code)
    ));
    if let Some(complete) = &began.verification_uri_complete {
        terminal.note(&format!("or open {}", tame(complete)));
    }
    let expired = || {
        Failure::new(
            Exit::Timeout,
            "the code has expired before anybody entered it; begin again with berth login --device",
        )
    };
    let asking = ask(http, token, sign_in, &began);
    match tokio::time::timeout(Duration::from_secs(began.expires_in.min(3600)), asking).await {
        Ok(Ok(Some(answer))) => Tokens::of(answer, sign_in, None, http),
        Ok(Ok(None)) | Err(_) => Err(expired()),
        Ok(Err(failure)) => Err(failure),
    }
}

/// Asks until somebody has decided; none when the code has expired.
async fn ask(http: &Http, url: &str, sign_in: &SignIn, began: &Began) -> Result<Option<Answer>, Failure> {
    let mut interval = began.interval.unwrap_or(STEP).clamp(1, 60);
    let fields = [
        ("grant_type", GRANT),
        ("device_code", began.device_code.as_str()),
        ("client_id", sign_in.client_id.as_str()),
    ];
    loop {
        tokio::time::sleep(Duration::from_secs(interval)).await;
        let refusal = match http.post(url, &fields).await {
            Ok(Ok(answer)) => return Ok(Some(answer)),
            Ok(Err(refusal)) => refusal,
            // It may come back before the code expires (RFC 8628, 3.5).
            Err(failure) if failure.exit == Exit::Unavailable => {
                interval = (interval * 2).min(60);
                continue;
            }
            Err(failure) => return Err(failure),
        };
        match refusal.error.as_str() {
            "authorization_pending" => {}
            "slow_down" => interval = (interval + STEP).min(60),
            "expired_token" => return Ok(None),
            "access_denied" => {
                return Err(http.failed(
                    "the sign-in was denied there; begin again with berth login --device when that was not meant",
                ));
            }
            _ => return Err(http.refused(&refusal, "begin again with berth login --device")),
        }
    }
}

/// What a provider says is shown to people; it must not speak to their terminals.
fn tame(text: &str) -> String {
    text.chars().take(500).filter(|c| !c.is_control()).collect()
}
