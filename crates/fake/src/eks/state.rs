//! What is in the account. Descriptions are kept in the shape EKS answers with.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{faults::Issue, refusal::Refusal};
use crate::access::Access;

/// An object of the EKS model, as answered.
pub(super) type Body = Map<String, Value>;

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) clusters: BTreeMap<String, ClusterRecord>,
    /// Makes ids unique over restarts.
    pub(super) serial: u64,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ClusterRecord {
    pub(super) body: Body,
    /// Whether somebody else runs it.
    pub(super) adopted: bool,
    pub(super) asked: Option<Asked>,
    pub(super) nodegroups: BTreeMap<String, NodegroupRecord>,
    pub(super) updates: BTreeMap<String, UpdateRecord>,
    /// By principal.
    pub(super) entries: BTreeMap<String, EntryRecord>,
    pub(super) breaks: Option<Issue>,
    /// Holds credentials, so it is never written down; the backend gives it again.
    #[serde(skip)]
    pub(super) access: Option<Access>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct NodegroupRecord {
    pub(super) body: Body,
    pub(super) asked: Option<Asked>,
    pub(super) breaks: Option<Issue>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct UpdateRecord {
    pub(super) body: Body,
    pub(super) nodegroup: Option<String>,
    /// What it puts into the description when it is through, by JSON pointer.
    pub(super) changes: Vec<(String, Value)>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct EntryRecord {
    pub(super) body: Body,
    pub(super) policies: Vec<Value>,
}

/// The request something came from, for telling its repetition from another one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Asked {
    token: Option<String>,
    parameters: Body,
}

impl Asked {
    pub(super) fn new(parameters: &Body) -> Self {
        let mut parameters = parameters.clone();
        let token = parameters.remove("clientRequestToken");
        Self {
            token: token.and_then(|token| token.as_str().map(str::to_owned)),
            parameters,
        }
    }

    /// Whether `other` carries the token of this request: then it is either the same request or a mistake.
    pub(super) fn repeated_by(&self, other: &Self) -> Repetition {
        match (&self.token, &other.token) {
            (Some(mine), Some(theirs)) if mine == theirs && self.parameters == other.parameters => {
                Repetition::Same
            }
            (Some(mine), Some(theirs)) if mine == theirs => Repetition::Mismatch,
            _ => Repetition::Another,
        }
    }
}

pub(super) enum Repetition {
    Same,
    Mismatch,
    Another,
}

impl State {
    pub(super) fn cluster(&mut self, name: &str) -> Result<&mut ClusterRecord, Refusal> {
        self.clusters
            .get_mut(name)
            .ok_or_else(|| Refusal::no_cluster(name))
    }

    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    pub(super) fn retag(&mut self, key: &str, value: &str) {
        for cluster in self.clusters.values_mut() {
            let groups = cluster.nodegroups.values_mut().map(|group| &mut group.body);
            for body in groups.chain([&mut cluster.body]) {
                if let Some(tags) = body.get_mut("tags").and_then(Value::as_object_mut) {
                    tags.insert(key.to_owned(), json!(value));
                }
            }
        }
    }
}

impl ClusterRecord {
    pub(super) fn nodegroup(&mut self, name: &str) -> Result<&mut NodegroupRecord, Refusal> {
        let cluster = text(&self.body, "name").to_owned();
        self.nodegroups
            .get_mut(name)
            .ok_or_else(|| Refusal::no_nodegroup(&cluster, name))
    }
}

/// A member that is a text; empty when it is not there.
pub(super) fn text<'a>(body: &'a Body, member: &str) -> &'a str {
    body.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// A member, or null when it is not there.
pub(super) fn member<'a>(body: &'a Body, member: &str) -> &'a Value {
    body.get(member).unwrap_or(&Value::Null)
}

/// `status` of a description.
pub(super) fn status(body: &Body) -> &str {
    text(body, "status")
}

pub(super) fn set_status(body: &mut Body, status: &str) {
    body.insert("status".to_owned(), json!(status));
}

/// An object literal as a map.
pub(super) fn object(value: Value) -> Body {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
