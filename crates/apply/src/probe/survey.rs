//! What an assignment says of a tenant: its namespaces, who was let in with which role, and the walls that go with them. Pure.

use std::collections::{BTreeMap, BTreeSet};

use berth_model::label;
use serde_json::Value;

use crate::object::{Item, Kind};

/// Namespaces of one tenant that are probed.
pub(super) const MOST_HOMES: usize = 8;

/// Somebody who can ask the API server for something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    User(String),
    Group(String),
    Account { namespace: String, name: String },
}

impl Subject {
    /// For people.
    pub(super) fn told(&self) -> String {
        match self {
            Self::User(name) => format!("user {name}"),
            Self::Group(name) => format!("group {name}"),
            Self::Account { namespace, name } => format!("account {namespace}/{name}"),
        }
    }

    fn read(value: &Value, namespace: &str) -> Option<Self> {
        let name = value["name"].as_str()?.to_owned();
        match value["kind"].as_str()? {
            "User" => Some(Self::User(name)),
            "Group" => Some(Self::Group(name)),
            "ServiceAccount" => Some(Self::Account {
                namespace: value["namespace"].as_str().unwrap_or(namespace).to_owned(),
                name,
            }),
            _ => None,
        }
    }
}

/// What somebody was let in as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Admin,
    User,
    Viewer,
    /// An account to which nothing was given.
    Nothing,
}

impl Role {
    pub(super) const ALL: [Self; 4] = [Self::Admin, Self::User, Self::Viewer, Self::Nothing];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admins",
            Self::User => "users",
            Self::Viewer => "viewers",
            Self::Nothing => "accounts",
        }
    }

    fn of(name: &str) -> Option<Self> {
        match name {
            label::ROLE_TENANT_ADMIN => Some(Self::Admin),
            label::ROLE_TENANT_USER => Some(Self::User),
            label::ROLE_TENANT_VIEWER => Some(Self::Viewer),
            _ => None,
        }
    }
}

/// One namespace of the tenant, as assigned.
#[derive(Clone, Debug, Default)]
pub(super) struct Home {
    pub(super) name: String,
    pub(super) labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    /// Whoever was let in here, by the strongest role.
    pub(super) members: BTreeMap<Subject, Role>,
    pub(super) quotas: Vec<(String, Value)>,
    pub(super) limits: Vec<(String, Value)>,
    pub(super) networks: Vec<(String, Value)>,
    pub(super) bindings: BTreeSet<String>,
}

impl Home {
    /// An annotation that policies read, in its parts.
    pub(super) fn granted(&self, annotation: &str) -> Vec<&str> {
        let text = self.annotations.get(annotation).map_or("", String::as_str);
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .collect()
    }

    pub(super) fn pool(&self) -> Option<&str> {
        self.labels.get(label::POOL).map(String::as_str)
    }

    /// The level of pod security that refuses.
    pub(super) fn pod_security(&self) -> &str {
        let enforced = self.labels.get("pod-security.kubernetes.io/enforce");
        enforced.map_or("privileged", String::as_str)
    }

    pub(super) fn subjects(&self, role: Role) -> Vec<&Subject> {
        let of_role = self.members.iter().filter(|(_, has)| **has == role);
        of_role.map(|(subject, _)| subject).collect()
    }

    /// What some quota here says of `name`.
    pub(super) fn hard(&self, name: &str) -> Option<&str> {
        self.quotas
            .iter()
            .find_map(|(_, spec)| spec["hard"][name].as_str())
    }
}

/// Everything that is read off an assignment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Survey {
    /// The main namespace first.
    pub(super) homes: Vec<Home>,
}

impl Survey {
    /// Reads the items in the order in which they are assigned.
    pub(crate) fn of(items: &[Item]) -> Self {
        let mut homes: Vec<Home> = Vec::new();
        for item in items.iter().filter(|item| item.object.kind() == Kind::Namespace) {
            let object = read(item);
            homes.push(Home {
                name: item.object.name().to_owned(),
                labels: texts(&object["metadata"]["labels"]),
                annotations: texts(&object["metadata"]["annotations"]),
                ..Home::default()
            });
        }
        for item in items {
            let Some(home) = homes
                .iter_mut()
                .find(|home| Some(home.name.as_str()) == item.object.namespace())
            else {
                continue;
            };
            let name = item.object.name().to_owned();
            match item.object.kind() {
                Kind::ResourceQuota => home.quotas.push((name, read(item)["spec"].take())),
                Kind::LimitRange => home.limits.push((name, read(item)["spec"].take())),
                Kind::NetworkPolicy => home.networks.push((name, read(item)["spec"].take())),
                Kind::ServiceAccount => {
                    let namespace = home.name.clone();
                    home.members
                        .entry(Subject::Account { namespace, name })
                        .or_insert(Role::Nothing);
                }
                Kind::RoleBinding => {
                    home.bind(&read(item));
                    home.bindings.insert(name);
                }
                _ => {}
            }
        }
        Self { homes }
    }

    /// Whether anybody of these is let in anywhere here.
    pub(super) fn lets_in(&self, subject: &Subject) -> bool {
        self.homes.iter().any(|home| {
            home.members
                .get(subject)
                .is_some_and(|role| *role != Role::Nothing)
        })
    }

    /// The main namespace.
    pub(super) fn main(&self) -> Option<&str> {
        self.homes.first().map(|home| home.name.as_str())
    }
}

impl Home {
    fn bind(&mut self, binding: &Value) {
        let Some(role) = binding["roleRef"]["name"].as_str().and_then(Role::of) else {
            return;
        };
        let subjects = binding["subjects"].as_array().into_iter().flatten();
        for subject in subjects.filter_map(|subject| Subject::read(subject, &self.name)) {
            let has = self.members.entry(subject).or_insert(role);
            *has = (*has).min(role);
        }
    }
}

fn read(item: &Item) -> Value {
    // What is held was checked when it was assigned.
    serde_json::from_slice(&item.body).unwrap_or_default()
}

fn texts(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    entries
        .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
        .collect()
}
