//! The program as users run it, against a hub that only remembers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by panicking"
)]

mod access;
mod hostile;
mod hub;

use berth_proto::v1;
use hub::{Hub, condition, five_days_ago, tenant};

const ACME: &str =
    "apiVersion: berth.dev/v1\nkind: Tenant\nmetadata: {name: acme}\nspec: {tier: free, size: small}\n";

async fn two_tenants() -> Hub {
    let hub = Hub::start().await;
    hub.change(|state| {
        let mut acme = tenant("acme", "free", true);
        acme.spec.as_mut().unwrap().labels = [("team".to_owned(), "blue".to_owned())].into();
        state.tenants.insert("acme".into(), acme);
        state
            .tenants
            .insert("zeta".into(), tenant("zeta", "standard", false));
    });
    hub
}

fn cluster() -> v1::Cluster {
    let capacity = |cpu_millis, gib: u64, pods| v1::Capacity {
        cpu_millis,
        memory_bytes: gib << 30,
        pods,
    };
    v1::Cluster {
        name: "clusters/eu-1".into(),
        labels: [("zone".to_owned(), "a".to_owned())].into(),
        create_time: Some(five_days_ago()),
        status: Some(v1::ClusterStatus {
            conditions: vec![condition("Ready", "True", "AgentConnected", "")],
            facts: Some(v1::ClusterFacts {
                kubernetes_version: "v1.36.3".into(),
                nodes: 3,
                ready_nodes: 2,
                capacity: Some(capacity(8_000, 32, 330)),
                provider: "eks".into(),
                region: "eu-central-1".into(),
                network_policy: "enforced".into(),
                ..Default::default()
            }),
            tenants: 2,
            reserved: Some(capacity(1_500, 4, 40)),
            agent_version: "0.1.0".into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[tokio::test]
async fn lists_are_tables_for_people() {
    let hub = two_tenants().await;
    insta::assert_snapshot!(hub.berth("get tenants").await.well(), @r"
    NAME   TIER       ISOLATION   CLUSTER   READY   HEALTH        AGE
    acme   free       namespace   eu-1      True    Healthy       5d
    zeta   standard   namespace   eu-1      False   Progressing   5d
    ");
    insta::assert_snapshot!(hub.berth("get tn zeta -o wide --no-headers").await.well(), @"zeta   standard   namespace   eu-1      False   Progressing   5d    t-zeta       <default>   Progressing   <none>");
    hub.change(|state| {
        state.clusters.insert("eu-1".into(), cluster());
        let error = v1::OperationError {
            reason: "NoCloud".into(),
            message: "no cloud account".into(),
        };
        state.operations.insert(
            "operations/acme.reconcile.1".into(),
            v1::Operation {
                name: "operations/acme.reconcile.1".into(),
                target: "tenants/acme".into(),
                verb: "reconcile".into(),
                create_time: Some(five_days_ago()),
                done: true,
                error: Some(error),
                waiting_for: String::new(),
            },
        );
    });
    insta::assert_snapshot!(hub.berth("get clusters -o wide").await.well(), @r"
    NAME   STATUS   PROVIDER   REGION         VERSION   NODES   TENANTS   AGE   CPU       MEMORY     PODS     NETWORK-POLICY   DEDICATED-TO   AGENT   LABELS
    eu-1   Ready    eks        eu-central-1   v1.36.3   2/3     2         5d    1500m/8   4Gi/32Gi   40/330   enforced         <none>         0.1.0   zone=a
    ");
    insta::assert_snapshot!(hub.berth("get ops -o wide").await.well(), @r"
    NAME               TARGET        VERB        STATE    REASON    AGE   MESSAGE
    acme.reconcile.1   tenant/acme   reconcile   Failed   NoCloud   5d    no cloud account
    ");
}

#[tokio::test]
async fn lists_are_names_json_and_yaml_for_machines() {
    let hub = two_tenants().await;
    assert_eq!(
        hub.berth("get tenants -o name").await.well(),
        "tenant/acme\ntenant/zeta\n"
    );
    let list: serde_json::Value =
        serde_json::from_str(&hub.berth("get tenants -o json").await.well()).unwrap();
    assert_eq!(
        (&list["apiVersion"], &list["kind"]),
        (&"berth.dev/v1".into(), &"List".into())
    );
    assert_eq!(list["items"][1]["status"]["placement"]["cluster"], "eu-1");
    let one: serde_json::Value =
        serde_json::from_str(&hub.berth("get tenant/acme -o json").await.well()).unwrap();
    assert_eq!(
        (&one["kind"], &one["spec"]["tier"]),
        (&"Tenant".into(), &"free".into())
    );
    let yaml = hub.berth("get tenant acme -o yaml").await.well();
    assert!(
        yaml.starts_with("apiVersion: berth.dev/v1\nkind: Tenant\nmetadata:\n  name: acme\n"),
        "{yaml}"
    );
}

#[tokio::test]
async fn what_get_shows_can_be_applied_again_and_changes_nothing() {
    let hub = two_tenants().await;
    for format in ["yaml", "json"] {
        let shown = hub.berth(&format!("get tenants -o {format}")).await.well();
        let applied = hub.berth_with("apply -f -", &shown).await.well();
        assert_eq!(applied, "tenant/acme unchanged\ntenant/zeta unchanged\n");
    }
}

#[tokio::test]
async fn a_selector_chooses_by_label() {
    let hub = two_tenants().await;
    assert_eq!(
        hub.berth("get tenants -l team=blue -o name").await.well(),
        "tenant/acme\n"
    );
    hub.change(|state| {
        state.clusters.insert("eu-1".into(), cluster());
    });
    assert_eq!(
        hub.berth("get clusters -l zone=a -o name").await.well(),
        "cluster/eu-1\n"
    );
    assert_eq!(hub.berth("get clusters -l zone=b -o name").await.well(), "");
}

#[tokio::test]
async fn apply_creates_leaves_alone_and_configures() {
    let hub = Hub::start().await;
    let file = hub.file("acme.yaml", ACME);
    let dry = hub.berth(&format!("apply -f {file} --dry-run")).await.well();
    assert_eq!(dry, "tenant/acme created (dry run)\n");
    assert!(hub.state().tenants.is_empty());
    let created = hub.berth(&format!("apply -f {file}")).await;
    assert!(
        created.err.contains("warning: tenant/acme: web asks for more"),
        "{created:?}"
    );
    assert_eq!(created.well(), "tenant/acme created\n");
    assert_eq!(
        hub.berth(&format!("apply -f {file}")).await.well(),
        "tenant/acme unchanged\n"
    );
    let changed = ACME.replace("small", "large");
    assert_eq!(
        hub.berth_with("apply -f -", &changed).await.well(),
        "tenant/acme configured\n"
    );
    assert_eq!(hub.state().tenants["acme"].spec.as_ref().unwrap().size, "large");
}

#[tokio::test]
async fn the_examples_apply_in_an_order_that_works() {
    let hub = Hub::start().await;
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/examples");
    let applied = hub.berth(&format!("apply -f {examples}")).await.well();
    let kinds: Vec<&str> = applied
        .lines()
        .map(|line| line.split('/').next().unwrap())
        .collect();
    assert_eq!(
        kinds[..6],
        ["tier", "tier", "tier", "tier", "bundle", "organisation"]
    );
    assert!(
        kinds.len() > 10 && kinds[6..].iter().all(|kind| *kind == "tenant"),
        "{applied}"
    );
    let again = hub.berth(&format!("apply -f {examples}")).await.well();
    assert!(again.lines().all(|line| line.ends_with(" unchanged")), "{again}");
    insta::assert_snapshot!(hub.berth("get tiers,").await.failed(2), @r#"error: there is no kind "tiers,"; did you mean "tiers"? Known are tenants, tiers, organisations, bundles, clusters, operations, tokens, apikeys, evidence, rolebindings, roles"#);
    insta::assert_snapshot!(hub.berth("get tiers").await.well(), @r"
    NAME         ISOLATION   SIZE     PRICE       TENANTS
    enterprise   cluster     xlarge   5000.00     0
    free         namespace   micro    <by size>   0
    premium      node-pool   large    500.00      0
    standard     namespace   small    <by size>   0
    ");
    insta::assert_snapshot!(hub.berth("get orgs").await.well(), @r"
    NAME   TEAMS   TENANTS   REQUESTS.CPU   REQUESTS.MEMORY   GPU
    acme   2       0         ?/100          ?/200Gi           ?/8
    ");
    let bundle = hub.berth("get bundles -o yaml").await.well();
    assert!(bundle.contains("serviceAccountName: workload"), "{bundle}");
}

#[tokio::test]
async fn wrong_files_say_all_that_is_wrong_before_anything_is_asked() {
    let hub = Hub::start().await;
    let file = hub.file(
        "wrong.yaml",
        "apiVersion: berth.dev/v1\nkind: Tenant\nmetadata: {name: A}\nspec:\n  teir: free\n",
    );
    let error = hub
        .berth(&format!("apply -f {file}"))
        .await
        .failed(3)
        .replace(&file, "wrong.yaml");
    insta::assert_snapshot!(error, @r#"
    error: wrong.yaml: line 3: metadata.name: "A" has 'A'; use lower-case letters, digits and '-'
    error: wrong.yaml: line 5: spec.tier: is required
    error: wrong.yaml: line 5: spec.teir: is not a known field (did you mean "tier"?)
    "#);
    assert!(
        hub.berth("apply -f /nonexistent.yaml")
            .await
            .failed(1)
            .contains("read /nonexistent.yaml")
    );
}

#[tokio::test]
async fn each_kind_of_failure_has_its_exit_code() {
    let hub = two_tenants().await;
    assert_eq!(
        hub.berth("get tenant nobody").await.failed(4),
        "error: tenant/nobody: not found\n"
    );
    let some = hub.berth("get tenants acme nobody -o name").await;
    assert_eq!((some.code, some.out.as_str()), (4, "tenant/acme\n"));
    hub.change(|state| {
        state.tiers.insert(
            "free".into(),
            v1::Tier {
                name: "tiers/free".into(),
                ..Default::default()
            },
        );
    });
    assert!(
        hub.berth("delete tier free")
            .await
            .failed(5)
            .contains("1 tenant uses it")
    );
    assert!(
        hub.berth("get unicorns")
            .await
            .failed(2)
            .contains("known are tenants")
    );
    assert!(hub.berth("get").await.failed(2).contains("Usage"));
    assert!(
        hub.berth("wait tenant/zeta --timeout 1s")
            .await
            .failed(7)
            .contains("waiting on Deployment web")
    );
    let bundle =
        "apiVersion: berth.dev/v1\nkind: Bundle\nmetadata: {name: web, version: v1}\nspec: {manifests: []}\n";
    assert_eq!(
        hub.berth_with("apply -f -", bundle).await.well(),
        "bundle/web@v1 created\n"
    );
    let other = bundle.replace("[]", "[{kind: Service}]");
    assert!(
        hub.berth_with("apply -f -", &other)
            .await
            .failed(5)
            .contains("never changes")
    );
    let gone = Hub::start().await;
    let context = gone.file("gone.yaml", "");
    let unreachable = hub.berth(&format!("get tenants --context-file {context}")).await;
    assert_eq!(unreachable.code, 3, "{unreachable:?}");
}

#[tokio::test]
async fn a_hub_that_is_not_there_and_a_context_that_is_not_there_say_what_to_do() {
    let hub = Hub::start().await;
    let text = std::fs::read_to_string(hub.file("x", "").replace("/x", "/context.yaml")).unwrap();
    let server = text
        .lines()
        .find(|line| line.starts_with("server:"))
        .unwrap()
        .to_owned();
    let unused = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let away = hub.file(
        "away.yaml",
        &text.replace(&server, &format!("server: https://{unused}")),
    );
    let error = hub
        .berth(&format!("get tenants --context-file {away}"))
        .await
        .failed(6);
    assert!(
        error.contains("the hub cannot be reached") && error.contains("is it running"),
        "{error}"
    );
    let none = hub::berth_alone(&["get", "tenants"]).await;
    assert!(none.failed(1).contains("--context-file or BERTH_CONTEXT"));
}

#[tokio::test]
async fn wait_ends_when_the_condition_comes_or_the_tenant_goes() {
    let hub = two_tenants().await;
    assert_eq!(
        hub.berth("wait tenant/acme").await.well(),
        "tenant/acme condition met\n"
    );
    assert_eq!(
        hub.berth("wait tenant/nobody --for=delete").await.well(),
        "tenant/nobody deleted\n"
    );
    assert_eq!(
        hub.berth("wait tenant/nobody").await.failed(4),
        "error: tenant/nobody: not found\n"
    );
    let mut waiting = hub.follow("wait tenants acme zeta --for=condition=ready");
    assert_eq!(waiting.line().await, "tenant/acme condition met");
    hub.change(|state| {
        state
            .tenants
            .insert("zeta".into(), tenant("zeta", "standard", true));
    });
    assert_eq!(waiting.line().await, "tenant/zeta condition met");
    let mut deleting = hub.follow("delete tenant zeta --wait");
    assert_eq!(deleting.line().await, "tenant/zeta is being deleted");
    hub.change(|state| {
        state.tenants.remove("zeta");
    });
    assert_eq!(deleting.line().await, "tenant/zeta deleted");
    assert_eq!(
        hub.berth("delete tenant zeta --ignore-not-found").await.well(),
        ""
    );
}

#[tokio::test]
async fn watch_shows_what_there_is_and_then_what_changes() {
    let hub = two_tenants().await;
    let mut watch = hub.follow("watch tenants");
    assert!(watch.line().await.starts_with("NAME   TIER"));
    assert!(watch.line().await.starts_with("acme   free"));
    assert!(
        watch
            .line()
            .await
            .starts_with("zeta   standard   namespace   eu-1      False")
    );
    hub.change(|state| {
        state
            .tenants
            .insert("zeta".into(), tenant("zeta", "standard", true));
    });
    assert!(
        watch
            .line()
            .await
            .starts_with("zeta   standard   namespace   eu-1      True")
    );
    hub.change(|state| {
        state.tenants.remove("acme");
    });
    assert_eq!(watch.line().await, "tenant/acme deleted");
    let mut machines = hub.follow("get tenants -w -o json");
    let first: serde_json::Value = serde_json::from_str(&machines.line().await).unwrap();
    assert_eq!(first["metadata"]["name"], "zeta");
}

#[tokio::test]
async fn diff_tells_what_apply_would_change_by_its_exit_code_and_in_yaml() {
    let hub = Hub::start().await;
    hub.berth_with("apply -f -", ACME).await.well();
    assert_eq!(hub.berth_with("diff -f -", ACME).await.well(), "");
    let different = hub.berth_with("diff -f -", &ACME.replace("small", "large")).await;
    assert_eq!(different.code, 1);
    insta::assert_snapshot!(different.out, @r"
    --- tenant/acme (hub)
    +++ tenant/acme (file)
    @@ -4,5 +4,5 @@
       name: acme
     spec:
       tier: free
    -  size: small
    +  size: large
       environment: production
    ");
    let new = hub.berth_with("diff -f -", &ACME.replace("acme", "nova")).await;
    assert!(new.code == 1 && new.out.contains("+  name: nova"), "{new:?}");
}

#[tokio::test]
async fn explain_lists_each_candidate_with_what_spoke_against_it() {
    let hub = two_tenants().await;
    insta::assert_snapshot!(hub.berth("explain tenant acme").await.well(), @r"
    tenant/acme: tenants/acme fits on eu-1
      - tier free builds namespaces
      - waiting on Deployment web

    CLUSTER   FITS   CHOSEN   CONSTRAINT     DETAIL
    eu-1      yes    yes      <none>         82% free afterwards
    eu-2      no     no       NotEnoughCpu   needs 4, has 1500m of 8
    ");
    let machines = hub
        .berth_with("explain -f - -o json", &ACME.replace("acme", "nova"))
        .await
        .well();
    let machines: serde_json::Value = serde_json::from_str(&machines).unwrap();
    assert_eq!(machines["summary"], "tenants/nova fits on eu-1");
    assert_eq!(machines["candidates"][1]["constraint"], "NotEnoughCpu");
}

#[tokio::test]
async fn describe_shows_conditions_with_their_reasons() {
    let hub = two_tenants().await;
    insta::assert_snapshot!(hub.berth("describe tenant zeta").await.well(), @r"
    Name:        zeta
    UID:         uid-zeta
    Generation:  1
    Age:         5d
    Isolation:   namespace
    Cluster:     eu-1
    Namespaces:  t-zeta
    Health:      Progressing
    Conditions:
      TYPE       STATUS   REASON        SINCE   MESSAGE
      Accepted   True     Accepted      5d      <none>
      Ready      False    Progressing   5d      waiting on Deployment web
    Spec:
      tier: standard
      environment: production
    ");
    hub.change(|state| {
        state.clusters.insert("eu-1".into(), cluster());
    });
    let described = hub.berth("describe cluster eu-1").await.well();
    assert!(described.contains("1500m reserved of 8"), "{described}");
}

#[tokio::test]
async fn tokens_are_made_shown_once_and_taken_back() {
    let hub = Hub::start().await;
    assert_eq!(
        hub.berth("token create eu-1 -o token").await.well(),
        "abcdef.secret\n"
    );
    let people = hub
        .berth("token create eu-1 --ttl 2h --label zone=a")
        .await
        .well();
    assert!(
        people.contains("berth-agent --hub https://hub:7444 --token-file FILE --ca-pin sha256:00"),
        "{people}"
    );
    let machines: serde_json::Value =
        serde_json::from_str(&hub.berth("token create eu-1 -o json").await.well()).unwrap();
    assert_eq!(
        (&machines["token"], &machines["caPin"]),
        (&"abcdef.secret".into(), &"sha256:00".into())
    );
    let listed = hub.berth("get tokens -o yaml").await.well();
    assert!(
        listed.contains("cluster: eu-1") && !listed.contains("secret"),
        "{listed}"
    );
    assert_eq!(
        hub.berth("delete token abcdef").await.well(),
        "token/abcdef deleted\n"
    );
}

#[tokio::test]
async fn cordon_and_uncordon_are_seen_in_the_list() {
    let hub = Hub::start().await;
    hub.change(|state| {
        state.clusters.insert("eu-1".into(), cluster());
    });
    assert_eq!(hub.berth("cordon eu-1").await.well(), "cluster/eu-1 cordoned\n");
    assert!(hub.berth("get clusters").await.well().contains("Ready,Cordoned"));
    assert_eq!(
        hub.berth("uncordon cluster/eu-1").await.well(),
        "cluster/eu-1 uncordoned\n"
    );
    assert!(!hub.state().clusters["eu-1"].cordoned);
    assert_eq!(
        hub.berth("cordon nowhere").await.failed(4),
        "error: cluster/nowhere: not found\n"
    );
}

#[tokio::test]
async fn help_names_the_exit_codes_and_completion_knows_the_commands() {
    let help = hub::berth_alone(&["--help"]).await.well();
    assert!(
        help.contains("Exit codes:") && help.contains("7  a time limit is over"),
        "{help}"
    );
    let script = hub::berth_alone(&["completion", "bash"]).await.well();
    assert!(
        script.contains("uncordon"),
        "no commands in the completion script"
    );
}
