//! Makes an identity last: a new certificate for the same key when half of the old one's time has passed, or when another authority
//! signs by now.

use std::{sync::Arc, time::Duration};

use berth_identity::{certificate, key};
use berth_model::Timestamp;
use berth_proto::agent::RenewRequest;
use berth_runtime::{
    clock::Clock,
    retry::{Backoff, Policy},
};

use super::{Identity, keeper::Keeper, recover};
use crate::{error::Error, link::Hubs};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const TRIES: Policy = Policy::new(Duration::from_secs(10), Duration::from_secs(600));
/// Wall clocks jump and machines sleep: look again at least this often.
const LONGEST_NAP: Duration = Duration::from_secs(600);

/// Renews for ever. What is renewed is kept in the cluster first and then used by the next connection.
pub(crate) async fn keep_renewed(keeper: Keeper, hubs: Hubs, clock: Arc<dyn Clock>) {
    let mut backoff = Backoff::new(&TRIES);
    let mut changes = keeper.subscribe();
    loop {
        let current = changes.borrow_and_update().clone();
        if let Some(wait) = wait_until(due(&current, clock.now()), clock.now()) {
            tokio::select! {
                biased;
                _ = changes.changed() => {}
                () = clock.sleep(wait.min(LONGEST_NAP)) => {}
            }
            continue;
        }
        if by_another(&current) {
            // All agents of a fleet hear of another authority at once.
            clock.sleep(backoff.next_delay()).await;
        }
        match renew(&keeper, &hubs, clock.now()).await {
            Ok(()) => {
                tracing::info!(cluster = %current.cluster, "certificate renewed");
                backoff.reset();
            }
            Err(error) => tracing::warn!(
                error = error.message(),
                "cannot renew the certificate; trying again"
            ),
        }
        // After a success too: a hub that issues what is due at once must not be asked in a loop.
        clock.sleep(backoff.next_delay()).await;
    }
}

/// When to renew: at half life, and at once when the authority that signs is another one than signed this.
fn due(identity: &Identity, now: Timestamp) -> Timestamp {
    if by_another(identity) {
        return now;
    }
    certificate::validity(&identity.credential.certificate_pem).map_or(now, |validity| validity.renew_at())
}

fn by_another(identity: &Identity) -> bool {
    let certificate = certificate::first(&identity.credential.certificate_pem);
    let (Ok(certificate), Ok(authority)) = (certificate, certificate::first(&identity.ca_pem)) else {
        return false;
    };
    !certificate::issued_by(&certificate, &authority)
}

fn wait_until(due: Timestamp, now: Timestamp) -> Option<Duration> {
    let left = due.as_second().checked_sub(now.as_second())?;
    u64::try_from(left)
        .ok()
        .filter(|left| *left > 0)
        .map(Duration::from_secs)
}

async fn renew(keeper: &Keeper, hubs: &Hubs, now: Timestamp) -> Result<(), Error> {
    let current = keeper.current();
    let expired = certificate::validity(&current.credential.certificate_pem)?.expired(now);
    if expired {
        let answer = recover::once(&current, hubs).await;
        let answer = answer.map_err(|unproven| Error::BadAnswer(unproven.message().to_owned()))?;
        return keeper
            .renewed(&current, answer.certificate_pem, answer.ca_pem)
            .await;
    }
    // Only the hub that leads signs, and nobody knows here which one that is: all are asked before anybody waits.
    let mut answer = renew_at(keeper, &current, hubs).await;
    for _ in 1..hubs.count() {
        if answer.is_ok() {
            break;
        }
        answer = renew_at(keeper, &current, hubs).await;
    }
    answer
}

async fn renew_at(keeper: &Keeper, current: &Identity, hubs: &Hubs) -> Result<(), Error> {
    let address = hubs.next();
    let unreachable = |what: String| Error::BadAnswer(format!("hub {address}: {what}"));
    let mut client = hubs
        .dial(&address, current.tls()?)
        .await
        .map_err(|e| unreachable(e.to_string()))?;
    let mut request = tonic::Request::new(RenewRequest {
        csr_der: key::signing_request(&current.credential.key_pem)?,
    });
    request.set_timeout(ANSWER_TIMEOUT);
    let answer = client
        .renew(request)
        .await
        .map_err(|status| unreachable(status.message().to_owned()))?
        .into_inner();
    if !key::belongs_to(&current.credential.key_pem, &answer.certificate_pem) {
        return Err(Error::BadAnswer(
            "the certificate is not for this agent's key".into(),
        ));
    }
    keeper
        .renewed(current, answer.certificate_pem, answer.ca_pem)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_not_waited_for() {
        let at = |second| Timestamp::from_second(second).unwrap();
        assert_eq!(wait_until(at(100), at(40)), Some(Duration::from_secs(60)));
        assert_eq!(wait_until(at(100), at(100)), None);
        assert_eq!(wait_until(at(100), at(200)), None);
    }
}
