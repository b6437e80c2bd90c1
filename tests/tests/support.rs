//! What is handed to somebody who is to help: all that helps, and nothing secret.

use std::{fs, os::unix::fs::PermissionsExt as _};

use berth_tests::{api::of_tier, cli::Cli, hub::Hub, programs::Programs};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_support_bundle_has_what_the_caller_may_see_and_nothing_secret() {
    let programs = Programs::find().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut hub = Hub::start(&programs, &directory.path().join("hub"), &json!({}))
        .await
        .unwrap();
    let cli = Cli::new(&programs, &hub.context());
    hub.api().unwrap().create("acme", of_tier("free")).await.unwrap();
    let mut secrets = Vec::new();
    for arguments in [
        &["token", "create", "eu-1", "-o", "token"] as &[&str],
        &["apikey", "create", "ci", "-o", "token"],
    ] {
        let secret = cli.output(arguments).await.unwrap().trim().to_owned();
        assert!(secret.len() > 40, "{arguments:?}");
        secrets.extend(
            secret
                .split(['.', '_'])
                .filter(|part| part.len() > 20)
                .map(str::to_owned),
        );
    }
    let context = fs::read_to_string(hub.context()).unwrap();
    secrets.extend(
        context
            .lines()
            .map(str::trim)
            .filter(|line| line.len() == 64)
            .map(str::to_owned),
    );
    assert!(secrets.len() > 10, "{}", secrets.len());

    let file = directory.path().join("support.tar");
    let path = file.display().to_string();
    cli.output(&["fleet", "support-bundle", "-f", &path])
        .await
        .unwrap();
    let bundle = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
    for part in [
        "about",
        "fleet",
        "clusters",
        "tenants",
        "role-bindings",
        "api-keys",
        "audit",
    ] {
        assert!(bundle.contains(&format!("{part}.json")), "{part}");
    }
    assert!(
        bundle.contains("\"acme\"") && bundle.contains("CreateTenant") && !bundle.contains("\"missing\"")
    );
    for secret in &secrets {
        assert!(!bundle.contains(secret.as_str()), "something secret is in it");
    }
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let again = cli.call(&["fleet", "support-bundle", "-f", &path]).await.unwrap();
    assert_ne!(again.code, 0, "nothing is overwritten: {again:?}");
    hub.process().stop().await.unwrap();
}
