//! The state of the simulated cloud and how it moves.

use std::collections::{BTreeMap, VecDeque};

use berth_model::infra::{InfraPhase, Trouble, TroubleClass};

use super::SimulatedFault;
use crate::{ClusterAccess, Failure, tag};

/// Something made.
#[derive(Clone, Debug)]
pub(super) struct Made {
    pub(super) phase: InfraPhase,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) nodes: u32,
    pub(super) version: String,
    pub(super) trouble: Option<Trouble>,
    steps_left: u32,
}

impl Made {
    pub(super) fn remove(&mut self, steps: u32) {
        self.phase = InfraPhase::Deleting;
        self.steps_left = steps;
    }

    /// One step further; false when it is gone.
    fn step(&mut self) -> bool {
        self.steps_left = self.steps_left.saturating_sub(1);
        if self.steps_left > 0 {
            return true;
        }
        match self.phase {
            InfraPhase::Deleting => return false,
            InfraPhase::Creating if self.trouble.is_some() => self.phase = InfraPhase::Failed,
            InfraPhase::Creating | InfraPhase::Updating => self.phase = InfraPhase::Active,
            InfraPhase::Active | InfraPhase::Failed => {}
        }
        true
    }
}

#[derive(Debug, Default)]
pub(super) struct Cloud {
    pub(super) clusters: BTreeMap<String, Made>,
    /// By cluster and own name in the cloud.
    pub(super) pools: BTreeMap<(String, String), Made>,
    pub(super) faults: VecDeque<SimulatedFault>,
    pub(super) steps: u32,
    pub(super) writes: u64,
    pub(super) access: Option<ClusterAccess>,
}

impl Cloud {
    /// A call comes in.
    pub(super) fn arrive(&mut self) -> Result<(), Failure> {
        match self
            .faults
            .pop_front_if(|fault| matches!(fault, SimulatedFault::Refuse(_)))
        {
            Some(SimulatedFault::Refuse(failure)) => Err(failure),
            _ => Ok(()),
        }
    }

    /// The answer of a call that changed something goes out.
    pub(super) fn depart(&mut self) -> Result<(), Failure> {
        match self
            .faults
            .pop_front_if(|fault| matches!(fault, SimulatedFault::LoseAnswer))
        {
            Some(_) => Err(Failure::new(
                TroubleClass::Retry,
                "LostAnswer",
                "the connection closed before the answer",
            )),
            None => Ok(()),
        }
    }

    pub(super) fn start(&mut self, tags: BTreeMap<String, String>, nodes: u32, version: &str) -> Made {
        self.writes += 1;
        let broken = self
            .faults
            .pop_front_if(|fault| matches!(fault, SimulatedFault::Break(_)));
        Made {
            phase: InfraPhase::Creating,
            tags,
            nodes,
            version: version.to_owned(),
            trouble: match broken {
                Some(SimulatedFault::Break(trouble)) => Some(trouble),
                _ => None,
            },
            steps_left: self.steps,
        }
    }

    pub(super) fn begin_removal(&mut self) -> u32 {
        self.writes += 1;
        self.steps
    }

    pub(super) fn look_at_cluster(&mut self, name: &str) {
        if self.clusters.get_mut(name).is_some_and(|made| !made.step()) {
            self.clusters.remove(name);
        }
    }

    pub(super) fn look_at_pool(&mut self, key: &(String, String)) {
        if self.pools.get_mut(key).is_some_and(|made| !made.step()) {
            self.pools.remove(key);
        }
    }

    pub(super) fn tick(&mut self) {
        self.clusters.retain(|_, made| made.step());
        self.pools.retain(|_, made| made.step());
    }

    pub(super) fn settle(&mut self) {
        for _ in 0..=self.steps {
            self.tick();
        }
    }

    pub(super) fn disown(&mut self) {
        for made in self.clusters.values_mut().chain(self.pools.values_mut()) {
            made.tags
                .insert(tag::FLEET.to_owned(), "somebody-else".to_owned());
        }
    }
}
