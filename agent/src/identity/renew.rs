//! Makes an identity last: a new certificate for the same key when two thirds of the old one's time have passed.

use std::{sync::Arc, time::Duration};

use berth_identity::{CaPin, certificate, key};
use berth_model::Timestamp;
use berth_proto::agent::RenewRequest;
use berth_runtime::{
    clock::Clock,
    retry::{Backoff, Policy},
};
use tokio::sync::watch;

use super::{Identity, assemble, secret::IdentitySecret};
use crate::{error::Error, link::Hubs};

const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
const TRIES: Policy = Policy::new(Duration::from_secs(10), Duration::from_secs(600));
/// Wall clocks jump and machines sleep: look again at least this often.
const LONGEST_NAP: Duration = Duration::from_secs(3600);

/// Renews for ever. What is renewed is kept in the cluster first and then used by the next connection.
pub(crate) async fn keep_renewed(
    identity: watch::Sender<Arc<Identity>>,
    secret: IdentitySecret,
    hubs: Hubs,
    clock: Arc<dyn Clock>,
) {
    let mut backoff = Backoff::new(&TRIES);
    loop {
        let current = identity.borrow().clone();
        let due =
            certificate::validity(&current.credential.certificate_pem).map(|validity| validity.renew_at());
        if let Some(wait) = due.ok().and_then(|due| wait_until(due, clock.now())) {
            clock.sleep(wait.min(LONGEST_NAP)).await;
            continue;
        }
        match renew(&current, &hubs, &secret).await {
            Ok(renewed) => {
                tracing::info!(cluster = %renewed.cluster, "certificate renewed");
                identity.send_replace(Arc::new(renewed));
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

fn wait_until(due: Timestamp, now: Timestamp) -> Option<Duration> {
    let left = due.as_second().checked_sub(now.as_second())?;
    u64::try_from(left)
        .ok()
        .filter(|left| *left > 0)
        .map(Duration::from_secs)
}

async fn renew(current: &Identity, hubs: &Hubs, secret: &IdentitySecret) -> Result<Identity, Error> {
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
    // A renewed authority has the old key; another key would be another hub.
    if CaPin::of_pem(&answer.ca_pem)? != CaPin::of_pem(&current.ca_pem)? {
        return Err(Error::BadAnswer("its certificate authority has changed".into()));
    }
    let renewed = assemble(
        current.cluster.as_str(),
        answer.certificate_pem,
        answer.ca_pem,
        &current.credential.key_pem,
    )?;
    secret.write(&renewed).await?;
    Ok(renewed)
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
