use berth_model::Isolation;
use proptest::prelude::*;

use super::*;
use crate::testing;

fn faults(text: &str) -> String {
    let faults = parse(text).expect_err("must have faults");
    faults
        .iter()
        .map(|fault| format!("{}/{fault}", fault.document))
        .collect::<Vec<_>>()
        .join("\n")
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(
        id in testing::label(),
        tenant in testing::tenant_spec(),
        tier in testing::tier_spec(),
        organisation in testing::organisation_spec(),
        binding in testing::role_binding_spec(),
        bundle in testing::bundle_spec(),
    ) {
        let documents = [
            Document::Tenant { id: id.parse().unwrap(), spec: tenant },
            Document::Tier { name: id.parse().unwrap(), spec: tier },
            Document::Organisation { name: id.parse().unwrap(), spec: organisation },
            Document::RoleBinding { name: id.parse().unwrap(), spec: binding },
            Document::Bundle { name: id.parse().unwrap(), version: "1.0".parse().unwrap(), spec: bundle },
        ];
        let text: Vec<String> = documents.iter().map(|document| to_yaml(document).unwrap()).collect();
        prop_assert_eq!(parse(&text.join("---\n")).map_err(|faults| format!("{faults:?}\n{}", text.join("---\n"))), Ok(documents.to_vec()));
        for document in documents {
            prop_assert_eq!(parse(&document.tree().to_json().unwrap()), Ok(vec![document]));
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_yaml_panics(value in testing::json(), key in testing::label(), at in 0_usize..2000) {
        let document = Tree::map().text("apiVersion", API_VERSION).text("kind", "Tenant")
            .with("metadata", Tree::from(&value)).with("spec", Tree::map().with(&key, Tree::from(&value)));
        let text = document.to_yaml().unwrap();
        let _ = parse(&text);
        let cut: String = text.chars().take(at).collect();
        let _ = parse(&cut);
    }
}

#[test]
fn a_tenant_file_reads_as_it_is_meant() {
    let documents = parse(
        r#"
apiVersion: berth.dev/v1
kind: Tenant
metadata: {name: acme-corp, etag: "12"}
spec:
  tier: enterprise
  size: large
  quota: {requests.cpu: 8, requests.memory: 32Gi, requests.storage: 1.5Ti}
  members:
    admins: [{kind: Group, name: acme-admins}]
    users: [{kind: ServiceAccount, name: ci, namespace: tools}]
  bundles:
    - name: web
      version: "1.0"
      parameters: {replicas: 3, image: nginx, debug: false}
status: {health: Healthy}
"#,
    )
    .unwrap();
    let [Document::Tenant { id, spec }] = documents.as_slice() else {
        panic!("{documents:?}")
    };
    assert_eq!((id.as_str(), spec.tier.as_str()), ("acme-corp", "enterprise"));
    assert_eq!(spec.quota["requests.cpu"].as_str(), "8");
    assert_eq!(spec.quota["requests.storage"], "1.5Ti".parse().unwrap());
    assert_eq!(spec.bundles[0].parameters["replicas"], 3);
    assert_eq!(spec.members.users.len(), 1);
}

#[test]
fn every_fault_is_reported_at_once_with_line_path_and_hint() {
    let text = r#"apiVersion: berth.dev/v1
kind: Tenant
metadata:
  name: Acme
spec:
  teir: standard
  size: 2
  quota:
    requests.cpu: many
    pods: true
  features: {audit: "on"}
  members:
    admins:
      - kind: group
        name: x
      - name: y
  bundles:
    - name: web
      version: 1.0
      params: {}
  labels: [a]
---
apiVersion: berth.dev/v2
kind: Tennant
spec: {}
---
apiVersion: berth.dev/v1
kind: Tier
metadata: {name: gold}
spec:
  isolation: nodepool
  price: cheap
  loadBalancers: -1
  cluster: {kubernetesVersion: "1.33"}
"#;
    insta::assert_snapshot!(faults(text));
}

#[test]
fn a_duplicate_key_is_a_fault_and_does_not_hide_the_others() {
    let text = "apiVersion: berth.dev/v1\nkind: Tenant\nmetadata: {name: acme}\nspec:\n  tier: free\n  tier: standard\n  colour: red\n";
    insta::assert_snapshot!(faults(text));
}

#[test]
fn broken_yaml_is_one_fault_with_its_line() {
    insta::assert_snapshot!(faults("apiVersion: berth.dev/v1\nkind: [Tenant\nmetadata: {\n"));
}

#[test]
fn yaml_reads_as_kubectl_reads_it() {
    let with = |value: &str| {
        let text = format!(
            "apiVersion: berth.dev/v1\nkind: Tenant\nmetadata: {{name: a}}\nspec: {{tier: free, bundles: [{{name: b, version: v, parameters: {{x: {value}}}}}]}}\n"
        );
        match parse(&text).unwrap().remove(0) {
            Document::Tenant { spec, .. } => spec.bundles[0].parameters["x"].clone(),
            other => panic!("{other:?}"),
        }
    };
    for (text, value) in [
        ("0644", serde_json::json!(420)),
        ("\"0644\"", serde_json::json!("0644")),
        ("1.0", serde_json::json!(1)),
        ("1e3", serde_json::json!(1000)),
        ("true", serde_json::json!(true)),
        ("~", serde_json::json!(null)),
        ("2026-11-21", serde_json::json!("2026-11-21")),
    ] {
        assert_eq!(with(text), value, "{text}");
    }
}

#[test]
fn a_number_that_would_change_on_the_way_is_a_fault() {
    let text = "apiVersion: berth.dev/v1\nkind: Tenant\nmetadata: {name: a}\nspec: {tier: free, bundles: [{name: b, version: v, parameters: {x: 9007199254740993}}]}\n";
    assert!(faults(text).contains("spec.bundles[0].parameters.x: is too large a number"));
}

#[test]
fn prices_are_dollars_with_at_most_two_digits_after_the_point() {
    let price = |text: &str| {
        let text = format!(
            "apiVersion: berth.dev/v1\nkind: Tier\nmetadata: {{name: a}}\nspec: {{isolation: namespace, price: {text}}}\n"
        );
        parse(&text).ok().map(|mut documents| match documents.remove(0) {
            Document::Tier { spec, .. } => {
                assert_eq!(spec.isolation, Isolation::Namespace);
                spec.price.0
            }
            other => panic!("{other:?}"),
        })
    };
    for (text, cents) in [
        ("500", Some(50_000)),
        ("\"500.00\"", Some(50_000)),
        ("29.5", Some(2_950)),
        ("\"0.01\"", Some(1)),
        ("-1", None),
        ("\"1.234\"", None),
        ("\"1.\"", None),
        ("free", None),
        ("\"99999999999999999999\"", None),
    ] {
        assert_eq!(price(text), cents, "{text}");
    }
}

#[test]
fn empty_documents_are_left_out_and_lists_are_read() {
    assert_eq!(parse("---\n---\n# nothing\n"), Ok(Vec::new()));
    let item = Document::Tenant {
        id: "acme".parse().unwrap(),
        spec: testing::plain_spec(),
    };
    let list = Tree::map()
        .text("apiVersion", API_VERSION)
        .text("kind", "List")
        .with("items", Tree::List(vec![item.tree(), item.tree()]));
    assert_eq!(parse(&list.to_json().unwrap()), Ok(vec![item.clone(), item]));
    let broken = "{apiVersion: berth.dev/v1, kind: List, items: [{apiVersion: berth.dev/v1, kind: Tier, metadata: {name: x}, spec: {}}]}";
    assert!(faults(broken).contains("items[0].spec.isolation: is required"));
}

#[test]
fn bombs_and_endless_texts_are_refused() {
    let deep = "[".repeat(10_000);
    assert!(parse(&deep).is_err());
    let bomb = "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: [*d,*d,*d,*d,*d,*d,*d,*d]\n";
    assert!(parse(bomb).is_err());
    assert!(parse(&" ".repeat(LONGEST_READ + 1)).is_err());
}

const LONGEST_READ: usize = 1 << 20;
