//! One run: a fleet is set up, lives through trouble, is left alone until it has settled, and is watched while it rests.

use std::{collections::BTreeMap, sync::atomic::Ordering, time::Duration};

use berth_model::{ClusterName, TenantId, Timestamp};
use berth_runtime::{CancellationToken, simulation};

use crate::{
    admin, chaos,
    check::{self, End, Finding},
    history::{Event, Shown},
    setback, twins,
    world::World,
};

/// How a run goes.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What everything is drawn from.
    pub seed: u64,
    /// How long things go wrong.
    pub trouble: Duration,
    /// How long nothing may be written at the end.
    pub rest: Duration,
    /// Print what happens.
    pub trace: bool,
}

impl Plan {
    /// The usual run of this seed.
    #[must_use]
    pub const fn of(seed: u64) -> Self {
        Self {
            seed,
            trouble: Duration::from_secs(300),
            rest: Duration::from_secs(600),
            trace: false,
        }
    }
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Of which seed.
    pub seed: u64,
    /// What broke an invariant.
    pub findings: Vec<Finding>,
    /// One number for all that happened.
    pub fingerprint: u64,
    /// How much time passed in it.
    pub simulated: Duration,
    /// How many things happened.
    pub events: usize,
}

/// No fleet takes longer to settle: a dedicated cluster may be made anew, and its agent be given up, in this time.
const SETTLE: Duration = Duration::from_secs(3 * 3600);

/// How many looks in a row must find nothing open.
const CALM: u32 = 6;

/// Runs a fleet from `plan`, in virtual time.
///
/// # Errors
/// Only when the simulation itself does not work.
pub fn run(plan: Plan) -> anyhow::Result<Outcome> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    let outcome = runtime.block_on(async {
        let _simulation = simulation::begin(plan.seed);
        live(plan).await
    });
    // What is still waiting in dead processes is dropped with it.
    drop(runtime);
    outcome
}

async fn live(plan: Plan) -> anyhow::Result<Outcome> {
    let world = World::new(plan.seed, plan.trace).await?;
    let history = world.history.clone();
    let watching = tokio::spawn(watch(world.clone()));

    history.note(Event::Phase("set up"));
    for machine in world.hub_machines() {
        world.start_hub(&machine);
    }
    set_up(&world).await;

    history.note(Event::Phase("trouble"));
    world.truth.trouble.store(true, Ordering::Relaxed);
    world.network.set_harsh(world.shape.harsh);
    let stop = CancellationToken::new();
    let admins = 1 + world.dice.below(3);
    let mut busy = Vec::new();
    for name in 1..=admins {
        busy.push(tokio::spawn(admin::work(world.clone(), name, stop.clone())));
    }
    busy.push(tokio::spawn(chaos::rage(world.clone(), stop.clone())));
    if world.rare.twins {
        busy.push(tokio::spawn(twins::play(world.clone(), plan.seed, stop.clone())));
    }
    let mut operating = None;
    if let Some(kind) = world.rare.set_back {
        busy.push(tokio::spawn(setback::play(world.clone(), kind, plan)));
        operating = Some(tokio::spawn(setback::operate(world.clone(), plan.seed)));
    }
    tokio::time::sleep(plan.trouble).await;
    stop.cancel();
    for task in busy {
        task.await?;
    }

    history.note(Event::Phase("settle"));
    // What was to be mended later is mended now, by hand.
    world.over.store(true, Ordering::Relaxed);
    chaos::mend_all(&world);
    let settled = settle(&world).await;

    history.note(Event::Phase("rest"));
    let mut end = End::read(&world).await?;
    end.settled = settled;
    let rest_began = history.now();
    if end.settled.is_none() {
        tokio::time::sleep(plan.rest).await;
        end.last = Some(End::read(&world).await?.tenants);
    }
    watching.abort();
    if let Some(operating) = operating {
        operating.abort();
    }
    let events = history.events();
    let findings = check::all(&events, &end, rest_began);
    Ok(Outcome {
        seed: plan.seed,
        findings,
        fingerprint: history.fingerprint(),
        simulated: history.now(),
        events: events.len(),
    })
}

/// The first leader, and the first clusters.
async fn set_up(world: &World) {
    while world.leader().is_none() {
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for number in 0..world.shape.clusters {
        let Ok(cluster) = ClusterName::new(format!("eu-{number}")) else {
            continue;
        };
        while !world.sites().contains_key(&cluster) {
            admin::enter(world, &cluster).await;
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

/// Waits until the fleet is as it should be; says what is not when that takes too long.
async fn settle(world: &World) -> Option<String> {
    let began = tokio::time::Instant::now();
    let mut since_release = Duration::ZERO;
    let mut calm = 0;
    loop {
        let step = Duration::from_secs(10);
        tokio::time::sleep(step).await;
        let open = check::unsettled(world).await;
        let open = match open {
            Ok(Some(open)) => open,
            Err(error) => error.to_string(),
            Ok(None) => {
                // What is settled may still be written down: it has to stay so for a while.
                calm += 1;
                if calm > CALM {
                    return None;
                }
                continue;
            }
        };
        calm = 0;
        since_release += step;
        if since_release >= Duration::from_secs(60) {
            since_release = Duration::ZERO;
            admin::release_breaker(world).await;
        }
        if began.elapsed() > SETTLE {
            return Some(open);
        }
    }
}

/// Looks at what the leader shows every second, and at what is in clusters.
async fn watch(world: World) {
    let mut last = BTreeMap::new();
    let mut suspects = BTreeMap::new();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Some(hub) = world.leader() else {
            continue;
        };
        // A process that was stopped looks around first.
        if hub.gate.resumed_within(Duration::from_secs(3)) {
            continue;
        }
        let sites = world.sites();
        for snapshot in hub.board.snapshot().0 {
            let Some(status) = &snapshot.status else { continue };
            let cluster = snapshot.placement.map(|placement| placement.cluster().clone());
            let site = cluster.as_ref().and_then(|cluster| sites.get(cluster));
            let claimed_age = status.evidence_at.map(|at| age(hub.clock.now(), at));
            let shown = Shown {
                hub: hub.name.clone(),
                tenant: snapshot.tenant.id.clone(),
                health: status.health.state.as_str().to_owned(),
                text: status
                    .conditions
                    .iter()
                    .map(|condition| {
                        format!("{:?}={} {}", condition.kind, condition.reason, condition.message)
                    })
                    .collect::<Vec<_>>()
                    .join("; "),
                claimed_age,
                true_age: site
                    .and_then(|site| site.member.answered())
                    .map(|at| at.elapsed()),
                cluster,
                suspicious_for: Duration::ZERO,
            };
            let shown = Shown {
                suspicious_for: suspicion(&mut suspects, &shown, world.history.now()),
                ..shown
            };
            // Most seconds bring nothing new: what is suspicious and what changed is kept.
            let key = (shown.health.clone(), shown.text.clone());
            if check::freshness::suspicious(&shown)
                || last.insert(shown.tenant.clone(), key.clone()) != Some(key)
            {
                world.history.note(Event::Shown(shown));
            }
        }
    }
}

/// For how long the tenant's status has been claiming more than is known.
fn suspicion(
    suspects: &mut BTreeMap<(String, TenantId), Duration>,
    shown: &Shown,
    now: Duration,
) -> Duration {
    let who = (shown.hub.clone(), shown.tenant.clone());
    if !check::freshness::suspicious(shown) {
        suspects.remove(&who);
        return Duration::ZERO;
    }
    now.saturating_sub(*suspects.entry(who).or_insert(now))
}

fn age(now: Timestamp, at: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or_default()
}
