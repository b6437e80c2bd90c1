//! The operations: which request is which, and what all of them share.

mod access_entries;
pub(super) mod clusters;
mod nodegroups;
mod tags;
mod updates;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    Inner,
    lifecycle::Transition,
    refusal::Refusal,
    sigv4::AccessKey,
    state::{Body, text},
};

/// What a request says besides its path.
pub(super) struct Call<'a> {
    pub(super) caller: &'a AccessKey,
    pub(super) parameters: Body,
    pub(super) query: Vec<(String, String)>,
}

type Outcome = Result<(Value, Option<Transition>), Refusal>;
type Run = fn(&Arc<Inner>, &[&str], Call<'_>) -> Outcome;

/// The operation behind a method and path.
pub(super) fn find(method: &str, path: &[&str]) -> Option<(&'static str, Run)> {
    let found: (&'static str, Run) = match (method, path) {
        ("POST", ["clusters"]) => ("CreateCluster", clusters::create),
        ("GET", ["clusters"]) => ("ListClusters", clusters::list),
        ("GET", ["clusters", _]) => ("DescribeCluster", clusters::describe),
        ("DELETE", ["clusters", _]) => ("DeleteCluster", clusters::delete),
        ("POST", ["clusters", _, "update-config"]) => ("UpdateClusterConfig", clusters::update_config),
        ("GET", ["clusters", _, "updates"]) => ("ListUpdates", updates::list),
        ("GET", ["clusters", _, "updates", _]) => ("DescribeUpdate", updates::describe),
        ("POST", ["clusters", _, "node-groups"]) => ("CreateNodegroup", nodegroups::create),
        ("GET", ["clusters", _, "node-groups"]) => ("ListNodegroups", nodegroups::list),
        ("GET", ["clusters", _, "node-groups", _]) => ("DescribeNodegroup", nodegroups::describe),
        ("DELETE", ["clusters", _, "node-groups", _]) => ("DeleteNodegroup", nodegroups::delete),
        ("POST", ["clusters", _, "node-groups", _, "update-config"]) => {
            ("UpdateNodegroupConfig", nodegroups::update_config)
        }
        ("POST", ["clusters", _, "access-entries"]) => ("CreateAccessEntry", access_entries::create),
        ("GET", ["clusters", _, "access-entries"]) => ("ListAccessEntries", access_entries::list),
        ("GET", ["clusters", _, "access-entries", _]) => ("DescribeAccessEntry", access_entries::describe),
        ("DELETE", ["clusters", _, "access-entries", _]) => ("DeleteAccessEntry", access_entries::delete),
        ("POST", ["clusters", _, "access-entries", _, "access-policies"]) => {
            ("AssociateAccessPolicy", access_entries::associate)
        }
        ("POST", ["tags", _]) => ("TagResource", tags::tag),
        ("DELETE", ["tags", _]) => ("UntagResource", tags::untag),
        ("GET", ["tags", _]) => ("ListTagsForResource", tags::list),
        _ => return None,
    };
    Some(found)
}

/// Seconds since 1970, as the protocol writes times.
fn now(inner: &Inner) -> Value {
    let now = inner.clock.now();
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds since 1970 fit into 53 bits for a while"
    )]
    let seconds = now.as_millisecond() as f64 / 1000.0;
    json!(seconds)
}

/// One page of `names`, as the query asks.
fn page(call: &Call<'_>, member: &str, names: impl Iterator<Item = String>) -> Result<Value, Refusal> {
    let asked = |name: &str| {
        call.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let size = match asked("maxResults").map(str::parse::<usize>) {
        None => 100,
        Some(Ok(size @ 1..=100)) => size,
        Some(_) => return Err(Refusal::invalid_parameter("maxResults must be between 1 and 100")),
    };
    let after = match asked("nextToken") {
        None => String::new(),
        Some(token) => URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| Refusal::invalid_parameter("nextToken is not valid"))?,
    };
    let mut rest: Vec<String> = names.filter(|name| *name > after).collect();
    let more = rest.len() > size;
    rest.truncate(size);
    let next = rest
        .last()
        .filter(|_| more)
        .map(|last| URL_SAFE_NO_PAD.encode(last));
    Ok(json!({member: rest, "nextToken": next}))
}

/// A name as EKS takes it.
fn check_name(what: &str, name: &str, longest: usize) -> Result<(), Refusal> {
    let fine = name.len() <= longest
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if fine {
        return Ok(());
    }
    Err(Refusal::invalid_parameter(format!(
        "The {what} name '{name}' must start with a letter or digit, hold letters, digits, hyphens and underscores only \
         and be at most {longest} characters long"
    )))
}

fn required<'a>(parameters: &'a Body, member: &str) -> Result<&'a str, Refusal> {
    match text(parameters, member) {
        "" => Err(Refusal::invalid_parameter(format!("{member} must not be empty"))),
        value => Ok(value),
    }
}

/// At most 50 tags of lawful lengths, and none of AWS's own.
fn check_tags(tags: Option<&Value>) -> Result<(), Refusal> {
    let Some(tags) = tags.and_then(Value::as_object) else {
        return Ok(());
    };
    let lawful = |(key, value): (&String, &Value)| {
        (1..=128).contains(&key.len())
            && !key.to_lowercase().starts_with("aws:")
            && value.as_str().is_some_and(|value| value.len() <= 256)
    };
    if tags.len() > 50 || !tags.iter().all(lawful) {
        return Err(Refusal::invalid_parameter(
            "tags: at most 50, keys of 1 to 128 characters without the prefix aws:, values of at most 256",
        ));
    }
    Ok(())
}
