//! For whom something is made, and the names, tokens and tags that follow from it.

use std::collections::BTreeMap;

use berth_model::{ClusterName, FleetId, TenantId, Uid};
use sha2::{Digest, Sha256};

/// Tags that say whose something in a cloud is.
pub mod tag {
    /// The fleet that made it.
    pub const FLEET: &str = "berth.dev/fleet";
    /// The tenant it was made for.
    pub const TENANT: &str = "berth.dev/tenant";
    /// That tenant's uid.
    pub const TENANT_UID: &str = "berth.dev/tenant-uid";
    /// The cluster it belongs to, by its name in the fleet.
    pub const CLUSTER: &str = "berth.dev/cluster";
}

/// For whom something is made. Saved before the first call, so that a hub that died between two calls finds its work again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The fleet.
    pub fleet: FleetId,
    /// The tenant.
    pub tenant: TenantId,
    /// The uid of the object it is made for; a tenant made again under one name has another.
    pub uid: Uid,
    /// Which try this is; raised to replace what cannot be mended.
    pub attempt: u32,
}

impl Origin {
    /// A name for the cloud: `<readable>-<mark>`, at most `longest` characters of `a-z 0-9 -`. The mark alone makes it
    /// unique to fleet, uid, attempt and step; the readable part is cut when there is no room.
    #[must_use]
    pub fn name(&self, step: &str, readable: &str, longest: usize) -> String {
        let mark = &self.fingerprint(step)[..10];
        let room = longest.saturating_sub(mark.len() + 1);
        let head: String = readable
            .chars()
            .map(|c| {
                if c.is_ascii_lowercase() || c.is_ascii_digit() {
                    c
                } else {
                    '-'
                }
            })
            .take(room)
            .collect();
        let head = head.trim_matches('-');
        if head.is_empty() {
            format!("b{mark}")
        } else {
            format!("{head}-{mark}")
        }
    }

    /// An idempotency token: the same for the same fleet, uid, attempt and step, 64 characters of `0-9 a-f`.
    #[must_use]
    pub fn token(&self, step: &str) -> String {
        self.fingerprint(step)
    }

    /// The tags that say it is ours; `cluster` is its name in the fleet.
    #[must_use]
    pub fn tags(&self, cluster: &ClusterName) -> BTreeMap<String, String> {
        BTreeMap::from([
            (tag::FLEET.to_owned(), self.fleet.to_string()),
            (tag::TENANT.to_owned(), self.tenant.to_string()),
            (tag::TENANT_UID.to_owned(), self.uid.to_string()),
            (tag::CLUSTER.to_owned(), cluster.to_string()),
        ])
    }

    /// What keeps something with the tags `found` from being ours, or nothing when it is.
    #[must_use]
    pub fn disowned_by<'a>(&self, found: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
        [
            (tag::FLEET, self.fleet.as_str()),
            (tag::TENANT_UID, self.uid.as_str()),
        ]
        .into_iter()
        .find_map(|(key, ours)| match found(key) {
            Some(theirs) if theirs == ours => None,
            Some(theirs) => Some(format!("tag {key} is {theirs:?}, not {ours:?}")),
            None => Some(format!("tag {key} is missing")),
        })
    }

    fn fingerprint(&self, step: &str) -> String {
        let mut hash = Sha256::new();
        for part in [
            self.fleet.as_str(),
            self.uid.as_str(),
            &self.attempt.to_string(),
            step,
        ] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(uid: &str, attempt: u32) -> Origin {
        Origin {
            fleet: FleetId::new("fleet-1").unwrap(),
            tenant: TenantId::new("acme").unwrap(),
            uid: Uid::new(uid).unwrap(),
            attempt,
        }
    }

    #[test]
    fn names_and_tokens_differ_by_uid_attempt_and_step_and_by_nothing_else() {
        let here = origin("u-1", 1);
        assert_eq!(
            here.name("nodes", "acme", 63),
            origin("u-1", 1).name("nodes", "acme", 63)
        );
        assert_eq!(here.token("nodes"), origin("u-1", 1).token("nodes"));
        for other in [origin("u-2", 1), origin("u-1", 2)] {
            assert_ne!(here.name("nodes", "acme", 63), other.name("nodes", "acme", 63));
            assert_ne!(here.token("nodes"), other.token("nodes"));
        }
        assert_ne!(here.token("nodes"), here.token("cluster"));
    }

    #[test]
    fn what_another_fleet_or_another_tenant_of_the_same_name_made_is_not_ours() {
        let ours = origin("u-1", 1).tags(&ClusterName::new("eu-1").unwrap());
        let disowned = |tags: &BTreeMap<String, String>| {
            origin("u-1", 1).disowned_by(|key| tags.get(key).map(String::as_str))
        };
        assert_eq!(disowned(&ours), None);
        for key in [tag::FLEET, tag::TENANT_UID] {
            let mut foreign = ours.clone();
            foreign.insert(key.to_owned(), "other".to_owned());
            assert!(disowned(&foreign).is_some_and(|why| why.contains(key)));
            foreign.remove(key);
            assert!(disowned(&foreign).is_some_and(|why| why.contains("missing")));
        }
    }

    proptest! {
        #[test]
        fn a_name_keeps_to_the_characters_and_length_of_every_cloud(readable in ".{0,120}", longest in 20usize..100) {
            let name = origin("u-1", 1).name("cluster", &readable, longest);
            prop_assert!(name.len() <= longest);
            prop_assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            prop_assert!(name.starts_with(|c: char| c.is_ascii_alphanumeric()));
        }
    }
}
