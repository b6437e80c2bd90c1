//! Secret values that people paste wherever they can write, and those that Berth makes: none is in the store, in a log or in an answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

mod support;

use std::{
    io::{self, Write},
    path::Path,
    sync::{Arc, Mutex},
};

use berth_proto::v1::{
    self, bundle_service_client::BundleServiceClient, join_token_service_client::JoinTokenServiceClient,
    organisation_service_client::OrganisationServiceClient, tier_service_client::TierServiceClient,
};
use prost_types::{Struct, Value, value::Kind};
use serde_json::json;
use support::Hub;
use tonic::{Code, Status};
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// What people paste. Each has the form by which it is known, and a word of its own to look for.
const AWS: &str = "AKIAPLANTED0AAAAAAAA";
const PEM: &str = "-----BEGIN PRIVATE KEY-----\nPLANTEDPEM\n-----END PRIVATE KEY-----";
const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJwbGFudGVkIjoiand0In0.PLANTEDJWTPLANTEDJWT";
/// No form tells this one: only that it is given for a parameter of type secret.
const PASSWORD: &str = "planted-hunter2";
const WORDS: [&str; 4] = ["PLANTED0AAAA", "PLANTEDPEM", "PLANTEDJWT", "planted-hunter2"];

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn text(text: &str) -> Value {
    Value {
        kind: Some(Kind::StringValue(text.into())),
    }
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let fields = fields.map(|(name, value)| (name.to_owned(), value)).into();
    Value {
        kind: Some(Kind::StructValue(Struct { fields })),
    }
}

fn manifest(data: Value) -> Struct {
    let name = fields([("name", text("c"))]);
    Struct {
        fields: [
            ("apiVersion".to_owned(), text("v1")),
            ("kind".to_owned(), text("ConfigMap")),
            ("metadata".to_owned(), name),
            ("data".to_owned(), data),
        ]
        .into(),
    }
}

/// It is refused, and the refusal does not repeat it.
#[track_caller]
fn refused<T: std::fmt::Debug>(what: &str, answer: Result<T, Status>) {
    let status = answer.expect_err(what);
    assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
    let details = String::from_utf8_lossy(status.details()).into_owned();
    assert!(
        ["reference", "existingSecret"]
            .iter()
            .any(|word| details.contains(word))
            || status.message().contains("reference"),
        "{what}: {details}"
    );
    for word in WORDS {
        assert!(
            !format!("{status:?} {details}").contains(word),
            "{what}: {status:?}"
        );
    }
}

fn tenant(id: &str, change: impl FnOnce(&mut v1::TenantSpec)) -> v1::CreateTenantRequest {
    let mut spec = v1::TenantSpec {
        tier: "free".into(),
        ..v1::TenantSpec::default()
    };
    change(&mut spec);
    let tenant = v1::Tenant {
        spec: Some(spec),
        ..v1::Tenant::default()
    };
    v1::CreateTenantRequest {
        tenant_id: id.into(),
        tenant: Some(tenant),
        ..v1::CreateTenantRequest::default()
    }
}

fn using(password: Value) -> v1::TenantSpec {
    v1::TenantSpec {
        tier: "free".into(),
        bundles: vec![v1::BundleRef {
            name: "web".into(),
            version: "1.0.0".into(),
            parameters: Some(Struct {
                fields: [("password".to_owned(), password)].into(),
            }),
        }],
        ..v1::TenantSpec::default()
    }
}

fn bundle(version: &str, parameters: Vec<v1::Parameter>, data: Value) -> v1::CreateBundleRequest {
    let spec = v1::BundleSpec {
        parameters,
        manifests: vec![manifest(data)],
        ..v1::BundleSpec::default()
    };
    v1::CreateBundleRequest {
        bundle_id: "web".into(),
        version: version.into(),
        bundle: Some(v1::Bundle {
            spec: Some(spec),
            ..v1::Bundle::default()
        }),
        ..v1::CreateBundleRequest::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_planted_secret_is_in_the_store_the_logs_or_an_answer() {
    let log = Log::default();
    let writer = log.clone();
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(move || writer.clone());
    let filter =
        EnvFilter::new("debug,berth_hub=trace,berth_control=trace,berth_store=trace,berth_identity=trace");
    tracing_subscriber::registry().with(filter).with(lines).init();
    let hub = Hub::start(&json!({})).await;
    let channel = hub.channel(&hub.admin());
    let mut tenants = hub.tenants(&hub.admin());
    let mut bundles = BundleServiceClient::new(channel.clone());

    let secret = v1::Parameter {
        name: "password".into(),
        r#type: "secret".into(),
        ..v1::Parameter::default()
    };
    let reference = fields([("of", text("${password.name}/${password.key}"))]);
    bundles
        .create_bundle(bundle("1.0.0", vec![secret.clone()], reference.clone()))
        .await
        .unwrap();

    for (number, planted) in [AWS, PEM, JWT].into_iter().enumerate() {
        let pasted = fields([("id", text(planted))]);
        refused(
            "in a manifest",
            bundles.create_bundle(bundle("2.0.0", vec![], pasted)).await,
        );
        let with_default = v1::Parameter {
            r#type: "string".into(),
            default: Some(text(planted)),
            ..secret.clone()
        };
        refused(
            "as a default",
            bundles
                .create_bundle(bundle("2.0.0", vec![with_default], reference.clone()))
                .await,
        );
        let id = format!("planted-{number}");
        refused(
            "in a label",
            tenants
                .create_tenant(tenant(&id, |spec| {
                    drop(spec.labels.insert("a".into(), planted.into()))
                }))
                .await,
        );
        refused(
            "as a domain",
            tenants
                .create_tenant(tenant(&id, |spec| spec.domain = planted.into()))
                .await,
        );
        refused(
            "as a parameter",
            tenants
                .create_tenant(tenant(&id, |spec| *spec = using(text(planted))))
                .await,
        );
        let tier = v1::Tier {
            spec: Some(v1::TierSpec {
                display_name: planted.into(),
                isolation: "namespace".into(),
                default_size: "small".into(),
                pod_security: "restricted".into(),
                priority: "standard".into(),
                ..v1::TierSpec::default()
            }),
            ..v1::Tier::default()
        };
        let request = v1::CreateTierRequest {
            tier_id: id.clone(),
            tier: Some(tier),
            ..v1::CreateTierRequest::default()
        };
        refused(
            "in a tier",
            TierServiceClient::new(channel.clone()).create_tier(request).await,
        );
        let organisation = v1::Organisation {
            spec: Some(v1::OrganisationSpec {
                display_name: planted.into(),
                ..v1::OrganisationSpec::default()
            }),
            ..v1::Organisation::default()
        };
        let request = v1::CreateOrganisationRequest {
            organisation_id: id,
            organisation: Some(organisation),
            ..v1::CreateOrganisationRequest::default()
        };
        refused(
            "in an organisation",
            OrganisationServiceClient::new(channel.clone())
                .create_organisation(request)
                .await,
        );
    }
    refused(
        "for a secret",
        tenants
            .create_tenant(tenant("planted", |spec| *spec = using(text(PASSWORD))))
            .await,
    );
    let nested = fields([("value", text(PASSWORD))]);
    refused(
        "for a secret, wrapped",
        tenants
            .create_tenant(tenant("planted", |spec| *spec = using(nested)))
            .await,
    );
    let default = v1::Parameter {
        default: Some(text(PASSWORD)),
        ..secret
    };
    refused(
        "as a secret's default",
        bundles
            .create_bundle(bundle("2.0.0", vec![default], reference))
            .await,
    );
    // A reference is taken.
    let existing = fields([("name", text("db")), ("key", text("password"))]);
    let right = using(fields([("existingSecret", existing)]));
    tenants
        .create_tenant(tenant("right", |spec| *spec = right))
        .await
        .unwrap();

    let request = v1::CreateJoinTokenRequest {
        cluster: "eu-1".into(),
        ..v1::CreateJoinTokenRequest::default()
    };
    let mut tokens = JoinTokenServiceClient::new(channel);
    let made = tokens.create_join_token(request).await.unwrap().into_inner();
    let made = made.token.rsplit('.').next().unwrap().to_owned();
    assert!(made.len() > 20);

    // What is left in other calls, too.
    let labels = [("team".to_owned(), AWS.to_owned())].into();
    let request = v1::CreateJoinTokenRequest {
        cluster: "eu-2".into(),
        labels,
        ..v1::CreateJoinTokenRequest::default()
    };
    refused("in a label of a cluster", tokens.create_join_token(request).await);

    // The store is not compressed but for rendered objects, and nothing is placed here.
    let data = hub.end().await;
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("hub runs"), "there is a log");
    let mut searched = 0;
    for word in WORDS.into_iter().chain([made.as_str()]) {
        assert!(!log.contains(word), "{word} is in the log");
        searched += grep(&data.path().join("data"), word);
    }
    assert!(searched > 0);
}

/// Fails when a file below holds `word`. The keys of the authority and the admin are what they are.
fn grep(directory: &Path, word: &str) -> usize {
    let mut searched = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            searched += grep(&path, word);
            continue;
        }
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(word.len()).any(|window| window == word.as_bytes());
        assert!(!found, "{word} is in {}", path.display());
        searched += 1;
    }
    searched
}
