//! The task that writes the log: everything that waits goes into one write.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use berth_identity::audit::{Event, Kind, Log, LogError};
use berth_runtime::{CancellationToken, Clock};
use tokio::sync::{mpsc, oneshot, watch};
use tracing::{error, info};

use super::{Ask, State};

/// Asks that share a write.
const TOGETHER: usize = 512;
/// Events of what has happened already that are kept while the log cannot be written.
const KEPT: usize = 4096;
/// Between two attempts to write a log that could not be written, when nobody else tries.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    pub(super) log: Log,
    pub(super) asks: mpsc::Receiver<Ask>,
    pub(super) state: watch::Sender<State>,
    pub(super) lost: Arc<AtomicU64>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) seal_after: Duration,
    pub(super) close: CancellationToken,
}

/// What is done with the log, away from the runtime's own threads.
enum Work {
    Append(Vec<Event>),
    Seal,
}

impl Writer {
    pub(super) async fn run(self) {
        let Self {
            log,
            mut asks,
            state,
            lost,
            clock,
            seal_after,
            close,
        } = self;
        let mut log = Some(log);
        let mut kept: VecDeque<Event> = VecDeque::new();
        let mut told_lost = 0;
        let mut seal_at = None;
        loop {
            let troubled = state.borrow().trouble.is_some();
            let pause = if troubled {
                AGAIN
            } else {
                seal_at.map_or(seal_after, |at: Duration| at.saturating_sub(clock.monotonic()))
            };
            let mut together: Vec<Ask> = Vec::new();
            let ended = tokio::select! {
                biased;
                ask = asks.recv() => match ask {
                    Some(ask) => { together.push(ask); false }
                    None => true,
                },
                () = close.cancelled() => {
                    asks.close();
                    true
                }
                () = clock.sleep(pause) => false,
            };
            while together.len() < TOGETHER
                && let Ok(ask) = asks.try_recv()
            {
                together.push(ask);
            }
            let mut events: Vec<Event> = kept.iter().cloned().collect();
            if troubled {
                let missing = lost.load(Ordering::Relaxed);
                let mut again =
                    Event::new(Kind::Audit, "Recovered").with("lost", (missing - told_lost).to_string());
                again.reason = state.borrow().trouble.clone().unwrap_or_default();
                events.push(again);
            }
            let (noted, waiting) = split(together, &mut events);
            let work = if events.is_empty() {
                Work::Seal
            } else {
                Work::Append(events)
            };
            let due = seal_at.is_some_and(|at| at <= clock.monotonic());
            if matches!(work, Work::Append(_)) || due || ended {
                let wrote = written(&mut log, work, &*clock).await;
                match &wrote {
                    Ok(last) => {
                        if troubled {
                            info!("the audit log can be written again");
                            told_lost = lost.load(Ordering::Relaxed);
                        }
                        kept.clear();
                        let last = *last;
                        state.send_replace(State { trouble: None, last });
                    }
                    Err(problem) => {
                        if !troubled {
                            error!(%problem, "the audit log cannot be written: nothing is changed until it can");
                        }
                        for event in noted {
                            if kept.len() < KEPT {
                                kept.push_back(event);
                            } else {
                                lost.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        state.send_modify(|state| state.trouble = Some(problem.clone()));
                    }
                }
                for answer in waiting {
                    // Whoever went away meanwhile does not need it.
                    let _ = answer.send(wrote.clone().map(drop));
                }
                let unsealed = log.as_ref().is_some_and(Log::unsealed);
                seal_at = match (unsealed, seal_at) {
                    (false, _) => None,
                    (true, Some(at)) if !due => Some(at),
                    (true, _) => Some(clock.monotonic() + seal_after),
                };
            }
            if ended && asks.is_empty() {
                if let Err(problem) = written(&mut log, Work::Seal, &*clock).await {
                    error!(%problem, "the audit log's end is not sealed");
                }
                return;
            }
        }
    }
}

/// Lays all events out in order; gives back those nobody waits for, and who waits.
fn split(asks: Vec<Ask>, events: &mut Vec<Event>) -> (Vec<Event>, Vec<oneshot::Sender<Result<(), String>>>) {
    let (mut noted, mut waiting) = (Vec::new(), Vec::new());
    for ask in asks {
        match ask.answer {
            Some(answer) => waiting.push(answer),
            None => noted.extend(ask.events.iter().cloned()),
        }
        events.extend(ask.events);
    }
    (noted, waiting)
}

/// Does it on a thread that may wait for the disk; says which line is the last.
async fn written(log: &mut Option<Log>, work: Work, clock: &dyn Clock) -> Result<u64, String> {
    let Some(mut open) = log.take() else {
        return Err("an earlier write broke off".into());
    };
    let now = clock.now();
    let done = tokio::task::spawn_blocking(move || {
        let done = match work {
            Work::Append(events) => open.append(now, events),
            Work::Seal => open.seal(now).map(|()| open.last()),
        };
        (open, done)
    });
    match done.await {
        Ok((open, done)) => {
            *log = Some(open);
            done.map_err(|error| causes(&error))
        }
        Err(broken) => Err(broken.to_string()),
    }
}

fn causes(error: &LogError) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
