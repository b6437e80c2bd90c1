//! How callers sign in: people at a real OpenID provider, programs with API keys; and who does not get in.

#![expect(clippy::unwrap_used, reason = "a test says what is wrong by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context as _, ensure};
use berth_proto::v1::{
    self, access_service_client::AccessServiceClient, login_service_client::LoginServiceClient,
    tenant_service_client::TenantServiceClient,
};
use berth_tests::{
    cli::Called,
    hub::Hub,
    oidc::{ALICE, OidcProvider, Person},
    programs::Programs,
    signing_in::Machine,
    waiting::{LONG, until},
};
use serde_json::json;
use tonic::{
    Code,
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

/// An hour, so that nothing is renewed meanwhile.
const LONG_LIVED: u32 = 3600;

struct Place {
    directory: tempfile::TempDir,
    programs: Programs,
    hub: Hub,
    provider: OidcProvider,
    pin: String,
}

impl Place {
    async fn new(id_token_seconds: u32) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let provider = OidcProvider::started(directory.path(), id_token_seconds)
            .await
            .unwrap();
        Self::with(directory, provider).await
    }

    async fn with(directory: tempfile::TempDir, provider: OidcProvider) -> Self {
        let programs = Programs::find().unwrap();
        let config = json!({"auth": {"oidc": [provider.config()]}});
        let hub = Hub::start(&programs, &directory.path().join("hub"), &config)
            .await
            .unwrap();
        let admin = Machine {
            context: hub.context(),
            ..Machine::new(&programs, directory.path())
        };
        let made = admin.call(&["token", "create", "x", "-o", "json"]).await.unwrap();
        let made: serde_json::Value = serde_json::from_str(&made.success(&["token"]).unwrap()).unwrap();
        let pin = made["caPin"].as_str().unwrap().to_owned();
        Self {
            directory,
            programs,
            hub,
            provider,
            pin,
        }
    }

    fn machine(&self, name: &str) -> Machine {
        Machine::new(&self.programs, &self.directory.path().join(name))
    }

    fn admin(&self) -> Machine {
        Machine {
            context: self.hub.context(),
            ..self.machine("admin")
        }
    }

    async fn sign_in(&self, machine: &Machine, more: &[&str], person: Person) -> Called {
        let server = self.hub.api_url();
        let mut arguments = vec!["--server", &server, "--ca-pin", &self.pin];
        arguments.extend(more);
        machine.sign_in(&arguments, &self.provider, person).await.unwrap()
    }

    /// A channel without any credential.
    fn stranger(&self) -> Channel {
        let ca = std::fs::read_to_string(self.hub.data().join("ca/ca.crt")).unwrap();
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
        let endpoint = Endpoint::from_shared(self.hub.api_url()).unwrap();
        endpoint.tls_config(tls).unwrap().connect_lazy()
    }
}

async fn whoami(machine: &Machine) -> anyhow::Result<String> {
    let arguments = ["auth", "whoami"];
    machine.call(&arguments).await?.success(&arguments)
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn secrets(machine: &Machine) -> Vec<String> {
    let text = std::fs::read_to_string(machine.tokens()).unwrap();
    let tokens: serde_json::Value = serde_json::from_str(&text).unwrap();
    ["idToken", "refreshToken"]
        .map(|name| tokens[name].as_str().unwrap().to_owned())
        .into()
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_with_a_browser_is_who_the_provider_says_and_signs_out_again() {
    let place = Place::new(LONG_LIVED).await;
    let machine = place.machine("laptop");
    let signed_in = place.sign_in(&machine, &["--no-open"], ALICE).await;
    assert_eq!(signed_in.code, 0, "{}\n{}", signed_in.err, place.hub.log_end(20));
    assert!(
        signed_in.err.contains("user:alice@example.com"),
        "{}",
        signed_in.err
    );
    let said = whoami(&machine).await.unwrap();
    assert!(said.contains("user:alice@example.com"), "{said}");
    assert!(said.contains("dev, platform"), "{said}");

    // What was stored is for its owner alone, and was shown nowhere.
    for file in [machine.context.as_path(), &machine.tokens()] {
        assert_eq!(mode(file), 0o600, "{}", file.display());
    }
    let log = std::fs::read_to_string(place.hub.log()).unwrap();
    for secret in secrets(&machine) {
        for shown in [&signed_in.err, &said, &log] {
            assert!(!shown.contains(&secret));
        }
    }

    // Who has signed in may not yet do anything.
    let refused = machine.call(&["get", "tiers"]).await.unwrap();
    assert!(
        refused.code != 0 || !refused.out.contains("NAME"),
        "{}",
        refused.said()
    );

    let out = machine.call(&["logout"]).await.unwrap();
    assert_eq!(out.code, 0, "{}", out.err);
    assert!(!machine.tokens().exists());
    let refused = machine.call(&["auth", "whoami"]).await.unwrap();
    assert!(
        refused.code != 0 && refused.err.contains("berth login"),
        "{}",
        refused.err
    );
    // The context knows the hub; nothing has to be said again.
    let again = machine
        .sign_in(&["--no-open"], &place.provider, ALICE)
        .await
        .unwrap();
    assert_eq!(again.code, 0, "{}", again.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_on_another_device_or_denies_it() {
    let place = Place::new(LONG_LIVED).await;
    let machine = place.machine("server");
    let denies = Person {
        denies: true,
        ..ALICE
    };
    let denied = place.sign_in(&machine, &["--device"], denies).await;
    assert_ne!(denied.code, 0);
    assert!(denied.err.contains("denied"), "{}", denied.err);
    assert!(!machine.context.exists() && !machine.tokens().exists());

    let signed_in = place.sign_in(&machine, &["--device"], ALICE).await;
    assert_eq!(signed_in.code, 0, "{}", signed_in.err);
    assert!(whoami(&machine).await.unwrap().contains("user:alice@example.com"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_that_comes_back_with_a_denial_and_an_address_that_is_not_verified_sign_nobody_in() {
    let place = Place::new(LONG_LIVED).await;
    let machine = place.machine("laptop");
    let denies = Person {
        denies: true,
        ..ALICE
    };
    let denied = place.sign_in(&machine, &["--no-open"], denies).await;
    assert_ne!(denied.code, 0);
    assert!(denied.err.contains("access_denied"), "{}", denied.err);

    let mallory = Person {
        login: "mallory",
        denies: false,
    };
    let refused = place.sign_in(&machine, &["--no-open"], mallory).await;
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("has not verified"), "{}", refused.err);
    assert!(!machine.tokens().exists() && !machine.context.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_is_renewed_by_itself_by_many_commands_at_once_until_the_provider_ends_it() {
    // Every token is about to end, so every command renews it.
    let mut place = Place::new(20).await;
    let machine = place.machine("laptop");
    let signed_in = place.sign_in(&machine, &["--no-open"], ALICE).await;
    assert_eq!(signed_in.code, 0, "{}", signed_in.err);
    let before = secrets(&machine);
    let many = futures::future::join_all((0..4).map(|_| whoami(&machine))).await;
    for said in many {
        assert!(said.unwrap().contains("user:alice@example.com"));
    }
    let after = secrets(&machine);
    // An ID token of the same second is the same text; a refresh token is good once.
    assert_ne!(before, after);
    assert_eq!(mode(&machine.tokens()), 0o600);

    place.provider.forget().await.unwrap();
    let refused = machine.call(&["auth", "whoami"]).await.unwrap();
    assert_ne!(refused.code, 0);
    assert!(
        refused.err.contains("has ended") && refused.err.contains("berth login"),
        "{}",
        refused.err
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_starts_without_its_provider_follows_its_keys_and_goes_on_while_it_is_away() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = tempfile::tempdir().unwrap();
    let provider = OidcProvider::new(directory.path(), LONG_LIVED).unwrap();
    let mut place = Place::with(directory, provider).await;
    let machine = place.machine("laptop");
    let server = place.hub.api_url();
    let login = ["login", "--server", &server, "--ca-pin", &place.pin, "--no-open"];
    let away = machine.call(&login).await.unwrap();
    assert_eq!(away.code, 6, "{}", away.err);
    assert!(away.err.contains(&place.provider.issuer()), "{}", away.err);

    // The hub asks again for keys that it does not know, though not at once.
    place.provider.start().await.unwrap();
    let sign_in = async |place: &Place| {
        until(LONG, "signed in", || async {
            let signed_in = place.sign_in(&machine, &["--no-open"], ALICE).await;
            ensure!(signed_in.code == 0, signed_in.err);
            Ok(Some(()))
        })
        .await
        .unwrap();
    };
    sign_in(&place).await;
    let first = secrets(&machine);

    place.provider.stop().await.unwrap();
    assert!(whoami(&machine).await.unwrap().contains("user:alice@example.com"));

    place.provider.start().await.unwrap();
    sign_in(&place).await;
    place.provider.rotate().await.unwrap();
    sign_in(&place).await;
    // A token of a key that the provider has withdrawn is worth nothing any more.
    let old = machine
        .call_with(&["auth", "whoami"], &[("BERTH_TOKEN", &first[0])])
        .await
        .unwrap();
    assert_ne!(old.code, 0);
    assert!(old.err.contains("key is not one of its provider"), "{}", old.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_calls_with_an_api_key_until_it_is_taken_back() {
    let place = Place::new(LONG_LIVED).await;
    let admin = place.admin();
    let create = [
        "apikey",
        "create",
        "ci",
        "--ttl",
        "30d",
        "--description",
        "builds",
        "-o",
        "token",
    ];
    let key = admin.call(&create).await.unwrap().success(&create).unwrap();
    let machine = place.machine("runner");
    let file = place.directory.path().join("key");
    std::fs::write(&file, &key).unwrap();
    let (server, file) = (place.hub.api_url(), file.display().to_string());
    let login = [
        "login",
        "--server",
        &server,
        "--ca-pin",
        &place.pin,
        "--token-file",
        &file,
    ];
    let signed_in = machine.call(&login).await.unwrap();
    assert_eq!(signed_in.code, 0, "{}", signed_in.err);
    let said = whoami(&machine).await.unwrap();
    assert!(said.contains("apikey:ci"), "{said}");
    let context = std::fs::read_to_string(&machine.context).unwrap();
    assert!(!context.contains(key.trim()));

    // In the environment it takes the place of what the context has, the admin's certificate too.
    let whoami = ["auth", "whoami"];
    let by_variable = admin
        .call_with(&whoami, &[("BERTH_TOKEN", key.trim())])
        .await
        .unwrap();
    assert!(by_variable.out.contains("apikey:ci"), "{}", by_variable.said());

    let list = ["get", "apikeys", "-o", "json"];
    let listed = admin.call(&list).await.unwrap().success(&list).unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let one = &listed["items"][0];
    assert_eq!(one["status"]["creator"], "certificate:admin", "{listed}");
    assert!(one["status"]["lastUseTime"].is_string(), "{listed}");

    let delete = ["delete", "apikey", "ci"];
    admin.call(&delete).await.unwrap().success(&delete).unwrap();
    let refused = machine.call(&whoami).await.unwrap();
    assert_ne!(refused.code, 0);
    assert!(refused.err.contains("berth apikey create"), "{}", refused.err);
    let log = std::fs::read_to_string(place.hub.log()).unwrap();
    let secret = key.trim().rsplit('_').next().unwrap();
    assert!(!log.contains(secret) && !refused.err.contains(secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_credential_everybody_learns_how_to_sign_in_and_nothing_else() {
    let place = Place::new(LONG_LIVED).await;
    let channel = place.stranger();
    let options = LoginServiceClient::new(channel.clone())
        .get_login_options(v1::GetLoginOptionsRequest {})
        .await
        .context("how to sign in")
        .unwrap()
        .into_inner();
    assert_eq!(options.oidc[0].issuer, place.provider.issuer());
    let asked = TenantServiceClient::new(channel.clone())
        .list_tenants(v1::ListTenantsRequest::default())
        .await;
    assert_eq!(asked.unwrap_err().code(), Code::Unauthenticated);
    let nobody = AccessServiceClient::new(channel)
        .get_caller(v1::GetCallerRequest {})
        .await;
    assert_eq!(nobody.unwrap_err().code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_with_another_pin_is_not_spoken_to_and_a_certificate_is_not_overwritten() {
    let place = Place::new(LONG_LIVED).await;
    let machine = place.machine("laptop");
    let (server, other) = (place.hub.api_url(), format!("sha256:{}", "0f".repeat(32)));
    let refused = machine
        .call(&["login", "--server", &server, "--ca-pin", &other, "--no-open"])
        .await
        .unwrap();
    assert_ne!(refused.code, 0);
    assert!(
        refused.err.contains("is not the hub with the pin"),
        "{}",
        refused.err
    );
    let unsaid = machine.call(&["login", "--server", &server]).await.unwrap();
    assert_eq!(unsaid.code, 2, "{}", unsaid.err);
    assert!(unsaid.err.contains("--ca-pin"), "{}", unsaid.err);

    let kept = std::fs::read_to_string(place.hub.context()).unwrap();
    let refused = place.admin().call(&["login", "--no-open"]).await.unwrap();
    assert_eq!(refused.code, 5, "{}", refused.err);
    assert_eq!(std::fs::read_to_string(place.hub.context()).unwrap(), kept);
}
