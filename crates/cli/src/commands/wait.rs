//! `berth wait`: until tenants have a condition, or are gone. Follows changes; asks for nothing twice.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use berth_model::condition::ConditionKind;
use berth_proto::v1::{self, watch_tenants_response::Event};

use super::{Session, stream::Tenants};
use crate::{
    args::Wait,
    exit::{Exit, Failure, Outcome},
    kinds::{self, Kind},
    output::{Shown as _, condition, short},
};

/// What is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// A condition has a status.
    Condition {
        /// Its type.
        kind: String,
        /// The status.
        status: String,
    },
    /// The tenant is gone, with everything that was made for it.
    Deleted,
}

impl Goal {
    /// `condition=Ready`.
    pub(crate) fn ready() -> Self {
        Self::Condition {
            kind: ConditionKind::Ready.as_str().into(),
            status: "True".into(),
        }
    }
}

/// Reads `condition=TYPE`, `condition=TYPE=STATUS` or `delete`.
pub(crate) fn goal(text: &str) -> Result<Goal, String> {
    if text == "delete" {
        return Ok(Goal::Deleted);
    }
    let Some(wanted) = text.strip_prefix("condition=") else {
        return Err(format!(
            "{text:?} is nothing to wait for; write condition=Ready, condition=Healthy=False or delete"
        ));
    };
    let (kind, status) = wanted.split_once('=').unwrap_or((wanted, "True"));
    let kinds = ConditionKind::ALL.map(ConditionKind::as_str);
    let Some(kind) = kinds.into_iter().find(|known| known.eq_ignore_ascii_case(kind)) else {
        return Err(format!(
            "there is no condition {kind:?}; known are {}",
            kinds.join(", ")
        ));
    };
    let Some(status) = ["True", "False", "Unknown"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(status))
    else {
        return Err(format!("{status:?} is no status; use True, False or Unknown"));
    };
    Ok(Goal::Condition {
        kind: kind.into(),
        status: status.into(),
    })
}

pub(super) async fn run(session: &Session<'_>, args: Wait) -> Result<(), Failure> {
    let Wait {
        targets,
        goal,
        timeout,
    } = args;
    let targets = kinds::targets(&targets)?;
    if targets.kind != Kind::Tenant || targets.names.is_empty() {
        return Err(Failure::usage(
            "only tenants can be waited for; write: berth wait tenant/NAME",
        ));
    }
    until(session, targets.names, &goal, timeout).await
}

/// Waits until all of `names` have come to `goal`, and says so of each.
pub(super) async fn until(
    session: &Session<'_>,
    names: Vec<String>,
    goal: &Goal,
    timeout: Duration,
) -> Result<(), Failure> {
    let mut waiting = Waiting::new(names, goal);
    let finished = tokio::time::timeout(timeout, follow(session, &mut waiting)).await;
    match finished {
        Ok(result) => result,
        Err(_) => Err(waiting.late(timeout)),
    }
}

async fn follow(session: &Session<'_>, waiting: &mut Waiting<'_>) -> Result<(), Failure> {
    let only = match waiting.names.iter().collect::<Vec<_>>().as_slice() {
        [name] => Some((*name).clone()),
        _ => None,
    };
    let mut outcome = Outcome::default();
    let progress = session.terminal.progress();
    let mut stream = Tenants::open(session, only.as_deref()).await?;
    while !waiting.names.is_empty() {
        let news = match stream.next().await? {
            Event::Upserted(tenant) => waiting.seen(&tenant).into_iter().collect(),
            Event::Deleted(name) => waiting.gone(short(&name)),
            Event::SnapshotEnd(v1::SnapshotEnd {}) => waiting.complete(),
        };
        for news in news {
            match news {
                Ok(line) => session.terminal.print(&line)?,
                Err(failure) => outcome.add(failure),
            }
        }
        progress.say(&waiting.said());
    }
    outcome.finish()
}

/// What is still waited for; knows nothing of streams or time.
struct Waiting<'a> {
    goal: &'a Goal,
    names: BTreeSet<String>,
    seen: BTreeSet<String>,
    last: BTreeMap<String, String>,
}

type News = Result<String, Failure>;

impl<'a> Waiting<'a> {
    fn new(names: Vec<String>, goal: &'a Goal) -> Self {
        Self {
            goal,
            names: names.into_iter().collect(),
            seen: BTreeSet::new(),
            last: BTreeMap::new(),
        }
    }

    fn seen(&mut self, tenant: &v1::Tenant) -> Option<News> {
        let name = tenant.name();
        if !self.names.contains(&name) {
            return None;
        }
        self.seen.insert(name.clone());
        let Goal::Condition { kind, status } = self.goal else {
            let deleting = condition(tenant, "Deleting").map(|deleting| deleting.message.clone());
            self.last
                .insert(name, deleting.unwrap_or_else(|| "it is still there".into()));
            return None;
        };
        let found = condition(tenant, kind);
        let current = tenant
            .status
            .as_ref()
            .is_some_and(|status| status.observed_generation >= tenant.generation);
        if current && found.is_some_and(|found| found.status == *status) {
            self.names.remove(&name);
            return Some(Ok(format!("tenant/{name} condition met\n")));
        }
        let state = match (current, found) {
            (false, _) => "the last change was not looked at yet".to_owned(),
            (true, None) => format!("it has no condition {kind}"),
            (true, Some(found)) => format!("{kind} is {}: {}: {}", found.status, found.reason, found.message),
        };
        self.last.insert(name, state);
        None
    }

    fn gone(&mut self, name: &str) -> Vec<News> {
        if !self.names.remove(name) {
            return Vec::new();
        }
        vec![match self.goal {
            Goal::Deleted => Ok(format!("tenant/{name} deleted\n")),
            Goal::Condition { .. } => Err(Failure::new(
                Exit::NotFound,
                format!("tenant/{name}: was deleted meanwhile"),
            )),
        }]
    }

    /// What was not in the snapshot does not exist.
    fn complete(&mut self) -> Vec<News> {
        let missing: Vec<String> = self.names.difference(&self.seen).cloned().collect();
        missing
            .into_iter()
            .map(|name| {
                self.names.remove(&name);
                match self.goal {
                    Goal::Deleted => Ok(format!("tenant/{name} deleted\n")),
                    Goal::Condition { .. } => {
                        Err(Failure::new(Exit::NotFound, format!("tenant/{name}: not found")))
                    }
                }
            })
            .collect()
    }

    fn said(&self) -> String {
        let mut all = self.names.iter();
        let Some(first) = all.next() else {
            return String::new();
        };
        let state = self.last.get(first).map(String::as_str).unwrap_or_default();
        match all.count() {
            0 => format!("tenant/{first}: {state}"),
            more => format!("tenant/{first} and {more} more: {state}"),
        }
    }

    fn late(&self, timeout: Duration) -> Failure {
        let lines = self
            .names
            .iter()
            .map(|name| {
                let state = self
                    .last
                    .get(name)
                    .map_or("nothing was heard of it", String::as_str);
                format!("tenant/{name}: not there after {}s: {state}", timeout.as_secs())
            })
            .collect();
        Failure {
            exit: Exit::Timeout,
            lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(name: &str, generation: i64, observed: i64, ready: &str) -> v1::Tenant {
        let condition = v1::Condition {
            r#type: "Ready".into(),
            status: ready.into(),
            ..Default::default()
        };
        v1::Tenant {
            name: format!("tenants/{name}"),
            generation,
            status: Some(v1::TenantStatus {
                observed_generation: observed,
                conditions: vec![condition],
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    #[test]
    fn goals_are_written_as_kubectl_has_them() {
        let of = |kind: &str, status: &str| Goal::Condition {
            kind: kind.into(),
            status: status.into(),
        };
        assert_eq!(goal("condition=ready"), Ok(of("Ready", "True")));
        assert_eq!(goal("condition=Healthy=false"), Ok(of("Healthy", "False")));
        assert_eq!(goal("delete"), Ok(Goal::Deleted));
        for wrong in ["ready", "condition=Splendid", "condition=Ready=Maybe", ""] {
            assert!(goal(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_status_of_an_older_generation_is_not_what_was_waited_for() {
        let goal = Goal::ready();
        let mut waiting = Waiting::new(vec!["a".into()], &goal);
        assert!(waiting.seen(&tenant("a", 2, 1, "True")).is_none());
        assert!(waiting.seen(&tenant("a", 2, 2, "False")).is_none());
        assert!(waiting.seen(&tenant("b", 2, 2, "True")).is_none());
        assert!(matches!(waiting.seen(&tenant("a", 2, 2, "True")), Some(Ok(_))));
        assert!(waiting.names.is_empty());
    }

    #[test]
    fn what_is_not_in_the_snapshot_is_not_there() {
        let ready = Goal::ready();
        let mut waiting = Waiting::new(vec!["a".into(), "b".into()], &ready);
        waiting.seen(&tenant("a", 1, 1, "False"));
        let news = waiting.complete();
        assert!(matches!(news.as_slice(), [Err(failure)] if failure.exit == Exit::NotFound));
        assert!(matches!(waiting.gone("a").as_slice(), [Err(failure)] if failure.exit == Exit::NotFound));
        let mut waiting = Waiting::new(vec!["a".into()], &Goal::Deleted);
        assert!(matches!(waiting.complete().as_slice(), [Ok(_)]));
    }

    #[test]
    fn a_time_limit_tells_what_was_last_seen() {
        let goal = Goal::ready();
        let mut waiting = Waiting::new(vec!["a".into()], &goal);
        waiting.seen(&tenant("a", 1, 1, "False"));
        let failure = waiting.late(Duration::from_secs(5));
        assert_eq!(failure.exit, Exit::Timeout);
        assert_eq!(
            failure.lines,
            ["tenant/a: not there after 5s: Ready is False: : "]
        );
    }
}
