//! Asking the loop: what only its view can answer.

use std::collections::BTreeMap;

use berth_model::{ClusterName, TenantId};
use berth_plan::{Explanation, view::Reserved};
use tokio::sync::{mpsc, oneshot, watch};

use super::{Fleet, Standing};
use crate::difference::{Difference, difference};

/// A handle to ask the loop. Cheap to copy.
#[derive(Clone, Debug)]
pub struct FleetHandle {
    pub(super) questions: mpsc::Sender<Question>,
    pub(super) standing: watch::Receiver<Standing>,
}

#[derive(Debug)]
pub(super) enum Question {
    Explain(TenantId, oneshot::Sender<Option<Explanation>>),
    ExplainSpec(
        TenantId,
        Box<berth_model::TenantSpec>,
        oneshot::Sender<Explanation>,
    ),
    Reserved(oneshot::Sender<BTreeMap<ClusterName, Reserved>>),
    Difference(oneshot::Sender<Difference>),
}

impl FleetHandle {
    /// What keeps the loop from acting.
    #[must_use]
    pub fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// What the clusters hold against what the store says; none when the loop has ended.
    pub async fn difference(&self) -> Option<Difference> {
        let (answer, asked) = oneshot::channel();
        self.questions.send(Question::Difference(answer)).await.ok()?;
        asked.await.ok()
    }

    /// Why a tenant is where it is; none when there is no such tenant or the loop has ended.
    pub async fn explain(&self, tenant: TenantId) -> Option<Explanation> {
        let (answer, asked) = oneshot::channel();
        self.questions
            .send(Question::Explain(tenant, answer))
            .await
            .ok()?;
        asked.await.ok()?
    }

    /// Where a tenant of that spec would be; none when the loop has ended.
    pub async fn explain_spec(&self, id: TenantId, spec: berth_model::TenantSpec) -> Option<Explanation> {
        let (answer, asked) = oneshot::channel();
        self.questions
            .send(Question::ExplainSpec(id, Box::new(spec), answer))
            .await
            .ok()?;
        asked.await.ok()
    }

    /// What placements have reserved, by cluster.
    pub async fn reserved(&self) -> BTreeMap<ClusterName, Reserved> {
        let (answer, asked) = oneshot::channel();
        if self.questions.send(Question::Reserved(answer)).await.is_err() {
            return BTreeMap::new();
        }
        asked.await.unwrap_or_default()
    }
}

impl Fleet {
    pub(super) fn answer(&mut self, question: Question) {
        self.view.now = self.clock.now();
        // A caller that went away does not need its answer.
        match question {
            Question::Explain(tenant, answer) => drop(answer.send(berth_plan::explain(&self.view, &tenant))),
            Question::ExplainSpec(id, spec, answer) => {
                drop(answer.send(berth_plan::explain_spec(&self.view, &id, &spec)))
            }
            Question::Difference(answer) => {
                drop(answer.send(difference(&self.view, self.sessions.highest_term())))
            }
            Question::Reserved(answer) => {
                let all = self
                    .view
                    .clusters
                    .iter()
                    .map(|(name, known)| (name.clone(), known.reserved))
                    .collect();
                drop(answer.send(all));
            }
        }
    }
}
