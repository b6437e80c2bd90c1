//! Who presents an EKS bearer token to a cluster, as its authenticator finds out: the token is a presigned
//! `GetCallerIdentity`, bound to one cluster by a signed header, good for 15 minutes; what its signer may do is in the
//! cluster's access entries.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::SignedDuration;
use serde_json::Value;

use super::{
    Inner,
    sigv4::{self, Signed},
    state::text,
};

const PREFIX: &str = "k8s-aws-v1.";
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
const LIFETIME: SignedDuration = SignedDuration::from_mins(15);
/// What the policy of a cluster administrator is to an API without EKS's own authorizer.
const ADMINISTRATORS: &str = "system:masters";
pub(super) const ADMIN_POLICY: &str = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy";

/// Who someone is in a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Name.
    pub name: String,
    /// Groups.
    pub groups: Vec<String>,
}

/// Only hosts of STS are ever asked by the real authenticator.
fn is_sts(host: &str) -> bool {
    let middle = host.strip_prefix("sts.").and_then(|rest| {
        rest.strip_suffix(".amazonaws.com")
            .or_else(|| rest.strip_suffix(".amazonaws.com.cn"))
    });
    host == "sts.amazonaws.com"
        || middle.is_some_and(|region| {
            region
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        })
}

pub(super) fn user(inner: &Inner, cluster: &str, token: &str) -> Option<User> {
    let url = URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
    let url = String::from_utf8(url).ok()?;
    let (host, path_and_query) = url.strip_prefix("https://")?.split_once('/')?;
    let (path, query) = path_and_query.split_once('?')?;
    if !is_sts(host) || !path.is_empty() {
        return None;
    }
    let pairs = sigv4::parse_query(query);
    let value = |name: &str| {
        pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    if value("Action") != Some("GetCallerIdentity") {
        return None;
    }
    if !value("X-Amz-SignedHeaders")?
        .split(';')
        .any(|name| name == CLUSTER_HEADER)
    {
        return None;
    }
    // Only the header's value is not in the token: the authenticator puts its own cluster's name there.
    let headers = BTreeMap::from([
        ("host".to_owned(), host.to_owned()),
        (CLUSTER_HEADER.to_owned(), cluster.to_owned()),
    ]);
    let request = Signed {
        method: "GET",
        path: "/",
        query,
        headers: &headers,
        body: b"",
    };
    let key = sigv4::presigner(&inner.keys, &request, "sts", LIFETIME, inner.clock.now()).ok()?;

    let state = inner.state();
    let entry = state.clusters.get(cluster)?.entries.get(&key.arn)?;
    let groups = entry.body.get("kubernetesGroups").and_then(Value::as_array);
    let mut groups: Vec<String> = groups
        .into_iter()
        .flatten()
        .filter_map(|group| group.as_str().map(str::to_owned))
        .collect();
    if entry
        .policies
        .iter()
        .any(|policy| policy["policyArn"] == ADMIN_POLICY && policy["accessScope"]["type"] == "cluster")
    {
        groups.push(ADMINISTRATORS.to_owned());
    }
    Some(User {
        name: text(&entry.body, "username").to_owned(),
        groups,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_of_sts_are_believed() {
        for fine in [
            "sts.amazonaws.com",
            "sts.eu-central-1.amazonaws.com",
            "sts.cn-north-1.amazonaws.com.cn",
        ] {
            assert!(is_sts(fine), "{fine}");
        }
        for wrong in [
            "example.com",
            "sts.example.com",
            "sts.a.b.amazonaws.com",
            "sts.x@evil/.amazonaws.com",
            "127.0.0.1",
        ] {
            assert!(!is_sts(wrong), "{wrong}");
        }
    }
}
