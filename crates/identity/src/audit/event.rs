//! What happened. Fields are written in this order; what is empty is left out.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The longest text of a field, in characters; the rest is cut off.
const LONGEST: usize = 1024;
/// Most entries of [`Event::detail`], and most groups.
const MOST: usize = 64;

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A call that changes something, or hands something out.
    Call,
    /// A call, a join or a renewal that was refused because of who asked.
    Denial,
    /// A credential was used for the first time in a while.
    Login,
    /// A cluster's agent joined, or proved itself again.
    Agent,
    /// The control loop decided.
    Decision,
    /// The hub started, ended, led or followed.
    Hub,
    /// About the log itself.
    Audit,
}

/// Where in its life the thing is that an event tells of; words as the audit log of Kubernetes has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Before it is done.
    RequestReceived,
    /// It is done, or has failed.
    ResponseComplete,
}

/// Whom or what an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Subject {
    /// `tenant`, `cluster`...
    pub kind: String,
    /// Its name; empty for all there are.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The tenant whose affair it is; empty where it is the fleet's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tenant: String,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// What kind of thing.
    pub kind: Kind,
    /// Where in its life, for what has two events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<Stage>,
    /// What was done: `TenantService/CreateTenant`, `SavePlacement`.
    pub call: String,
    /// Who did it, as bindings name subjects; empty where nobody proved who they are.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub caller: String,
    /// Groups of the caller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Which of the caller's credentials, never the credential itself.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub credential: String,
    /// Whom or what it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Subject>,
    /// How it ended, as gRPC names codes: `OK`, `PERMISSION_DENIED`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// Why, in a word or a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Where the caller's connection comes from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub source: String,
    /// The same in both events of a call.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request: String,
    /// More, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub detail: BTreeMap<String, String>,
}

impl Event {
    /// An event of which only its kind and its call are known.
    #[must_use]
    pub fn new(kind: Kind, call: impl Into<String>) -> Self {
        Self {
            kind,
            stage: None,
            call: call.into(),
            caller: String::new(),
            groups: Vec::new(),
            credential: String::new(),
            target: None,
            outcome: String::new(),
            reason: String::new(),
            source: String::new(),
            request: String::new(),
            detail: BTreeMap::new(),
        }
    }

    /// With one more detail; an empty one is left out.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.detail.insert(name.to_owned(), value);
        }
        self
    }

    /// The same with every text short enough to be kept.
    pub(super) fn clipped(mut self) -> Self {
        for text in [
            &mut self.call,
            &mut self.caller,
            &mut self.credential,
            &mut self.outcome,
            &mut self.reason,
            &mut self.source,
            &mut self.request,
        ] {
            clip(text);
        }
        if let Some(target) = &mut self.target {
            for text in [&mut target.kind, &mut target.name, &mut target.tenant] {
                clip(text);
            }
        }
        self.groups.truncate(MOST);
        self.groups.iter_mut().for_each(clip);
        while self.detail.len() > MOST {
            self.detail.pop_last();
        }
        self.detail.values_mut().for_each(clip);
        self
    }
}

fn clip(text: &mut String) {
    if let Some((at, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(at);
        text.push('…');
    }
}
