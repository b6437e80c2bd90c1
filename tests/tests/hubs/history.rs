//! What clients and watchers that know all hubs see while the lead goes from hub to hub. No cluster is needed: the tenants are accepted,
//! changed and deleted without ever being placed.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use berth_proto::v1::{self, watch_tenants_response::Event};
use berth_tests::api::{Api, of_tier};
use berth_tests::history::{self, ApiAddress, Options, Report};
use berth_tests::hubs::Hubs;
use berth_tests::waiting::{LONG, until, within};
use berth_wire::status;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use serde_json::json;
use tokio_util::sync::CancellationToken;

/// How often the lead is taken away in each way.
const ROUNDS: usize = 4;

/// How a leader stops leading.
#[derive(Clone, Copy, Debug)]
enum Loss {
    /// It is killed, and started again.
    Killed,
    /// It is frozen until another one leads, and goes on while clients still speak to it.
    Paused,
    /// It is asked to end, and started again.
    Ended,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_clients_see_while_the_lead_changes_hubs_is_linearizable_and_watches_miss_nothing() {
    let seed: u64 = rand::random();
    let report = while_the_lead_changes(seed).await;
    eprintln!("history: seed {seed}, {:?}", report.expect("the history"));
}

async fn while_the_lead_changes(seed: u64) -> anyhow::Result<Report> {
    let outcome = async {
        let mut hubs = Hubs::start(3, 1).await?;
        let first = ApiAddress::open(&hubs.hubs[0].context())?;
        let addresses: Vec<ApiAddress> = hubs.hubs.iter().map(|hub| first.at(&hub.api_url())).collect();
        let options = Options {
            clients: 8,
            watchers: 3,
            tenants: 6,
            calls_per_tenant: 60,
            seed,
            stop: CancellationToken::new(),
        };
        let clients = tokio::spawn({
            let options = options.clone();
            async move { history::run(&addresses, &options).await }
        });
        let lost = lead_lost(&mut hubs, seed).await;
        options.stop.cancel();
        let history = clients.await.context("the clients")?;
        lost.with_context(|| hubs.logs())?;
        let history = history.with_context(|| hubs.logs())?;
        hubs.stop().await;
        let checked = tokio::task::spawn_blocking(move || history::check(&history)).await?;
        let report = match checked {
            Ok(report) => report,
            Err(faults) => bail!("{}", history::told(&faults)),
        };
        ensure!(report.calls > 300, "too few calls to mean anything: {report:?}");
        ensure!(report.lost > 0, "no answer was lost: {report:?}");
        ensure!(
            report.carried > 3 * ROUNDS,
            "the watchers did not carry their tokens from hub to hub: {report:?}"
        );
        Ok(report)
    };
    outcome.await.with_context(|| format!("seed {seed}"))
}

/// Takes the lead from whoever has it, at moments that have nothing to do with what clients do.
async fn lead_lost(hubs: &mut Hubs, seed: u64) -> anyhow::Result<()> {
    let mut random = StdRng::seed_from_u64(seed);
    for _ in 0..ROUNDS {
        let mut losses = [Loss::Killed, Loss::Paused, Loss::Ended];
        losses.shuffle(&mut random);
        for loss in losses {
            // The moment is the point of the test, not a wait for something.
            let mut moment = async |most| {
                tokio::time::sleep(Duration::from_millis(random.random_range(50..most))).await;
            };
            moment(1000).await;
            let leader = hubs.leader().await?;
            let hub = hubs.hubs[leader].process();
            match loss {
                Loss::Killed => {
                    hub.kill().await?;
                    hubs.hubs[leader].start_again().await?;
                }
                Loss::Paused => {
                    hub.pause()?;
                    hubs.leader_but(Some(leader)).await?;
                    // Whoever is not stuck at the paused hub works at the new one meanwhile.
                    moment(800).await;
                    hubs.hubs[leader].process().resume()?;
                }
                Loss::Ended => {
                    hub.stop().await?;
                    hubs.hubs[leader].start_again().await?;
                }
            }
        }
    }
    hubs.leader().await?;
    // Clients come back, and something happens after the last change.
    tokio::time::sleep(Duration::from_millis(500)).await;
    Ok(())
}

/// A stream of tenants.
struct Watching {
    stream: tonic::Streaming<v1::WatchTenantsResponse>,
    token: String,
}

impl Watching {
    async fn open(api: &Api, token: &str) -> anyhow::Result<Self> {
        let request = v1::WatchTenantsRequest {
            resume_token: token.to_owned(),
            ..v1::WatchTenantsRequest::default()
        };
        Ok(Self {
            stream: api.tenants().watch_tenants(request).await?.into_inner(),
            token: String::new(),
        })
    }

    /// What is told first: the tenants of a snapshot until its end, or the first event of a stream that goes on.
    async fn first(&mut self) -> anyhow::Result<First> {
        let mut tenants = Vec::new();
        within(LONG, "the first events", async {
            loop {
                let message = self.stream.message().await?.context("the stream ended")?;
                self.token = message.resume_token;
                match message.event.context("no event")? {
                    Event::Upserted(tenant) if self.token.is_empty() => tenants.push(tenant.name),
                    Event::Upserted(tenant) => return Ok(First::GoesOn(tenant.name)),
                    Event::Deleted(name) => return Ok(First::GoesOn(name)),
                    Event::SnapshotEnd(_) => return Ok(First::Snapshot(tenants)),
                }
            }
        })
        .await
    }
}

#[derive(Debug, PartialEq, Eq)]
enum First {
    Snapshot(Vec<String>),
    GoesOn(String),
}

fn snapshot(ids: &[&str]) -> First {
    First::Snapshot(ids.iter().map(|id| format!("tenants/{id}")).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resume_token_goes_on_in_its_own_period_and_starts_with_a_snapshot_in_any_other() {
    let mut hubs = Hubs::start(2, 1).await.unwrap();
    let first = hubs.leader().await.unwrap();
    let first_api = hubs.hubs[first].api().unwrap();
    first_api.create("stays", of_tier("free")).await.unwrap();
    first_api.create("goes", of_tier("free")).await.unwrap();
    let mut watching = Watching::open(&first_api, "").await.unwrap();
    assert_eq!(watching.first().await.unwrap(), snapshot(&["goes", "stays"]));
    let token = watching.token;
    first_api.create("third", of_tier("free")).await.unwrap();
    let mut resumed = Watching::open(&first_api, &token).await.unwrap();
    let news = resumed.first().await.unwrap();
    assert!(matches!(news, First::GoesOn(_)), "{news:?}");

    // The same token at another hub.
    hubs.hubs[first].process().pause().unwrap();
    let second = hubs.leader_but(Some(first)).await.unwrap();
    let second_api = hubs.hubs[second].api().unwrap();
    let mut carried = Watching::open(&second_api, &token).await.unwrap();
    assert_eq!(
        carried.first().await.unwrap(),
        snapshot(&["goes", "stays", "third"])
    );
    second_api.delete("goes").await.unwrap();
    second_api.gone("goes").await.unwrap();

    // What was open at the paused hub ends when it goes on, and shows nothing any more.
    hubs.hubs[first].process().resume().unwrap();
    let ended = within(LONG, "the old stream ends", async {
        let mut seen = Vec::new();
        loop {
            match resumed.stream.message().await {
                Ok(Some(message)) => seen.push(message),
                Ok(None) | Err(_) => return Ok(seen),
            }
        }
    });
    let late = ended.await.unwrap();
    let gone = |message: &v1::WatchTenantsResponse| matches!(message.event, Some(Event::Deleted(_)));
    assert!(!late.iter().any(gone), "{late:?}");

    // The same token at the same hub, which has lost the lead meanwhile and won it again.
    hubs.hubs[second].process().stop().await.unwrap();
    assert_eq!(hubs.leader().await.unwrap(), first);
    let mut again = Watching::open(&first_api, &token).await.unwrap();
    assert_eq!(again.first().await.unwrap(), snapshot(&["stays", "third"]));
    hubs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_began_under_a_lead_and_ends_after_it_is_not_answered() {
    // A read waits for etcd for longer than the lease lasts.
    let access = json!({"leaseSeconds": 2, "requestTimeoutSeconds": 60.0});
    let mut hubs = Hubs::start_with(2, 1, &access).await.unwrap();
    let leader = hubs.leader().await.unwrap();
    let api = hubs.hubs[leader].api().unwrap();
    api.create("seen", of_tier("free")).await.unwrap();
    hubs.etcd.pause(0).await.unwrap();
    let late = tokio::spawn(async move { api.tenant("seen").await });
    let hub = &hubs.hubs[leader];
    until(LONG, "the lease runs out", || async {
        let metrics = hub.metrics().await?;
        Ok(metrics.contains("\nberth_hub_leading 0\n").then_some(()))
    })
    .await
    .unwrap();
    hubs.etcd.resume(0).unwrap();
    // By now there is another period, with statuses of its own, also if it is the same hub's.
    let refused = late.await.unwrap().unwrap_err();
    assert_eq!(
        status::reason(&refused).as_deref(),
        Some("NOT_LEADER"),
        "{refused}"
    );
    hubs.stop().await;
}
