//! `berth token create`.

use berth_proto::v1;
use berth_wire::{file::Tree, time};

use super::Session;
use crate::{
    args::{Token, TokenCreate, TokenFormat},
    client::empty,
    exit::Failure,
    output::unwritable,
};

pub(super) async fn run(session: &Session<'_>, args: Token) -> Result<(), Failure> {
    match args {
        Token::Create(args) => create(session, args).await,
    }
}

async fn create(session: &Session<'_>, args: TokenCreate) -> Result<(), Failure> {
    let TokenCreate {
        cluster,
        ttl,
        labels,
        region,
        cloud_name,
        from,
        rejoin,
        accept_by_admin,
        output,
    } = args;
    let subject = format!("token for cluster {cluster}");
    let request = v1::CreateJoinTokenRequest {
        cluster,
        ttl: Some(time::span_to_proto(ttl)),
        labels: labels.into_iter().collect(),
        region,
        cloud_name,
        source_cidrs: from,
        rejoin,
        require_accept: accept_by_admin,
    };
    let made = session
        .hub
        .ask(&subject, session.hub.tokens().create_join_token(request))
        .await?;
    let token = made.join_token.clone().ok_or_else(|| empty(&subject))?;
    let text = match output {
        TokenFormat::Token => format!("{}\n", made.token),
        TokenFormat::Json => tree(&made, &token).to_json().map_err(unwritable)?,
        TokenFormat::Yaml => tree(&made, &token).to_yaml().map_err(unwritable)?,
        TokenFormat::Text => people(&made, &token),
    };
    session.terminal.print(&text)
}

/// When the token stops working, to the second.
fn expires(token: &v1::JoinToken) -> String {
    token
        .expire_time
        .map(|at| prost_types::Timestamp { nanos: 0, ..at })
        .as_ref()
        .and_then(time::from_proto)
        .map(|at| at.to_string())
        .unwrap_or_default()
}

fn tree(made: &v1::CreateJoinTokenResponse, token: &v1::JoinToken) -> Tree {
    Tree::map()
        .text("cluster", &token.cluster)
        .text("token", &made.token)
        .text("caPin", &made.ca_pin)
        .with("hubUrls", Tree::texts(&made.hub_urls))
        .text("expireTime", &expires(token))
        .with_some("labels", token.labels.iter().collect())
        .with_some("from", Tree::texts(&token.source_cidrs))
        .with("rejoin", Tree::Bool(token.rejoin))
        .with("acceptByAdmin", Tree::Bool(token.require_accept))
}

fn people(made: &v1::CreateJoinTokenResponse, token: &v1::JoinToken) -> String {
    let v1::CreateJoinTokenResponse {
        token: secret,
        ca_pin,
        hub_urls,
        ..
    } = made;
    let hubs = hub_urls.join(",");
    let mut notes = String::new();
    if !token.source_cidrs.is_empty() {
        notes.push_str(&format!(
            "It works from {} alone.\n",
            token.source_cidrs.join(", ")
        ));
    }
    if token.rejoin {
        notes.push_str(
            "It gives this cluster a new identity: delete the Secret berth-agent-identity there first, so that the agent makes a new key.\n",
        );
    }
    if token.require_accept {
        notes.push_str(&format!(
            "The cluster takes no tenants before: berth accept cluster {}\n",
            token.cluster
        ));
    }
    format!(
        "Join token for cluster {}, valid once until {}. It is shown only here.\n{notes}\
         \n\
         token:  {secret}\n\
         ca pin: {ca_pin}\n\
         hub:    {hubs}\n\
         \n\
         Put the token into a file that only its owner can read, and start the agent with it:\n\
         \n\
         \x20 berth-agent --hub {hubs} --token-file FILE --ca-pin {ca_pin}\n",
        token.cluster,
        expires(token),
    )
}
