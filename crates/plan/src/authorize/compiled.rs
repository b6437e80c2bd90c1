//! All bindings, so that those of one caller are found without a look at the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use berth_model::{RoleBinding, RoleBindingName};

use super::Grants;

/// All role bindings.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    all: BTreeMap<RoleBindingName, Arc<RoleBinding>>,
    /// The bindings that name a subject.
    of: BTreeMap<String, BTreeSet<RoleBindingName>>,
}

impl Bindings {
    /// Takes a binding, in place of the one of its name.
    pub fn put(&mut self, binding: RoleBinding) {
        self.remove(&binding.name);
        for subject in &binding.spec.subjects {
            let of = self.of.entry(subject.to_string()).or_default();
            of.insert(binding.name.clone());
        }
        self.all.insert(binding.name.clone(), Arc::new(binding));
    }

    /// Forgets a binding.
    pub fn remove(&mut self, name: &RoleBindingName) {
        let Some(old) = self.all.remove(name) else {
            return;
        };
        for subject in &old.spec.subjects {
            if let Some(of) = self.of.get_mut(subject.as_str()) {
                of.remove(name);
                if of.is_empty() {
                    self.of.remove(subject.as_str());
                }
            }
        }
    }

    /// What these subjects, one caller's, hold together.
    pub fn held_by<'a>(&self, subjects: impl IntoIterator<Item = &'a str>) -> Grants {
        let mut names: Vec<&RoleBindingName> = subjects
            .into_iter()
            .filter_map(|subject| self.of.get(subject))
            .flatten()
            .collect();
        names.sort();
        names.dedup();
        let bindings = names.into_iter().filter_map(|name| self.all.get(name).cloned());
        Grants::of(bindings.collect())
    }
}
