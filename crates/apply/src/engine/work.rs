//! The worker of one tenant: does what is to be done until nothing is, and tries again what failed. One at a time for each tenant.

use std::sync::Arc;

use berth_model::{TenantId, report::ApplyState};
use berth_runtime::retry::{Backoff, Policy};

use super::{
    core::Core,
    slot::{Next, Ticket},
};
use crate::error::ApplyError;

pub(super) async fn run(core: Arc<Core>, tenant: TenantId) {
    let (base, cap) = core.options.retry;
    let mut backoff = Backoff::new(&Policy::new(base, cap));
    let mut serial = 0;
    loop {
        let next = {
            let mut state = core.state();
            let Some(slot) = state.slots.get_mut(&tenant) else {
                return;
            };
            if slot.serial != serial {
                serial = slot.serial;
                backoff.reset();
            }
            slot.next(&tenant, core.clock.monotonic())
        };
        let (ticket, outcome) = match next {
            Next::Done => return,
            Next::Wait(long, wake) => {
                tokio::select! {
                    biased;
                    () = core.clock.sleep(long) => {}
                    () = wake.notified() => {}
                }
                continue;
            }
            Next::Whole(ticket) => {
                let outcome = core.apply_whole(&ticket).await;
                (ticket, outcome)
            }
            Next::Withdraw(ticket) => {
                let outcome = core.withdraw_whole(&ticket).await;
                (ticket, outcome)
            }
            Next::Mend(ticket, objects) => {
                let outcome = core.mend(&ticket, objects).await;
                (ticket, outcome)
            }
            Next::Settle(ticket) => {
                let outcome = core.settle(&ticket).await;
                (ticket, outcome)
            }
        };
        match outcome {
            Ok(()) => {
                backoff.reset();
                let _ = core.with(&ticket, |slot| slot.slow = false);
            }
            Err(ApplyError::Superseded) => {}
            Err(error) => core.try_later(&ticket, &error, &mut backoff),
        }
    }
}

impl Core {
    fn try_later(&self, ticket: &Ticket, error: &ApplyError, backoff: &mut Backoff) {
        let delay = backoff.next_delay_after(error.retry_after().unwrap_or_default());
        let message = error.message();
        let set = self.with(ticket, |slot| {
            slot.todo.whole = true;
            slot.slow = error.timed_out();
            slot.todo.not_before = Some(self.clock.monotonic() + delay);
            slot.apply = if slot.withdrawing {
                ApplyState::WithdrawFailed {
                    reason: error.reason().to_owned(),
                    message: message.clone(),
                }
            } else {
                ApplyState::Failed {
                    reason: error.reason().to_owned(),
                    message: message.clone(),
                }
            };
        });
        if set.is_err() {
            return;
        }
        tracing::warn!(tenant = %ticket.tenant, reason = error.reason(), %message, ?delay, "tenant failed; trying again");
        self.soil(&ticket.tenant);
        self.tell(&ticket.tenant);
    }
}
