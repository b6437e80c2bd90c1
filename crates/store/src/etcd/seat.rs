//! The election key: who holds it now, and who comes next.

use std::sync::Arc;

use berth_model::Revision;
use berth_runtime::{Clock, retry::Backoff};
use etcd_client::{Client, GetOptions};
use tokio::sync::watch;

use super::{
    error::meaning,
    keys::Keys,
    link::Link,
    revision_of,
    watch::{AGAIN, open},
};
use crate::{election::Candidate, error::StoreError};

/// What the election key says.
pub(super) struct Seat {
    pub(super) leader: Option<Candidate>,
    pub(super) revision: Revision,
}

/// The number of a delete among etcd's events.
pub(super) const DELETE: i32 = 1;

pub(super) async fn seat(link: &Link, keys: &Keys) -> Result<Seat, StoreError> {
    let key = keys.election();
    let get = |client: Client| async move { client.kv_client().get(key, Some(GetOptions::new())).await };
    let found = link.ask("ask who leads", get).await?;
    Ok(Seat {
        leader: found.kvs().first().map(|kv| decode(kv.value())),
        revision: revision_of(found.header()),
    })
}

/// Tells `leader` who leads, for as long as it runs.
pub(super) async fn follow(
    link: Arc<Link>,
    keys: Keys,
    clock: Arc<dyn Clock>,
    leader: watch::Sender<Option<Candidate>>,
) {
    let mut backoff = Backoff::new(&AGAIN);
    loop {
        if let Err(error) = follow_once(&link, &keys, &leader, &mut backoff).await {
            tracing::debug!(%error, "the leader is not followed, trying again");
        }
        link.turn_away();
        let delay = backoff.next_delay();
        clock.sleep(delay).await;
    }
}

async fn follow_once(
    link: &Link,
    keys: &Keys,
    leader: &watch::Sender<Option<Candidate>>,
    backoff: &mut Backoff,
) -> Result<(), StoreError> {
    let seat = seat(link, keys).await?;
    tell(leader, seat.leader);
    let mut stream = open(link, keys.election(), None, seat.revision).await?;
    while let Some(answer) = stream
        .message()
        .await
        .map_err(|error| meaning("follow the leader", error))?
    {
        if answer.0.canceled {
            break;
        }
        backoff.reset();
        for event in answer.0.events {
            let written = event.kv.filter(|_| event.r#type != DELETE);
            tell(leader, written.map(|kv| decode(&kv.value)));
        }
    }
    Ok(())
}

fn tell(leader: &watch::Sender<Option<Candidate>>, now: Option<Candidate>) {
    leader.send_if_modified(|known| {
        let news = *known != now;
        *known = now;
        news
    });
}

/// Readable for whoever looks into etcd.
pub(super) fn encode(candidate: &Candidate) -> String {
    serde_json::json!({
        "id": candidate.id,
        "apiUrl": candidate.api_url,
        "agentUrl": candidate.agent_url,
    })
    .to_string()
}

/// Whatever is there leads: what cannot be read is a leader without a name.
fn decode(value: &[u8]) -> Candidate {
    let read: serde_json::Value = serde_json::from_slice(value).unwrap_or_default();
    let text = |name: &str| read[name].as_str().unwrap_or_default().to_owned();
    Candidate {
        id: text("id"),
        api_url: text("apiUrl"),
        agent_url: text("agentUrl"),
    }
}
