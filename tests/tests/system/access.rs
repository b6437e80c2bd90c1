//! A tenant's own people, with the kubeconfig that `berth kubeconfig` writes and the real kubectl.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use berth_identity::Authority;
use berth_model::FleetId;
use berth_proto::v1;
use berth_runtime::{Clock as _, SystemClock};
use berth_tests::api::of_tier;
use berth_tests::cli::Cli;
use berth_tests::kubectl::Kubectl;
use berth_tests::waiting::{self, LONG};
use berth_tests::world::World;
use berth_wire::context::Context;
use serde_json::Value;

use crate::CLUSTER;

/// Writes a kubeconfig by the command line and gives kubectl with it.
async fn kubectl(
    world: &World,
    tenant: &str,
    role: &str,
    more: &[&str],
) -> anyhow::Result<(Kubectl, PathBuf)> {
    let file = world
        .directory(&format!("access-{tenant}"))?
        .join(format!("{role}{}", more.len()));
    let kubectl = kubectl_by(world, &world.cli(), tenant, role, more, &file).await?;
    Ok((kubectl, file))
}

/// The same for whoever that command line speaks as.
async fn kubectl_by(
    world: &World,
    cli: &Cli,
    tenant: &str,
    role: &str,
    more: &[&str],
    file: &Path,
) -> anyhow::Result<Kubectl> {
    let path = file.display().to_string();
    let mut arguments = vec!["kubeconfig", "tenant", tenant, "--as", role, "--file", &path];
    arguments.extend(more);
    cli.output(&arguments).await?;
    Kubectl::new(&world.programs, file)
}

/// A context of the hub for `certificate:NAME`.
async fn context_of(world: &World, name: &str) -> anyhow::Result<PathBuf> {
    let admin = std::fs::read_to_string(world.hub.context())?;
    let admin = Context::parse(&admin)?;
    let hub = world.api()?.hubs().get_hub(v1::GetHubRequest {}).await?;
    let fleet = FleetId::new(hub.into_inner().hub.unwrap_or_default().fleet)?;
    let now = SystemClock::new().now();
    let authority = Authority::load_or_create(&world.hub.data().join("ca"), now)?;
    let credential = authority.issue_client(&fleet, name, now, Duration::from_secs(3600))?;
    let context = Context {
        certificate_pem: credential.certificate_pem,
        key_pem: credential.key_pem.to_string(),
        ..admin
    };
    let file = world.directory("contexts")?.join(format!("{name}.yaml"));
    std::fs::write(&file, context.to_yaml()?)?;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

pub(crate) async fn a_tenants_user_needs_no_administrator_and_gets_no_more_than_the_binding_gives(
    world: &World,
) -> anyhow::Result<()> {
    let (api, cli) = (world.api()?, world.cli());
    api.create("lent", of_tier("free")).await?;
    api.create("kept", of_tier("free")).await?;
    api.ready("lent").await?;
    let alice = Cli::new(&world.programs, &context_of(world, "alice").await?);
    let refused = alice.call(&["get", "tenants"]).await?;
    ensure!(
        refused.code == 8 && refused.err.contains("no role binding names this caller"),
        "{}",
        refused.said()
    );
    cli.apply(
        "apiVersion: berth.dev/v1\nkind: RoleBinding\nmetadata: {name: lent-users}\nspec:\n  role: tenant-user\n  \
         subjects: [\"certificate:alice\"]\n  scope: {tenants: [lent]}\n",
    )
    .await?;
    let bindings = cli.output(&["get", "rolebindings"]).await?;
    ensure!(
        bindings.contains("lent-users") && bindings.contains("tenants lent"),
        "{bindings}"
    );

    let who = alice.output(&["auth", "whoami"]).await?;
    ensure!(
        who.contains("certificate:alice") && who.contains("lent-users"),
        "{who}"
    );
    let seen = alice.output(&["get", "tenants", "-o", "name"]).await?;
    ensure!(seen == "tenant/lent\n", "{seen}");
    for (arguments, code) in [
        (&["auth", "can-i", "get", "tenant", "lent"] as &[&str], 0),
        (&["auth", "can-i", "update", "tenant", "lent"], 1),
        (&["get", "tenant", "kept"], 8),
        (&["get", "tenant", "nobody-at-all"], 8),
        (&["delete", "tenant", "lent"], 8),
        (&["kubeconfig", "tenant", "lent", "--as", "admin"], 8),
        (&["kubeconfig", "tenant", "kept", "--as", "viewer"], 8),
        (&["token", "create", "mine"], 8),
    ] {
        let called = alice.call(arguments).await?;
        ensure!(
            called.code == code,
            "{arguments:?}: {} {}",
            called.code,
            called.said()
        );
    }
    let others = [
        "auth",
        "can-i",
        "get",
        "tenant",
        "lent",
        "--as",
        "certificate:alice",
    ];
    ensure!(cli.output(&others).await? == "yes\n");

    let directory = world.directory("access-lent")?;
    for more in [&[] as &[&str], &["--exec"]] {
        let file = directory.join(format!("by-alice{}", more.len()));
        let user = kubectl_by(world, &alice, "lent", "user", more, &file).await?;
        let_in(&user).await?;
    }
    cli.output(&["delete", "rolebinding", "lent-users"]).await?;
    let refused = alice
        .call(&["kubeconfig", "tenant", "lent", "--as", "user"])
        .await?;
    ensure!(refused.code == 8, "{}", refused.said());
    api.remove("kept").await?;
    api.remove("lent").await
}

/// The token in a kubeconfig.
fn token_in(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)?;
    let found = text.lines().find_map(|line| line.trim().strip_prefix("token: "));
    Ok(found
        .context("no token in the kubeconfig")?
        .trim_matches('"')
        .to_owned())
}

/// kube-apiserver learns of a new binding a moment after it was written.
async fn let_in(kubectl: &Kubectl) -> anyhow::Result<()> {
    waiting::until(LONG, "the bindings are seen", || async {
        let called = kubectl.call(&["get", "configmaps"]).await?;
        ensure!(called.code == 0, "{}", called.said());
        Ok(Some(()))
    })
    .await
}

pub(crate) async fn a_tenants_admin_works_with_plain_kubectl_in_its_namespaces_and_nowhere_else(
    world: &World,
) -> anyhow::Result<()> {
    let api = world.api()?;
    let mut spec = of_tier("standard");
    spec.namespaces = vec!["dev".to_owned()];
    api.create("reach", spec).await?;
    api.create("beyond", of_tier("standard")).await?;
    api.ready("reach").await?;
    api.ready("beyond").await?;

    let (admin, file) = kubectl(world, "reach", "admin", &[]).await?;
    let mode = std::fs::metadata(&file)?.permissions().mode();
    ensure!(mode & 0o777 == 0o600, "the kubeconfig has mode {mode:o}");
    let_in(&admin).await?;
    let who: Value = serde_json::from_str(&admin.output(&["auth", "whoami", "-o", "json"]).await?)?;
    let name = &who["status"]["userInfo"]["username"];
    ensure!(name == "system:serviceaccount:t-reach:berth-admin", "{who}");

    admin
        .output(&["create", "configmap", "mine", "--from-literal=a=b"])
        .await?;
    admin
        .output(&["create", "deployment", "web", "--image=registry.example/web:1"])
        .await?;
    admin
        .output(&["create", "secret", "generic", "key", "--from-literal=a=b"])
        .await?;
    admin
        .output(&["get", "deployment", "web", "-n", "t-reach"])
        .await?;
    admin
        .output(&[
            "--context=admin@t-reach--dev",
            "create",
            "configmap",
            "mine",
            "--from-literal=a=b",
        ])
        .await?;
    admin.output(&["delete", "configmap", "mine"]).await?;

    for beyond in [
        &["get", "pods", "-n", "t-beyond"] as &[&str],
        &["create", "configmap", "x", "--from-literal=a=b", "-n", "t-beyond"],
        &[
            "create",
            "configmap",
            "x",
            "--from-literal=a=b",
            "-n",
            "kube-system",
        ],
        &["get", "secrets", "-n", "kube-system"],
        &["get", "pods", "-n", "berth-system"],
        &["get", "namespaces"],
        &["get", "nodes"],
        &["get", "pods", "--all-namespaces"],
        &["create", "namespace", "t-mine"],
        &["delete", "namespace", "t-reach"],
        &[
            "label",
            "namespace",
            "t-reach",
            "berth.dev/tenant=beyond",
            "--overwrite",
        ],
        &["delete", "resourcequota", "berth"],
        &["delete", "networkpolicy", "default-deny"],
        &["delete", "rolebinding", "berth-viewers"],
        &["create", "role", "r", "--verb=get", "--resource=pods"],
        &[
            "create",
            "rolebinding",
            "r",
            "--clusterrole=cluster-admin",
            "--user=mallory",
        ],
        &["create", "token", "berth-deployer"],
        &["create", "token", "berth-admin"],
        &["get", "pods", "--as=system:serviceaccount:t-reach:berth-deployer"],
    ] {
        admin.forbidden(beyond).await?;
    }
    only_looking(world).await?;
    api.remove("reach").await?;
    api.remove("beyond").await
}

/// What users and viewers of the same tenant may not.
async fn only_looking(world: &World) -> anyhow::Result<()> {
    let (user, _) = kubectl(world, "reach", "user", &[]).await?;
    let_in(&user).await?;
    user.output(&["create", "configmap", "theirs", "--from-literal=a=b"])
        .await?;
    user.output(&["scale", "deployment", "web", "--replicas=0"])
        .await?;
    user.forbidden(&["get", "secrets"]).await?;
    user.forbidden(&["create", "serviceaccount", "x"]).await?;

    let (viewer, _) = kubectl(world, "reach", "viewer", &[]).await?;
    let_in(&viewer).await?;
    for seen in [
        "pods",
        "deployments",
        "configmaps",
        "resourcequotas",
        "networkpolicies",
    ] {
        viewer.output(&["get", seen]).await?;
        viewer
            .output(&["--context=viewer@t-reach--dev", "get", seen])
            .await?;
    }
    for beyond in [
        &["get", "secrets"] as &[&str],
        &["get", "secret", "key"],
        &["create", "configmap", "x", "--from-literal=a=b"],
        &["delete", "deployment", "web"],
        &["scale", "deployment", "web", "--replicas=3"],
        &["create", "token", "berth-viewer"],
        &["get", "pods", "-n", "t-beyond"],
    ] {
        viewer.forbidden(beyond).await?;
    }
    for (verb, part) in [
        ("create", "exec"),
        ("create", "portforward"),
        ("get", "proxy"),
        ("create", "attach"),
    ] {
        let part = format!("--subresource={part}");
        let may = viewer.call(&["auth", "can-i", verb, "pods", &part]).await?;
        ensure!(
            may.out.trim() == "no",
            "a viewer may {verb} pods {part}: {}",
            may.said()
        );
    }
    Ok(())
}

pub(crate) async fn a_token_is_short_lived_is_nowhere_but_in_its_kubeconfig_and_ends_with_its_tenant(
    world: &World,
) -> anyhow::Result<()> {
    let (api, cli) = (world.api()?, world.cli());
    api.create("brief", of_tier("free")).await?;
    api.ready("brief").await?;
    let asked = waiting::now();
    let printed = cli
        .output(&[
            "kubeconfig",
            "credential",
            "tenant/brief",
            "--as",
            "user",
            "--lifetime",
            "10m",
        ])
        .await?;
    let credential: Value = serde_json::from_str(&printed)?;
    ensure!(credential["kind"] == "ExecCredential", "no ExecCredential");
    let expires = credential["status"]["expirationTimestamp"]
        .as_str()
        .context("it does not end")?;
    let expires: berth_model::Timestamp = expires.parse()?;
    let lives = expires.duration_since(asked).as_secs();
    ensure!((590..=660).contains(&lives), "it lives for {lives} s");

    let (kept, file) = kubectl(world, "brief", "user", &[]).await?;
    let (fetching, exec) = kubectl(world, "brief", "user", &["--exec", "--lifetime=10m"]).await?;
    let_in(&kept).await?;
    let_in(&fetching).await?;
    let written = std::fs::read_to_string(&exec)?;
    ensure!(!written.contains("eyJ"), "a kubeconfig with --exec holds a token");

    let secrets = [
        token_in(&file)?,
        credential["status"]["token"]
            .as_str()
            .context("no token")?
            .to_owned(),
    ];
    leaves_no_trace(world, &secrets)?;

    api.remove("brief").await?;
    ended(&kept).await?;
    // The next tenant of that name is another, and its accounts are.
    api.create("brief", of_tier("free")).await?;
    api.ready("brief").await?;
    ended(&kept).await?;
    let_in(&fetching).await?;
    api.remove("brief").await
}

/// kube-apiserver remembers for some seconds that a token was good.
async fn ended(kubectl: &Kubectl) -> anyhow::Result<()> {
    waiting::until(LONG, "the token is refused", || async {
        let called = kubectl.call(&["get", "configmaps"]).await?;
        ensure!(called.code != 0, "it still works");
        ensure!(called.err.contains("logged in"), "{}", called.said());
        Ok(Some(()))
    })
    .await
}

/// Looks for the tokens in everything that hub and agent have written: store and logs.
fn leaves_no_trace(world: &World, tokens: &[String]) -> anyhow::Result<()> {
    let root = world.directory(".")?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(&root)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with("hub") || name.starts_with("agent") {
            collect(&path, &mut files)?;
        }
    }
    ensure!(
        files.iter().any(|file| file.ends_with("hub.log")) && files.iter().any(|file| file.ends_with("db")),
        "neither log nor store among {files:?}"
    );
    let mut logged = false;
    for file in files {
        let bytes = std::fs::read(&file)?;
        logged |= has(&bytes, b"a credential was issued");
        for token in tokens {
            let signature = token.rsplit('.').next().unwrap_or_default();
            ensure!(signature.len() > 60, "no signed token");
            for part in [token.as_str(), signature] {
                ensure!(!has(&bytes, part.as_bytes()), "a token is in {}", file.display());
            }
        }
    }
    ensure!(logged, "that credentials were issued is logged nowhere");
    Ok(())
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}

fn has(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

pub(crate) async fn whoever_gets_no_kubeconfig_is_told_why_and_what_to_do(
    world: &World,
) -> anyhow::Result<()> {
    let (api, cli) = (world.api()?, world.cli());
    api.create("asked", of_tier("free")).await?;
    api.ready("asked").await?;
    let mut nowhere = of_tier("free");
    nowhere.placement = Some(berth_proto::v1::PlacementConstraints {
        regions: vec!["mars-1".to_owned()],
        ..berth_proto::v1::PlacementConstraints::default()
    });
    api.create("nowhere", nowhere).await?;
    for (arguments, code, says) in [
        (&["tenant", "nobody-at-all"] as &[&str], 4, "not found"),
        (&["tenant", "No_Name"], 3, "name"),
        (&["tenant", "asked", "--lifetime", "5m"], 3, "10 minutes"),
        (&["tenant", "asked", "--lifetime", "13h"], 3, "12 hours"),
        (&["tenant", "asked", "--as", "root"], 2, "possible values"),
        (&["tenant", "asked", "--namespace", "kube-system"], 4, "t-asked"),
        (&["tenant", "nowhere"], 5, "berth explain tenant nowhere"),
        (
            &["credential", "tenant", "nowhere"],
            5,
            "berth explain tenant nowhere",
        ),
    ] {
        let called = cli.call(&[&["kubeconfig"], arguments].concat()).await?;
        ensure!(
            called.code == code && called.err.contains(says) && called.out.is_empty(),
            "{arguments:?} ended with {}: {}",
            called.code,
            called.said()
        );
    }
    api.remove("nowhere").await?;
    api.remove("asked").await
}

pub(crate) async fn while_an_agent_is_away_nobody_gets_a_kubeconfig_and_those_given_out_go_on_working(
    world: &mut World,
) -> anyhow::Result<()> {
    let api = world.api()?;
    api.create("cut-off", of_tier("free")).await?;
    api.ready("cut-off").await?;
    let (kept, _) = kubectl(world, "cut-off", "viewer", &[]).await?;
    let_in(&kept).await?;
    world.member(CLUSTER)?.agent.process().kill().await?;
    let cli = world.cli();
    waiting::until(
        Duration::from_secs(60),
        "the hub sees that the agent is away",
        || async {
            let called = cli.call(&["kubeconfig", "tenant", "cut-off"]).await?;
            ensure!(
                called.code == 6 && called.err.contains("is away"),
                "ended with {}: {}",
                called.code,
                called.err
            );
            Ok(Some(()))
        },
    )
    .await?;
    kept.output(&["get", "configmaps"]).await?;
    world.member(CLUSTER)?.agent.start_again()?;
    api.connected(CLUSTER).await?;
    kubectl(world, "cut-off", "viewer", &["--lifetime=10m"]).await?;
    api.remove("cut-off").await
}
