//! Starting: the ledger is read once, what it says is held, and what it says is unfinished goes on. Then the engine's own loops.

use std::{sync::Arc, time::Duration};

use berth_runtime::retry::{Backoff, Policy};

use super::{core::Core, judge, slot::Slot};
use crate::ledger::{LedgerError, Memory};

/// Runs until dropped.
pub(super) async fn run(core: Arc<Core>) -> Result<(), LedgerError> {
    core.spawn(judge::run);
    core.spawn(|core| async move {
        core.facts
            .watch(&core.caller, &core.clock, core.pulse.epoch())
            .await
    });
    core.spawn(probe);
    let memory = load(&core).await?;
    take_up(&core, memory).await;
    core.ready.send_replace(true);
    std::future::pending().await
}

async fn load(core: &Core) -> Result<Memory, LedgerError> {
    let mut backoff = Backoff::new(&Policy::new(Duration::from_millis(200), Duration::from_secs(10)));
    loop {
        match core.options.ledger.load().await {
            Ok(memory) => return Ok(memory),
            Err(error @ LedgerError::Newer { .. }) => return Err(error),
            Err(error) => {
                let delay = backoff.next_delay();
                tracing::warn!(%error, ?delay, "the ledger cannot be read; trying again");
                core.clock.sleep(delay).await;
            }
        }
    }
}

async fn take_up(core: &Core, memory: Memory) {
    for (name, problem) in &memory.damaged {
        tracing::error!(%name, %problem, "a record of the ledger is damaged; its tenant counts as not held until it is assigned again");
    }
    if let Some(at) = memory.breaker.tripped_at {
        tracing::error!(%at, "the mass-delete breaker tripped before this start and is not released: nothing is withdrawn");
    }
    core.breaker().recall(memory.breaker.clone(), core.moment());
    memory.breaker.clone_into(&mut *core.breaker_kept.lock().await);
    let tenants: Vec<_> = memory
        .records
        .iter()
        .map(|record| record.head.tenant.clone())
        .collect();
    {
        let mut state = core.state();
        state.highest = state.highest.max(memory.term);
        for record in memory.records {
            state
                .slots
                .insert(record.head.tenant.clone(), Slot::remembered(record));
        }
        for tenant in &tenants {
            core.watch_for(&mut state, tenant);
            if state.slots.get(tenant).is_some_and(|slot| slot.todo.whole) {
                core.kick(&mut state, tenant);
            }
        }
    }
    for tenant in &tenants {
        core.tell(tenant);
    }
}

/// An idle engine still knows whether its API server answers.
async fn probe(core: Arc<Core>) {
    let interval = core.options.probe_interval;
    let mut lost = false;
    loop {
        let age = core.pulse.age(core.clock.monotonic());
        if core.pulse.last_success() != berth_model::Timestamp::UNIX_EPOCH && age < interval && !lost {
            core.clock.sleep(interval.saturating_sub(age)).await;
            continue;
        }
        let answered = core.caller.probe().await;
        if answered && lost {
            core.pulse.recovered();
        }
        if answered == lost {
            lost = !answered;
            tracing::info!(reachable = answered, "contact with the API server changed");
        }
        core.clock.sleep(interval).await;
    }
}
