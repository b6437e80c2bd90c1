//! Every call of the API: whether it changes anything, which permission it needs, and of what it speaks.
//!
//! What is not here is not served; a test holds the table against the descriptors of all services.

mod access;
mod callers;
mod fleet;
mod tenants;

use berth_model::Traits;
use prost::{DecodeError, Message};

/// A call of the API.
#[derive(Debug)]
pub struct Call {
    /// `/berth.v1.TenantService/GetTenant`.
    pub path: &'static str,
    /// What it does to the fleet.
    pub verb: Verb,
    /// What a caller must be allowed to do; refined by what the request says where [`Target::permission`] has one.
    pub permission: &'static str,
    read: fn(&[u8]) -> Result<Target, DecodeError>,
}

/// What a call does to the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Nothing.
    Read,
    /// Nothing, and everybody may make it, without a credential.
    Open,
    /// It changes what is stored, or hands out a credential.
    Change,
}

/// Of what a request speaks, as it says itself: nothing here is known to exist or to be well formed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// `tenant`, `tier`, `cluster`...
    pub kind: &'static str,
    /// Its name without the collection; empty for all there are.
    pub name: String,
    /// The tenant whose affair it is; empty where it is the fleet's.
    pub tenant: String,
    /// A narrower permission than the call's own, by what the request asks for.
    pub permission: Option<&'static str>,
    /// What a tenant of that name would be found by where there is none yet.
    pub offered: Option<Traits>,
    /// It may make what is not there yet.
    pub may_create: bool,
}

/// Calls whose answer is a stream.
const STREAMS: [&str; 2] = [
    "/berth.v1.HubService/Backup",
    "/berth.v1.TenantService/WatchTenants",
];

/// The longest name worth keeping of a request that is not well formed.
const LONGEST_NAME: usize = 256;

impl Call {
    /// Of what the message of a request speaks.
    ///
    /// # Errors
    /// It is no message of this call.
    pub fn target(&self, message: &[u8]) -> Result<Target, DecodeError> {
        (self.read)(message)
    }

    /// Whether the answer is a stream, which its reader may leave open.
    #[must_use]
    pub fn streams(&self) -> bool {
        STREAMS.contains(&self.path)
    }

    /// `TenantService/GetTenant`, for people.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.path.strip_prefix("/berth.v1.").unwrap_or(self.path)
    }
}

/// All of them.
pub fn all_calls() -> impl Iterator<Item = &'static Call> {
    tenants::CALLS
        .iter()
        .chain(fleet::CALLS)
        .chain(access::CALLS)
        .chain(callers::CALLS)
}

/// The call of that path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Call> {
    all_calls().find(|call| call.path == path)
}

const fn read(
    path: &'static str,
    permission: &'static str,
    read: fn(&[u8]) -> Result<Target, DecodeError>,
) -> Call {
    Call {
        path,
        verb: Verb::Read,
        permission,
        read,
    }
}

const fn change(
    path: &'static str,
    permission: &'static str,
    read: fn(&[u8]) -> Result<Target, DecodeError>,
) -> Call {
    Call {
        path,
        verb: Verb::Change,
        permission,
        read,
    }
}

const fn open(path: &'static str, read: fn(&[u8]) -> Result<Target, DecodeError>) -> Call {
    Call {
        path,
        verb: Verb::Open,
        permission: "",
        read,
    }
}

fn of<M: Message + Default>(bytes: &[u8], target: impl FnOnce(M) -> Target) -> Result<Target, DecodeError> {
    M::decode(bytes).map(target)
}

/// `collection/name` without its collection.
fn one(kind: &'static str, collection: &str, name: &str) -> Target {
    let bare = name
        .strip_prefix(collection)
        .and_then(|rest| rest.strip_prefix('/'))
        .unwrap_or(name);
    Target {
        kind,
        name: bare.chars().take(LONGEST_NAME).collect(),
        ..Target::default()
    }
}

fn all(kind: &'static str) -> Target {
    Target {
        kind,
        ..Target::default()
    }
}

fn tenant(name: &str) -> Target {
    let target = one("tenant", "tenants", name);
    Target {
        tenant: target.name.clone(),
        ..target
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use berth_model::role::RULES;
    use prost_types::FileDescriptorSet;

    use super::*;

    fn served() -> BTreeSet<String> {
        methods(|_| true)
    }

    fn methods(of: fn(&prost_types::MethodDescriptorProto) -> bool) -> BTreeSet<String> {
        let set = FileDescriptorSet::decode(berth_proto::DESCRIPTORS).unwrap();
        let files = set.file.iter().filter(|file| file.package() == "berth.v1");
        files
            .flat_map(|file| &file.service)
            .flat_map(|service| {
                let methods = service.method.iter().filter(|method| of(method));
                methods.map(|method| format!("/berth.v1.{}/{}", service.name(), method.name()))
            })
            .collect()
    }

    #[test]
    fn every_call_that_the_descriptors_have_is_in_the_table_once_and_nothing_else() {
        let listed: Vec<String> = all_calls().map(|call| call.path.to_owned()).collect();
        let unique: BTreeSet<String> = listed.iter().cloned().collect();
        assert_eq!(listed.len(), unique.len());
        assert_eq!(unique, served());
    }

    #[test]
    fn answers_that_are_streams_are_known_and_no_request_is_one() {
        assert_eq!(
            methods(prost_types::MethodDescriptorProto::server_streaming),
            STREAMS.map(str::to_owned).into()
        );
        assert!(methods(prost_types::MethodDescriptorProto::client_streaming).is_empty());
    }

    #[test]
    fn what_is_named_like_a_read_changes_nothing_and_what_changes_is_named_so() {
        for call in all_calls() {
            let name = call.path.rsplit('/').next().unwrap();
            let reads = ["Get", "List", "Watch", "Wait", "Explain", "Backup", "Check"];
            let reading = reads.iter().any(|read| name.starts_with(read));
            assert_eq!(call.verb != Verb::Change, reading, "{name}");
        }
    }

    #[test]
    fn every_call_has_a_rule_and_every_rule_a_call_or_a_service_that_asks_for_it() {
        // Asked for by the services, where what is stored or what the request says decides.
        let asked = [
            "access.checkOthers",
            "audit.get",
            "tenants.credentials.user",
            "tenants.credentials.viewer",
            "tenants.updateTerms",
        ];
        let needed: BTreeSet<&str> = all_calls()
            .filter(|call| call.verb != Verb::Open)
            .map(|call| call.permission)
            .chain(asked)
            .collect();
        let ruled: BTreeSet<&str> = RULES.iter().map(|rule| rule.permission).collect();
        assert_eq!(needed, ruled);
    }

    #[test]
    fn an_empty_request_speaks_of_no_tenant() {
        for call in all_calls() {
            let target = call.target(&[]).unwrap();
            assert!(!target.kind.is_empty() && target.tenant.is_empty(), "{call:?}");
        }
    }

    #[test]
    fn a_message_of_another_kind_is_an_error_and_no_target() {
        let call = find("/berth.v1.TenantService/GetTenant").unwrap();
        assert!(call.target(&[0xff, 0xff]).is_err());
    }
}
