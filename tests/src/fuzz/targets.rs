//! What is fuzzed: everything that reads what a stranger, a caller or an agent wrote.

use std::{fmt::Display, sync::LazyLock};

use berth_identity::{AGENT_LIFETIME, Authority, CaPin, JoinToken, ca, certificate, key};
use berth_model::{
    BundleName, ClusterName, FleetId, Revision, SecretRef, TenantId, Timestamp, Uid, id, quantity::Quantity,
    secret,
};
use berth_proto::{agent, v1};
use berth_wire::{api, context::Context, file, link, record};
use prost::Message;

/// Reads an input: what it leads to, or which rule it breaks.
pub(super) type Read = fn(&[u8]) -> Result<String, String>;

/// Something that reads.
#[derive(Debug)]
pub struct Target {
    /// Its name.
    pub name: &'static str,
    /// Reads an input: what it leads to, or which rule it breaks.
    pub run: Read,
    /// Inputs to begin with, besides those that are kept.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Words that it has opinions about.
    pub words: &'static [&'static str],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "requests",
        run: requests,
        seeds: request_seeds,
        words: &["acme", "free", "requests.cpu", "tenants/"],
    },
    Target {
        name: "link",
        run: links,
        seeds: link_seeds,
        words: &["acme", "sha256:", "eu-1"],
    },
    Target {
        name: "records",
        run: records,
        seeds: record_seeds,
        words: &["acme"],
    },
    Target {
        name: "files",
        run: files,
        seeds: file_seeds,
        words: &[
            "apiVersion: berth.dev/v1\n",
            "kind: Tenant\n",
            "metadata:\n  name: a\n",
            "spec:\n",
            "tier: free\n",
            "manifests:\n",
            "\n- ",
            ": ",
            "${x}",
            "$${",
            "!!binary ",
            "? ",
        ],
    },
    Target {
        name: "contexts",
        run: contexts,
        seeds: context_seeds,
        words: &[
            "apiVersion: berth.dev/v1\n",
            "kind: Context\n",
            "server: https://",
            "-----BEGIN CERTIFICATE-----\n",
            "-----END CERTIFICATE-----\n",
        ],
    },
    Target {
        name: "signing-requests",
        run: signing_requests,
        seeds: signing_seeds,
        words: &["\u{30}\u{0}", "spiffe://"],
    },
    Target {
        name: "certificates",
        run: certificates,
        seeds: certificate_seeds,
        words: &["-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n"],
    },
    Target {
        name: "tokens",
        run: tokens,
        seeds: || texts(&["abcdefghij.0123456789abcdef0123456789abcdef", "sha256:00", "."]),
        words: &["sha256:", ".", "abcdefghij"],
    },
    Target {
        name: "names",
        run: names,
        seeds: || texts(&["acme", "a-b", "t-a--b", "web.1", "x".repeat(64).as_str()]),
        words: &["--", "-", ".", "a", "0"],
    },
    Target {
        name: "quantities",
        run: quantities,
        seeds: || {
            texts(&[
                "1",
                "1.5Gi",
                "100m",
                "1e3",
                "-1",
                "12E",
                "0.000000001",
                "9223372036854775807",
            ])
        },
        words: &[
            "Ki", "Mi", "Gi", "Ti", "Pi", "Ei", "m", "u", "n", "k", "M", "e9", "E-3", ".", "+",
        ],
    },
    Target {
        name: "secrets",
        run: secrets,
        seeds: || {
            texts(&[
                r#"{"externalSecret":{"store":"v","key":"a/b","property":"p"}}"#,
                r#"{"existingSecret":{"name":"a","key":"b"}}"#,
                "AKIAIOSFODNN7EXAMPLE",
                "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmN",
            ])
        },
        words: &["../", "eyJ", "AKIA", "externalSecret", "existingSecret"],
    },
];

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

fn answer<T>(result: Result<T, impl Display>) -> String {
    match result {
        Ok(_) => "taken".into(),
        Err(error) => error.to_string(),
    }
}

fn all<T>(result: Result<T, Vec<impl Display>>) -> String {
    match result {
        Ok(_) => "taken".into(),
        Err(errors) => errors
            .first()
            .map_or_else(|| "nothing".into(), ToString::to_string),
    }
}

/// A rule of a target.
fn hold(rule: &str, holds: bool) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(format!("breaks a rule: {rule}"))
    }
}

/// The first byte says of which kind the rest is.
fn kinds<const N: usize>(input: &[u8], of: [Read; N]) -> Result<String, String> {
    let Some((first, rest)) = input.split_first() else {
        return Ok("empty".into());
    };
    let kind = usize::from(*first) % N;
    let answer = of.get(kind).map_or_else(|| Ok(String::new()), |of| of(rest))?;
    Ok(format!(
        "{}: {answer}",
        "abcdefghijklmnopqrstuvwxyz".get(kind..=kind).unwrap_or("z")
    ))
}

fn decoded<M: Message + Default>(
    bytes: &[u8],
    read: impl FnOnce(M) -> Result<String, String>,
) -> Result<String, String> {
    match M::decode(bytes) {
        Ok(message) => read(message),
        Err(error) => Ok(error.to_string()),
    }
}

fn requests(input: &[u8]) -> Result<String, String> {
    kinds(
        input,
        [
            |bytes| {
                decoded(bytes, |m: v1::CreateTenantRequest| {
                    let spec = m.tenant.and_then(|tenant| tenant.spec).unwrap_or_default();
                    let read = api::tenant_spec_from_proto(&spec);
                    if let Ok(read) = &read {
                        let again = api::tenant_spec_from_proto(&api::tenant_spec_to_proto(read));
                        hold(
                            "a tenant that is written is read as the same",
                            again.as_ref() == Ok(read),
                        )?;
                        let admitted = berth_plan::admit::tenant(
                            &berth_plan::admit::Catalogue::default(),
                            &m.tenant_id,
                            read,
                            None,
                        );
                        return Ok(format!("admitted: {}", all(admitted)));
                    }
                    Ok(all(read))
                })
            },
            |bytes| {
                decoded(bytes, |m: v1::TierSpec| {
                    let read = api::tier_spec_from_proto(&m);
                    if let Ok(read) = &read {
                        let again = api::tier_spec_from_proto(&api::tier_spec_to_proto(read));
                        hold(
                            "a tier that is written is read as the same",
                            again.as_ref() == Ok(read),
                        )?;
                        return Ok(format!("admitted: {}", all(berth_plan::admit::tier("t", read))));
                    }
                    Ok(all(read))
                })
            },
            |bytes| {
                decoded(bytes, |m: v1::BundleSpec| {
                    let read = api::bundle_spec_from_proto(&m);
                    Ok(match &read {
                        Ok(read) => format!(
                            "checked: {:?}",
                            berth_render::bundle::check(read)
                                .first()
                                .map(|v| v.problem.clone())
                        ),
                        Err(_) => all(read),
                    })
                })
            },
            |bytes| {
                decoded(bytes, |m: v1::OrganisationSpec| {
                    Ok(all(api::organisation_spec_from_proto(&m)))
                })
            },
            |bytes| {
                decoded(bytes, |m: v1::Cluster| {
                    Ok(all(api::cluster_change_from_proto(&m)))
                })
            },
            |bytes| decoded(bytes, |m: v1::Placement| Ok(all(api::placement_from_proto(&m)))),
        ],
    )
}

fn request_seeds() -> Vec<Vec<u8>> {
    let quota = [("requests.cpu".to_owned(), "8".to_owned())].into();
    let bundles = vec![v1::BundleRef {
        name: "web".into(),
        version: "1.0.0".into(),
        ..v1::BundleRef::default()
    }];
    let spec = v1::TenantSpec {
        tier: "free".into(),
        size: "small".into(),
        quota,
        bundles,
        ..v1::TenantSpec::default()
    };
    let tenant = v1::Tenant {
        spec: Some(spec),
        ..v1::Tenant::default()
    };
    let create = v1::CreateTenantRequest {
        tenant_id: "acme".into(),
        tenant: Some(tenant),
        ..v1::CreateTenantRequest::default()
    };
    let mut seeds = vec![tagged(0, &create)];
    for (_, tier) in berth_model::catalogue::tiers().unwrap_or_default() {
        seeds.push(tagged(1, &api::tier_spec_to_proto(&tier)));
    }
    let documents = EXAMPLES
        .iter()
        .filter_map(|(_, text)| file::parse(text).ok())
        .flatten();
    for document in documents {
        match document {
            file::Document::Bundle { spec, .. } => seeds.push(tagged(2, &api::bundle_spec_to_proto(&spec))),
            file::Document::Organisation { spec, .. } => {
                seeds.push(tagged(3, &api::organisation_spec_to_proto(&spec)))
            }
            _ => {}
        }
    }
    seeds.push(tagged(4, &v1::Cluster::default()));
    seeds.push(tagged(5, &v1::Placement::default()));
    seeds
}

fn tagged(tag: u8, message: &impl Message) -> Vec<u8> {
    let mut bytes = vec![tag];
    bytes.extend(message.encode_to_vec());
    bytes
}

fn links(input: &[u8]) -> Result<String, String> {
    kinds(
        input,
        [
            |bytes| {
                decoded(bytes, |m: agent::LinkRequest| {
                    use agent::link_request::Message as M;
                    Ok(match m.message {
                        Some(M::Heartbeat(m)) => {
                            format!("heartbeat {:?}", link::heartbeat_from_proto(&m).api_age.is_some())
                        }
                        Some(M::Held(m)) => m
                            .held
                            .iter()
                            .map(|held| answer(link::held_from_proto(held)))
                            .next_back()
                            .unwrap_or_default(),
                        Some(M::Nack(m)) => link::nack_from_proto(&m).reason.as_str().to_owned(),
                        Some(M::Report(m)) => answer(link::report_from_proto(&m, Timestamp::UNIX_EPOCH)),
                        Some(M::Evidence(m)) => {
                            format!("evidence {}", link::evidence_from_proto(&m).1.is_some())
                        }
                        Some(M::Reply(m)) => answer(link::token_reply_from_proto(m)),
                        Some(M::Facts(m)) => {
                            format!("facts {}", m.facts.map(|m| link::facts_from_proto(&m)).is_some())
                        }
                        Some(M::Hello(_)) => "hello".into(),
                        Some(M::Ack(_)) => "ack".into(),
                        Some(M::TrustKept(_)) => "trust kept".into(),
                        None => "none".into(),
                    })
                })
            },
            |bytes| decoded(bytes, |m: agent::Keep| Ok(answer(link::keep_from_proto(&m)))),
            |bytes| {
                decoded(bytes, |m: agent::Withdraw| {
                    Ok(answer(link::withdraw_from_proto(&m)))
                })
            },
            |bytes| decoded(bytes, |m: agent::MintToken| Ok(answer(link::mint_from_proto(&m)))),
            |bytes| {
                decoded(bytes, |m: agent::ProbeTenant| {
                    Ok(answer(link::probe_from_proto(&m)))
                })
            },
            |bytes| {
                decoded(bytes, |m: agent::Goodbye| {
                    Ok(format!("{:?}", link::goodbye_from_proto(&m)))
                })
            },
        ],
    )
}

fn link_seeds() -> Vec<Vec<u8>> {
    use agent::link_request::Message as M;
    let messages = [
        M::Heartbeat(agent::Heartbeat::default()),
        M::Held(agent::HeldChunk {
            held: vec![agent::Held {
                tenant: "acme".into(),
                ..agent::Held::default()
            }],
            ..agent::HeldChunk::default()
        }),
        M::Nack(agent::Nack::default()),
        M::Report(agent::Report {
            tenant: "acme".into(),
            ..agent::Report::default()
        }),
        M::Evidence(agent::EvidenceReport::default()),
        M::Reply(agent::Reply::default()),
        M::Facts(agent::FactsReport {
            facts: Some(v1::ClusterFacts::default()),
        }),
    ];
    let requests = messages.map(|message| {
        tagged(
            0,
            &agent::LinkRequest {
                message: Some(message),
            },
        )
    });
    let mut seeds = requests.to_vec();
    seeds.push(tagged(1, &agent::Keep::default()));
    seeds.push(tagged(2, &agent::Withdraw::default()));
    seeds.push(tagged(3, &agent::MintToken::default()));
    seeds.push(tagged(4, &agent::ProbeTenant::default()));
    seeds
}

fn records(input: &[u8]) -> Result<String, String> {
    kinds(
        input,
        [
            |bytes| Ok(answer(record::decode_assignment(bytes))),
            |bytes| Ok(answer(record::decode_breaker(bytes))),
            |bytes| Ok(answer(record::decode_bundle(bytes, Revision(1)))),
            |bytes| Ok(answer(record::decode_cluster(bytes, Revision(1)))),
            |bytes| Ok(answer(record::decode_evidence(bytes))),
            |bytes| Ok(answer(record::decode_fleet(bytes))),
            |bytes| Ok(answer(record::decode_infra(bytes))),
            |bytes| Ok(answer(record::decode_organisation(bytes, Revision(1)))),
            |bytes| Ok(answer(record::decode_placement(bytes))),
            |bytes| Ok(answer(record::decode_restore(bytes))),
            |bytes| Ok(answer(record::decode_status(bytes))),
            |bytes| Ok(answer(record::decode_tenant(bytes, Revision(1)))),
            |bytes| Ok(answer(record::decode_tier(bytes, Revision(1)))),
            |bytes| Ok(answer(record::decode_join_token(bytes))),
        ],
    )
}

fn record_seeds() -> Vec<Vec<u8>> {
    (0..14).map(|kind| vec![kind, 10, 1, b'a', 8, 1]).collect()
}

/// What people write, as it lies in `deploy/examples`.
const EXAMPLES: &[(&str, &str)] = &[
    ("tiers", include_str!("../../../deploy/examples/tiers.yaml")),
    ("web", include_str!("../../../deploy/examples/web.yaml")),
    (
        "organisations",
        include_str!("../../../deploy/examples/organisations.yaml"),
    ),
    (
        "acme-corp",
        include_str!("../../../deploy/examples/acme-corp.yaml"),
    ),
    (
        "vision-team",
        include_str!("../../../deploy/examples/vision-team.yaml"),
    ),
];

fn files(input: &[u8]) -> Result<String, String> {
    let text = text(input);
    let documents = match file::parse(&text) {
        Ok(documents) => documents,
        Err(faults) => {
            return Ok(faults
                .first()
                .map_or_else(|| "nothing".into(), ToString::to_string));
        }
    };
    for document in &documents {
        let written = file::to_yaml(document)
            .map_err(|error| format!("breaks a rule: what is read is written: {error}"))?;
        let again = file::parse(&written).map_err(|faults| {
            format!(
                "breaks a rule: what is written is read: {:?}",
                faults.first().map(ToString::to_string)
            )
        })?;
        hold("what is written is read as the same", again == [document.clone()])?;
    }
    Ok(format!("{} documents", documents.len().min(3)))
}

fn file_seeds() -> Vec<Vec<u8>> {
    EXAMPLES
        .iter()
        .map(|(_, text)| text.as_bytes().to_vec())
        .collect()
}

fn contexts(input: &[u8]) -> Result<String, String> {
    let read = Context::parse(&text(input));
    if let Ok(read) = &read {
        let written = read.to_yaml().map_err(|error| error.to_string())?;
        hold(
            "a context that is written is read",
            Context::parse(&written).is_ok(),
        )?;
    }
    Ok(answer(read))
}

fn context_seeds() -> Vec<Vec<u8>> {
    texts(&[
        "apiVersion: berth.dev/v1\nkind: Context\nserver: https://127.0.0.1:7443\ncertificateAuthority: |\n  a\nclientCertificate: |\n  b\nclientKey: |\n  c\n",
    ])
}

/// An authority for these runs alone.
static AUTHORITY: LazyLock<Option<Authority>> = LazyLock::new(|| {
    let directory = tempfile::tempdir().ok()?;
    Authority::load_or_create(directory.path(), Timestamp::UNIX_EPOCH).ok()
});

fn signing_requests(input: &[u8]) -> Result<String, String> {
    let authority = AUTHORITY.as_ref().ok_or("no authority")?;
    let names = (FleetId::new("f1"), ClusterName::new("eu-1"), Uid::new("u-1"));
    let (Ok(fleet), Ok(cluster), Ok(uid)) = names else {
        return Err("no names".into());
    };
    let known = ca::key_sha256(input).is_ok();
    let now = Timestamp::UNIX_EPOCH;
    let issued = authority.issue_agent(&fleet, (&cluster, &uid), input, now, AGENT_LIFETIME);
    if let Ok(issued) = &issued {
        let leaf = certificate::first(&issued.certificate_pem).map_err(|error| error.to_string())?;
        let peer = berth_identity::Peer::of_certificate(&leaf, &fleet).map_err(|error| error.to_string())?;
        let right = matches!(&peer, berth_identity::Peer::Agent { cluster: named, .. } if *named == cluster);
        hold(
            "whatever a request says, its certificate is that cluster's",
            right,
        )?;
        hold("whose certificate is issued has a key that is known", known)?;
    }
    Ok(answer(issued))
}

fn signing_seeds() -> Vec<Vec<u8>> {
    let request = key::generate()
        .ok()
        .and_then(|key| key::signing_request(&key).ok());
    request.into_iter().collect()
}

fn certificates(input: &[u8]) -> Result<String, String> {
    let fleet = FleetId::new("f1").map_err(|error| error.to_string())?;
    let text = text(input);
    Ok(format!(
        "{}, {}, {}, {}",
        answer(berth_identity::Peer::of_certificate(input, &fleet)),
        answer(CaPin::of_der(input)),
        answer(certificate::validity(&text)),
        answer(CaPin::of_pem(&text)),
    ))
}

fn certificate_seeds() -> Vec<Vec<u8>> {
    let Some(authority) = AUTHORITY.as_ref() else {
        return Vec::new();
    };
    let pem = authority.certificate_pem().to_owned();
    let der = certificate::first(&pem)
        .map(|der| der.to_vec())
        .unwrap_or_default();
    vec![pem.into_bytes(), der]
}

fn tokens(input: &[u8]) -> Result<String, String> {
    let text = text(input);
    let token = text.parse::<JoinToken>();
    if let Ok(token) = &token {
        let again = token.expose().parse::<JoinToken>();
        hold(
            "a token that is written is the same",
            again.is_ok_and(|again| again.secret_hash().admits(token)),
        )?;
        hold(
            "a token is not shown",
            !format!("{token:?}").contains(token.expose().split('.').next_back().unwrap_or("?")),
        )?;
    }
    let pin = text.parse::<CaPin>();
    if let Ok(pin) = &pin {
        hold(
            "a pin that is written is the same",
            pin.to_string().parse::<CaPin>().ok().as_ref() == Some(pin),
        )?;
    }
    Ok(format!("{}, {}", answer(token), answer(pin)))
}

fn names(input: &[u8]) -> Result<String, String> {
    let text = text(input);
    let tenant = TenantId::new(text.clone());
    if tenant.is_ok() {
        let label = text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        hold(
            "a tenant's id is a DNS label of at most 40 characters",
            label && (1..=40).contains(&text.len()),
        )?;
        hold("a tenant's id has no double dash", !text.contains("--"))?;
        hold(
            "a tenant's namespace is a DNS label",
            id::is_dns_label(&format!("t-{text}")),
        )?;
    }
    for name in [
        ClusterName::new(text.clone()).is_ok(),
        BundleName::new(text.clone()).is_ok(),
    ] {
        hold(
            "names edit no path",
            !name || !text.contains(['/', '.', '%', '?', '#', ' ', '\n']),
        )?;
    }
    let uid = Uid::new(text.clone());
    Ok(format!(
        "{}, {}, {}, {}",
        answer(tenant),
        id::is_dns_label(&text),
        id::is_dns_subdomain(&text),
        answer(uid)
    ))
}

fn quantities(input: &[u8]) -> Result<String, String> {
    let text = text(input);
    let quantity = text.parse::<Quantity>();
    if let Ok(read) = &quantity {
        let again = read.canonical().parse::<Quantity>();
        hold(
            "a quantity's canonical form is the same amount",
            again
                .as_ref()
                .is_ok_and(|again| again == read || again.canonical() == read.canonical()),
        )?;
        let _ = (
            read.milli_cpu(),
            read.bytes(),
            read.count(),
            read.checked_mul(u64::MAX),
            read.checked_add(read),
            read.plus(read),
            read.minus(read),
        );
    }
    Ok(answer(quantity))
}

fn secrets(input: &[u8]) -> Result<String, String> {
    let text = text(input);
    let looks = secret::looks_like(&text).unwrap_or("nothing");
    let Ok(value) = serde_json::from_str::<serde_json::Value>(&text) else {
        return Ok(looks.into());
    };
    let _ = secret::pasted("spec", &value);
    let reference = SecretRef::parse(&value);
    if let Ok(SecretRef::External { key, .. }) = &reference {
        hold(
            "no key leads out of its prefix",
            !key.split('/').any(|part| part == "..") && !key.starts_with('/'),
        )?;
    }
    Ok(answer(reference))
}
