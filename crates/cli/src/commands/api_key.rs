//! `berth apikey create`.

use berth_proto::v1;
use berth_wire::{file::Tree, time};

use super::Session;
use crate::{
    args::{ApiKey, ApiKeyCreate, TokenFormat},
    client::empty,
    exit::Failure,
    output::{Shown as _, unwritable},
};

pub(super) async fn run(session: &Session<'_>, args: ApiKey) -> Result<(), Failure> {
    match args {
        ApiKey::Create(args) => create(session, args).await,
    }
}

async fn create(session: &Session<'_>, args: ApiKeyCreate) -> Result<(), Failure> {
    let ApiKeyCreate {
        name,
        ttl,
        description,
        output,
    } = args;
    let subject = format!("apikey/{name}");
    let request = v1::CreateApiKeyRequest {
        api_key_id: name.clone(),
        ttl: Some(time::span_to_proto(ttl)),
        description,
    };
    let made = session
        .hub
        .ask(&subject, session.hub.api_keys().create_api_key(request))
        .await?;
    let api_key = made.api_key.ok_or_else(|| empty(&subject))?;
    let expires = api_key
        .expire_time
        .map(|at| prost_types::Timestamp { nanos: 0, ..at })
        .as_ref()
        .and_then(time::from_proto)
        .map(|at| at.to_string())
        .unwrap_or_default();
    let tree = || {
        Tree::map()
            .text("name", &api_key.name())
            .text("key", &made.key)
            .text("expireTime", &expires)
    };
    let text = match output {
        TokenFormat::Token => format!("{}\n", made.key),
        TokenFormat::Json => tree().to_json().map_err(unwritable)?,
        TokenFormat::Yaml => tree().to_yaml().map_err(unwritable)?,
        TokenFormat::Text => format!(
            "API key {name}, valid until {expires}. It is shown only here, and its account is apikey:{name} in bindings.\n\
             \n\
             key: {}\n\
             \n\
             Give it to a program as the environment's BERTH_TOKEN, or in a file that only its owner can read:\n\
             \n\
             \x20 berth login --server URL --ca-pin PIN --token-file FILE\n",
            made.key
        ),
    };
    session.terminal.print(&text)
}
