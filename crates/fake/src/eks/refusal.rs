//! Errors as EKS words them.

use serde_json::{Map, Value, json};

/// An error answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) code: String,
    pub(super) members: Map<String, Value>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        let members = Map::from_iter([("message".to_owned(), Value::String(message.into()))]);
        Self {
            status,
            code: code.to_owned(),
            members,
        }
    }

    fn with(mut self, member: &str, value: &str) -> Self {
        self.members.insert(member.to_owned(), json!(value));
        self
    }

    pub(super) fn on_cluster(self, name: &str) -> Self {
        self.with("clusterName", name)
    }

    pub(super) fn on_nodegroup(self, name: &str) -> Self {
        self.with("nodegroupName", name)
    }

    pub(super) fn invalid_parameter(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidParameterException", message)
    }

    pub(super) fn invalid_request(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidRequestException", message)
    }

    pub(super) fn in_use(message: impl Into<String>) -> Self {
        Self::new(409, "ResourceInUseException", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, "ResourceNotFoundException", message)
    }

    pub(super) fn limit(message: impl Into<String>) -> Self {
        Self::new(400, "ResourceLimitExceededException", message)
    }

    pub(super) fn no_cluster(name: &str) -> Self {
        Self::not_found(format!("No cluster found for name: {name}.")).on_cluster(name)
    }

    pub(super) fn no_nodegroup(cluster: &str, name: &str) -> Self {
        Self::not_found(format!("No node group found for name: {name}."))
            .on_cluster(cluster)
            .on_nodegroup(name)
    }

    pub(super) fn text(&self) -> &str {
        self.members
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }
}
