//! Random values of the model for the property tests of this crate.

use std::collections::BTreeMap;

use berth_model::{
    BundleRef, Bytes, Capacity, Cluster, ClusterFacts, ClusterName, ClusterPurpose, Condition, Conditions,
    Digest, Evidence, Generation, Health, HealthState, Isolation, MilliCpu, NetworkPolicyEnforcement,
    OrganisationSpec, Parameter, ParameterKind, Placement, PolicySeen, PoolName, Probe, ProbeOutcome,
    Provider, Quantity, Revision, Role, RoleBindingSpec, Scope, SecretStore, SecretStoreKind, Tenant,
    TenantId, TenantReport, TenantSelector, TenantSpec, TierName, TierSpec, Timestamp, Truth, Uid,
    bundle::BundleSpec,
    cluster::PoolFacts,
    condition::ConditionKind,
    money::UsdCents,
    network::{Network, Peer, Rule, TierNetwork, Within},
    organisation::{Project, Team},
    report::ApplyState,
    tenant::{
        Billing, Contact, Contacts, Environment, IdentityProvider, Members, Owner, PlacementConstraints,
        Subject,
    },
    tier::{
        Bootstrap, CapacityType, ClusterTemplate, Loosen, NodePoolTemplate, PodSecurity, Priority, SizeName,
        Sla,
    },
    workload::{Autoscaling, Disruption, PodMetric, WorkloadKind, WorkloadPolicy},
};
use proptest::{collection, option, prelude::*, sample::select};
use serde_json::Value;

use crate::link::Held;

/// JSON whose numbers a double holds exactly and that is no whole number written as a fraction.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53)..(1_i64 << 53)).prop_map(Value::from),
        (any::<i32>(), 1_u8..50)
            .prop_map(|(whole, part)| Value::from(f64::from(whole) + f64::from(part) / 64.0)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 5, |inner| {
        prop_oneof![
            collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            collection::btree_map(text(), inner, 0..5)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Texts, among them those that YAML would like to read as something else.
pub(crate) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-zA-Z0-9 .:#'\"{}\\[\\],&*!|>%@`~/-]{0,16}",
        2 => "[ -~äöü€\n\t]{0,16}",
        1 => select(vec!["", "yes", "No", "null", "~", "0644", "1e3", "0x10", "1.0", ".inf", "2026-11-21", "- a", "a: b", "---", "..."])
            .prop_map(String::from),
    ]
}

pub(crate) fn label() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9]{0,9}"
}

pub(crate) fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    collection::btree_map(label(), text(), 0..3)
}

fn quantity() -> impl Strategy<Value = Quantity> {
    prop_oneof!["[1-9][0-9]{0,3}(m|Mi|Gi)?", "[0-9]\\.[1-9]"].prop_map(|text| text.parse().unwrap())
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        text()
            .prop_filter("has a name", |n| !n.is_empty())
            .prop_map(|name| Subject::User { name }),
        label().prop_map(|name| Subject::Group { name }),
        (text(), label()).prop_map(|(namespace, name)| Subject::ServiceAccount { namespace, name }),
    ]
}

fn subjects() -> impl Strategy<Value = Vec<Subject>> {
    collection::vec(subject(), 0..3)
}

fn contact() -> impl Strategy<Value = Option<Contact>> {
    option::of((text(), text()).prop_map(|(name, email)| Contact { name, email }))
}

fn bundle_ref() -> impl Strategy<Value = BundleRef> {
    (
        label(),
        "[0-9]\\.[0-9]{1,2}",
        collection::btree_map(label(), json(), 0..3),
    )
        .prop_map(|(name, version, parameters)| BundleRef {
            name: name.parse().unwrap(),
            version: version.parse().unwrap(),
            parameters,
        })
}

fn amounts() -> impl Strategy<Value = BTreeMap<String, Quantity>> {
    collection::btree_map(
        select(vec!["requests.cpu", "pods", "requests.nvidia.com/gpu"]).prop_map(String::from),
        quantity(),
        0..3,
    )
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let peer = prop_oneof![
        Just(Peer::IngressController),
        Just(Peer::Monitoring),
        (text(), labels()).prop_map(|(namespace, labels)| Peer::Service { namespace, labels }),
        select(vec!["0.0.0.0/0", "203.0.113.7/32", "2001:db8::/32"]).prop_map(|cidr| Peer::Cidr {
            cidr: cidr.parse().unwrap()
        }),
        label().prop_map(|tenant| Peer::Tenant {
            tenant: TenantId::new(tenant).unwrap()
        }),
    ];
    let port = select(vec!["443", "53/UDP", "8000-8010"]).prop_map(|port| port.parse().unwrap());
    let rule = (peer, collection::vec(port, 0..3)).prop_map(|(peer, ports)| Rule { peer, ports });
    collection::vec(rule, 0..3)
}

fn within() -> impl Strategy<Value = Within> {
    select(vec![Within::Tenant, Within::Environment])
}

fn pod_security() -> impl Strategy<Value = PodSecurity> {
    select(vec![PodSecurity::Baseline, PodSecurity::Restricted])
}

fn workload() -> impl Strategy<Value = WorkloadPolicy> {
    let scaling = (
        (any::<u32>(), any::<u32>(), any::<u32>()),
        option::of(1_u32..100),
        option::of(1_u32..100),
        option::of(1_u32..100),
        option::of((label(), quantity()).prop_map(|(name, average)| PodMetric { name, average })),
    )
        .prop_map(
            |((min_replicas, max_replicas, scale_down_seconds), cpu, memory, scale_down_percent, metric)| {
                Autoscaling {
                    min_replicas,
                    max_replicas,
                    cpu_percent: cpu,
                    memory_percent: memory,
                    metric,
                    scale_down_seconds,
                    scale_down_percent,
                }
            },
        );
    let disruption = prop_oneof![
        (1..u32::MAX).prop_map(Disruption::MinAvailable),
        (1..u32::MAX).prop_map(Disruption::MaxUnavailable),
    ];
    (
        any::<bool>(),
        label(),
        option::of(scaling),
        option::of(disruption),
    )
        .prop_map(|(deployment, name, autoscaling, disruption)| WorkloadPolicy {
            kind: if deployment {
                WorkloadKind::Deployment
            } else {
                WorkloadKind::StatefulSet
            },
            name,
            autoscaling,
            disruption,
        })
}

/// Everything about walls on top of a spec without.
fn with_walls(spec: impl Strategy<Value = TenantSpec>) -> impl Strategy<Value = TenantSpec> {
    let environments = select(vec![
        vec![],
        vec![Environment::Dev],
        vec![Environment::Production, Environment::Staging],
    ]);
    let provider =
        (text(), text(), text(), label()).prop_map(|(issuer, audience, client_id, client_secret_name)| {
            IdentityProvider {
                issuer,
                audience,
                client_id,
                client_secret_name,
            }
        });
    let priority = select(Priority::ALL.to_vec());
    let by_priority = collection::btree_map(
        priority,
        amounts().prop_filter("says something", |amounts| !amounts.is_empty()),
        0..3,
    );
    (
        spec,
        (environments, collection::btree_map(label(), any::<u32>(), 0..3)),
        (collection::vec(text(), 0..2), option::of(provider)),
        (
            option::of(pod_security()),
            collection::vec(text(), 0..2),
            collection::vec(text(), 0..2),
            collection::vec(text(), 0..2),
        ),
        (option::of(within()), rules(), rules()),
        (by_priority, collection::vec(workload(), 0..2)),
    )
        .prop_map(
            |(
                spec,
                (environments, quota_split),
                (domains, identity_provider),
                (pod_security, registries, storage_classes, required_labels),
                (within, ingress, egress),
                (priority_quota, workloads),
            )| TenantSpec {
                environments,
                quota_split,
                domains,
                identity_provider,
                pod_security,
                registries,
                storage_classes,
                required_labels,
                network: Network {
                    within,
                    ingress,
                    egress,
                },
                priority_quota,
                workloads,
                ..spec
            },
        )
}

pub(crate) fn tenant_spec() -> impl Strategy<Value = TenantSpec> {
    with_walls(bare_tenant_spec())
}

fn bare_tenant_spec() -> impl Strategy<Value = TenantSpec> {
    let people = (
        contact(),
        contact(),
        contact(),
        (text(), text()),
        (text(), text(), text()),
    );
    let naming = (
        text(),
        label(),
        option::of(select(SizeName::ALL.to_vec())),
        text(),
    );
    let place = (collection::vec(text(), 0..3), labels(), text(), any::<bool>());
    let rest = (
        select(vec![
            Environment::Dev,
            Environment::Staging,
            Environment::Production,
        ]),
        collection::vec(label(), 0..3),
        labels(),
        collection::btree_map(label(), any::<bool>(), 0..3),
        collection::btree_map(
            select(vec!["requests.cpu", "pods", "requests.nvidia.com/gpu"]).prop_map(String::from),
            quantity(),
            0..3,
        ),
        (subjects(), subjects(), subjects()),
        collection::vec(bundle_ref(), 0..3),
    );
    (people, naming, place, rest).prop_map(
        |(
            (technical, business, billing, (cost_centre, code), (organisation, team, project)),
            (display_name, tier, size, domain),
            (regions, cluster_labels, min_kubernetes_version, require_network_policy),
            (environment, namespaces, labels, features, quota, (admins, users, viewers), bundles),
        )| TenantSpec {
            display_name,
            tier: tier.parse().unwrap(),
            size,
            environment,
            namespaces,
            contacts: Contacts {
                technical,
                business,
                billing,
            },
            billing: Billing { cost_centre, code },
            owner: Owner {
                organisation,
                team,
                project,
            },
            labels,
            features,
            domain,
            quota,
            members: Members {
                admins,
                users,
                viewers,
            },
            placement: PlacementConstraints {
                regions,
                cluster_labels,
                min_kubernetes_version,
                require_network_policy,
            },
            bundles,
            ..TenantSpec::of_tier("any".parse().unwrap())
        },
    )
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    (0_i64..4_000_000_000, 0_i32..1_000_000_000).prop_map(|(s, n)| Timestamp::new(s, n).unwrap())
}

pub(crate) fn tenant() -> impl Strategy<Value = Tenant> {
    (
        tenant_spec(),
        label(),
        1_u64..1_000_000,
        any::<u64>(),
        timestamp(),
        option::of(timestamp()),
    )
        .prop_map(
            |(spec, id, generation, revision, created_at, deleting_since)| Tenant {
                id: TenantId::new(id).unwrap(),
                uid: Uid::new("u-1").unwrap(),
                generation: Generation(generation),
                revision: Revision(revision),
                created_at,
                deleting_since,
                spec,
            },
        )
}

fn pool() -> impl Strategy<Value = NodePoolTemplate> {
    (
        collection::vec(text(), 0..3),
        any::<bool>(),
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
        any::<u32>(),
        labels(),
    )
        .prop_map(
            |(instance_types, spot, disk_gib, min_nodes, max_nodes, desired_nodes, labels)| {
                NodePoolTemplate {
                    instance_types,
                    capacity_type: if spot {
                        CapacityType::Spot
                    } else {
                        CapacityType::OnDemand
                    },
                    disk_gib,
                    min_nodes,
                    max_nodes,
                    desired_nodes,
                    labels,
                }
            },
        )
}

fn cluster_template() -> impl Strategy<Value = ClusterTemplate> {
    (
        text(),
        any::<bool>(),
        any::<bool>(),
        collection::vec(text(), 0..3),
        collection::vec(text(), 0..3),
        labels(),
        pool(),
    )
        .prop_map(
            |(version, private_endpoint, direct, cidrs, logging, tags, nodes)| ClusterTemplate {
                kubernetes_version: version,
                private_endpoint,
                bootstrap: if direct {
                    Bootstrap::Direct
                } else {
                    Bootstrap::PublicThenPrivate
                },
                public_access_cidrs: cidrs,
                logging,
                tags,
                nodes,
            },
        )
}

fn any_amounts() -> impl Strategy<Value = BTreeMap<String, Quantity>> {
    collection::btree_map(text(), quantity(), 0..3)
}

pub(crate) fn organisation_spec() -> impl Strategy<Value = OrganisationSpec> {
    let project = (text(), any_amounts()).prop_map(|(name, quota)| Project { name, quota });
    let team = (text(), text(), any_amounts(), collection::vec(project, 0..3)).prop_map(
        |(name, display_name, quota, projects)| Team {
            name,
            display_name,
            quota,
            projects,
        },
    );
    (text(), any_amounts(), collection::vec(team, 0..3)).prop_map(|(display_name, quota, teams)| {
        OrganisationSpec {
            display_name,
            quota,
            teams,
        }
    })
}

pub(crate) fn role_binding_spec() -> impl Strategy<Value = RoleBindingSpec> {
    let ids = collection::btree_set(label(), 1..4);
    let tenants =
        ids.prop_map(|ids| Scope::Tenants(ids.into_iter().filter_map(|id| id.parse().ok()).collect()));
    let selector = (
        label(),
        text(),
        text(),
        collection::btree_map(text(), text(), 0..3),
    )
        .prop_map(|(organisation, team, project, labels)| {
            Scope::Selector(TenantSelector {
                organisation,
                team,
                project,
                labels,
            })
        });
    let subjects = select(vec![
        "user:alice@example.com",
        "group:platform team",
        "certificate:alice",
        "serviceaccount:eu-1/argocd/deployer",
    ]);
    (
        select(Role::ALL.to_vec()),
        collection::btree_set(subjects, 0..3),
        prop_oneof![Just(Scope::Fleet), tenants, selector],
    )
        .prop_map(|(role, subjects, scope)| RoleBindingSpec {
            role,
            subjects: subjects
                .into_iter()
                .filter_map(|subject| subject.parse().ok())
                .collect(),
            scope,
        })
}

pub(crate) fn tier_spec() -> impl Strategy<Value = TierSpec> {
    let lists = (
        collection::vec(text(), 0..2),
        collection::vec(text(), 0..2),
        collection::vec(text(), 0..2),
        collection::vec(text(), 0..2),
    );
    let network = (
        within(),
        collection::vec(text(), 0..2),
        collection::vec(text(), 0..2),
        select(vec![vec![], vec!["10.20.0.0/16".parse().unwrap()]]),
        rules(),
        rules(),
    )
        .prop_map(
            |(within, ingress_controllers, monitoring, private_cidrs, ingress, egress)| TierNetwork {
                within,
                ingress_controllers,
                monitoring,
                private_cidrs,
                ingress,
                egress,
            },
        );
    (
        bare_tier_spec(),
        option::of(pod_security()),
        (amounts(), amounts()),
        lists,
        any::<bool>(),
        network,
        (
            select(vec![vec![], Loosen::ALL.to_vec()]),
            collection::vec(bundle_ref(), 0..2),
            collection::vec(text(), 0..2),
            collection::vec(secret_store(), 0..2),
        ),
        collection::btree_map(label(), any::<u32>(), 0..2),
    )
        .prop_map(
            |(
                spec,
                pod_security_dev,
                (quota, quota_max),
                (extended_resources, registries, storage_classes, required_labels),
                guaranteed_qos,
                network,
                (loosen, bundles, bundle_kinds, secret_stores),
                response_minutes,
            )| TierSpec {
                pod_security_dev,
                quota,
                quota_max,
                extended_resources,
                registries,
                storage_classes,
                required_labels,
                guaranteed_qos,
                network,
                bundles,
                bundle_kinds,
                secret_stores,
                loosen,
                sla: Sla {
                    response_minutes,
                    ..spec.sla
                },
                ..spec
            },
        )
}

fn bare_tier_spec() -> impl Strategy<Value = TierSpec> {
    let words = (
        select(Isolation::ALL.to_vec()),
        select(SizeName::ALL.to_vec()),
        select(vec![PodSecurity::Baseline, PodSecurity::Restricted]),
        select(vec![
            Priority::Low,
            Priority::Standard,
            Priority::High,
            Priority::Critical,
        ]),
    );
    let promise = (
        option::of(quantity()),
        text(),
        option::of(1_u32..10_000),
        0_u64..1_000_000_000,
    );
    let templates = (option::of(pool()), option::of(cluster_template()));
    (
        text(),
        words,
        promise,
        templates,
        any::<u32>(),
        collection::btree_map(label(), any::<bool>(), 0..3),
    )
        .prop_map(
            |(
                display_name,
                (isolation, default_size, pod_security, priority),
                (uptime_percent, support_hours, critical_response_minutes, price),
                (node_pool, cluster),
                load_balancers,
                features,
            )| TierSpec {
                display_name,
                isolation,
                default_size,
                pod_security,
                priority,
                load_balancers,
                node_pool,
                cluster,
                price: UsdCents(price),
                sla: Sla {
                    uptime_percent,
                    support_hours,
                    critical_response_minutes,
                    response_minutes: BTreeMap::new(),
                },
                features,
                pod_security_dev: None,
                quota: BTreeMap::new(),
                quota_max: BTreeMap::new(),
                extended_resources: Vec::new(),
                registries: Vec::new(),
                storage_classes: Vec::new(),
                required_labels: Vec::new(),
                guaranteed_qos: false,
                network: TierNetwork::default(),
                bundles: Vec::new(),
                bundle_kinds: Vec::new(),
                secret_stores: Vec::new(),
                loosen: Vec::new(),
            },
        )
}

fn secret_store() -> impl Strategy<Value = SecretStore> {
    let kinds = vec![SecretStoreKind::ClusterSecretStore, SecretStoreKind::SecretStore];
    (label(), select(kinds), text()).prop_map(|(name, kind, key_prefix)| SecretStore {
        name,
        kind,
        key_prefix,
    })
}

pub(crate) fn bundle_spec() -> impl Strategy<Value = BundleSpec> {
    let kinds = select(vec![
        ParameterKind::String,
        ParameterKind::Integer,
        ParameterKind::Boolean,
        ParameterKind::Quantity,
        ParameterKind::Secret,
    ]);
    let value = || json().prop_filter("null is no default", |value| !value.is_null());
    let parameter = (
        label(),
        kinds,
        text(),
        option::of(value()),
        collection::vec(value(), 0..3),
    )
        .prop_map(|(name, kind, description, default, allowed)| Parameter {
            name,
            kind,
            description,
            default,
            allowed,
        });
    let manifest = collection::btree_map(text(), json(), 0..4)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()));
    (
        text(),
        collection::vec(parameter, 0..4),
        collection::vec(manifest, 0..4),
    )
        .prop_map(|(description, parameters, manifests)| BundleSpec {
            description,
            parameters,
            manifests,
        })
}

pub(crate) fn capacity() -> impl Strategy<Value = Capacity> {
    (any::<u64>(), any::<u64>(), any::<u64>()).prop_map(|(cpu, memory, pods)| Capacity {
        cpu: MilliCpu(cpu),
        memory: Bytes(memory),
        pods,
    })
}

pub(crate) fn placement() -> impl Strategy<Value = Placement> {
    (label(), label(), select(Isolation::ALL.to_vec())).prop_map(|(cluster, pool, isolation)| {
        let cluster = ClusterName::new(cluster).unwrap();
        match isolation {
            Isolation::Namespace => Placement::Namespace { cluster },
            Isolation::NodePool => Placement::NodePool {
                cluster,
                pool: PoolName::new(pool).unwrap(),
            },
            Isolation::Cluster => Placement::Cluster { cluster },
        }
    })
}

pub(crate) fn facts() -> impl Strategy<Value = ClusterFacts> {
    let pool =
        (any::<u32>(), any::<u32>(), capacity()).prop_map(|(nodes, ready_nodes, capacity)| PoolFacts {
            nodes,
            ready_nodes,
            capacity,
        });
    let enforcement = select(vec![
        NetworkPolicyEnforcement::Unknown,
        NetworkPolicyEnforcement::NotEnforced,
        NetworkPolicyEnforcement::Enforced,
    ]);
    (
        (text(), text(), text(), text(), text()),
        (any::<u32>(), any::<u32>(), any::<u32>()),
        capacity(),
        collection::btree_map(label(), pool, 0..3),
        select(vec![Provider::Generic, Provider::Eks]),
        enforcement,
        (any::<bool>(), any::<bool>(), any::<bool>()),
    )
        .prop_map(
            |(
                (uid, version, url, ca, region),
                (nodes, ready, namespaces),
                capacity,
                pools,
                provider,
                policy,
                (mutating, validating, istio),
            )| {
                ClusterFacts {
                    kubernetes_uid: uid,
                    kubernetes_version: version,
                    api_url: url,
                    api_ca_pem: ca,
                    nodes,
                    ready_nodes: ready,
                    capacity,
                    pools,
                    namespaces,
                    provider,
                    region,
                    network_policy: policy,
                    mutating_admission_policy: mutating,
                    validating_admission_policy: validating,
                    istio,
                }
            },
        )
}

pub(crate) fn cluster() -> impl Strategy<Value = Cluster> {
    (
        (label(), any::<u64>(), timestamp(), labels(), any::<bool>()),
        option::of(label()),
        (text(), text(), option::of(facts()), option::of(timestamp())),
        collection::btree_map(select(berth_model::Gap::ALL.to_vec()), text(), 0..2),
    )
        .prop_map(
            |(
                (name, revision, created_at, labels, cordoned),
                tenant,
                (region, cloud_name, facts, joined_at),
                accepted_gaps,
            )| Cluster {
                name: ClusterName::new(name).unwrap(),
                uid: Uid::new("c-1").unwrap(),
                revision: Revision(revision),
                created_at,
                labels,
                cordoned,
                purpose: tenant.map_or(ClusterPurpose::Shared, |tenant| ClusterPurpose::Dedicated {
                    tenant: TenantId::new(tenant).unwrap(),
                    uid: Uid::new("u-1").unwrap(),
                }),
                region,
                cloud_name,
                facts,
                accepted_gaps,
                joined_at,
            },
        )
}

fn digest() -> impl Strategy<Value = Digest> {
    "[0-9a-f]{64}".prop_map(|hex| Digest::new(hex).unwrap())
}

pub(crate) fn held() -> impl Strategy<Value = Held> {
    (label(), label(), any::<u64>(), digest()).prop_map(|(tenant, uid, generation, digest)| Held {
        tenant: TenantId::new(tenant).unwrap(),
        uid: Uid::new(uid).unwrap(),
        generation: Generation(generation),
        digest,
    })
}

pub(crate) fn conditions() -> impl Strategy<Value = Conditions> {
    let condition = (
        select(ConditionKind::ALL.to_vec()),
        select(vec![Truth::True, Truth::False, Truth::Unknown]),
        text(),
        text(),
        timestamp(),
        0_u64..1_000_000,
    )
        .prop_map(|(kind, status, reason, message, since, generation)| Condition {
            kind,
            status,
            reason,
            message,
            since,
            observed_generation: Generation(generation),
        });
    collection::vec(condition, 0..10).prop_map(|conditions| conditions.into_iter().collect())
}

pub(crate) fn report() -> impl Strategy<Value = TenantReport> {
    let apply = prop_oneof![
        text().prop_map(|waiting_for| ApplyState::Applying { waiting_for }),
        Just(ApplyState::Applied),
        (text(), text()).prop_map(|(reason, message)| ApplyState::Failed { reason, message }),
        text().prop_map(|waiting_for| ApplyState::Withdrawing { waiting_for }),
        ("[A-Z][a-z]{1,8}", text())
            .prop_map(|(reason, message)| ApplyState::WithdrawFailed { reason, message }),
        Just(ApplyState::Withdrawn),
    ];
    let state = select(vec![
        HealthState::Healthy,
        HealthState::Suspended,
        HealthState::Progressing,
        HealthState::Degraded,
        HealthState::Unhealthy,
        HealthState::Unknown,
    ]);
    (held(), apply, state, text(), timestamp()).prop_map(|(held, apply, state, message, observed_at)| {
        TenantReport {
            tenant: held.tenant,
            uid: held.uid,
            generation: held.generation,
            digest: held.digest,
            apply,
            health: Health::new(state, message),
            observed_at,
        }
    })
}

pub(crate) fn a_report(observed_at: Timestamp) -> TenantReport {
    TenantReport {
        tenant: TenantId::new("acme").unwrap(),
        uid: Uid::new("u-1").unwrap(),
        generation: Generation(1),
        digest: crate::objects::digest(b"x").unwrap(),
        apply: ApplyState::Applied,
        health: Health::healthy(),
        observed_at,
    }
}

/// Evidence with one probe of each outcome.
pub(crate) fn an_evidence() -> Evidence {
    let probe = |name: &str, outcome| Probe {
        name: name.into(),
        what: "a pod".into(),
        expected: "refused".into(),
        seen: "something".into(),
        required: true,
        outcome,
    };
    let at = Timestamp::from_second(1_000).unwrap();
    Evidence {
        tenant: TenantId::new("acme").unwrap(),
        uid: Uid::new("u-1").unwrap(),
        cluster: ClusterName::new("eu-1").unwrap(),
        generation: Generation(3),
        digest: crate::objects::digest(b"x").unwrap(),
        started_at: at,
        finished_at: at,
        interval_seconds: 600,
        agent_version: "0.1.0".into(),
        kubernetes_version: "v1.36.3".into(),
        policies: BTreeMap::from([(
            "ValidatingAdmissionPolicy p".to_owned(),
            PolicySeen {
                uid: "u".into(),
                generation: 1,
            },
        )]),
        probes: vec![
            probe("a", ProbeOutcome::Passed),
            probe("b", ProbeOutcome::Failed { hole: "open".into() }),
            probe("c", ProbeOutcome::NotTried { reason: "why".into() }),
        ],
        refused_attempts: 2,
    }
}

/// A tenant's spec with nothing but a tier.
pub(crate) fn plain_spec() -> TenantSpec {
    TenantSpec::of_tier(TierName::new("free").unwrap())
}
