//! What `berth dev` shows at the end.

use std::{collections::BTreeMap, path::Path};

use berth_model::visible;
use berth_proto::v1;
use serde::Serialize;

use super::options::DevFormat;

/// A tenant for machines.
#[derive(Serialize)]
struct Row {
    name: String,
    tier: String,
    isolation: String,
    cluster: String,
    namespaces: Vec<String>,
    ready: bool,
    health: String,
    conditions: BTreeMap<String, String>,
}

/// Prints the tenants.
pub(super) fn tenants(format: DevFormat, tenants: &[v1::Tenant]) {
    match format {
        DevFormat::Json => {
            let rows: Vec<Row> = tenants.iter().map(row).collect();
            let text = serde_json::to_string_pretty(&rows).unwrap_or_default();
            println!("{}", visible::lines(&text));
        }
        DevFormat::Table => {
            let mut table = comfy_table::Table::new();
            table.load_style(comfy_table::presets::NOTHING).set_header([
                "TENANT",
                "TIER",
                "ISOLATION",
                "CLUSTER",
                "NAMESPACES",
                "READY",
                "HEALTH",
                "AGE",
            ]);
            let now = berth_runtime::Clock::now(&berth_runtime::SystemClock::new());
            for tenant in tenants {
                let Row {
                    name,
                    tier,
                    isolation,
                    cluster,
                    namespaces,
                    ready,
                    health,
                    ..
                } = row(tenant);
                let age = crate::output::age::since(tenant.create_time.as_ref(), now);
                let ready = if ready { "True" } else { "False" }.to_owned();
                table.add_row([
                    name,
                    tier,
                    isolation,
                    cluster,
                    namespaces.join(","),
                    ready,
                    health,
                    age,
                ]);
            }
            // It has no colours, so nothing in it is for a terminal to obey.
            println!("\n{}", visible::lines(&table.to_string()));
        }
    }
}

fn row(tenant: &v1::Tenant) -> Row {
    let status = tenant.status.clone().unwrap_or_default();
    let placement = status.placement.clone().unwrap_or_default();
    let conditions: BTreeMap<String, String> = status
        .conditions
        .iter()
        .map(|condition| (condition.r#type.clone(), condition.status.clone()))
        .collect();
    Row {
        name: tenant.name.trim_start_matches("tenants/").to_owned(),
        tier: tenant
            .spec
            .as_ref()
            .map(|spec| spec.tier.clone())
            .unwrap_or_default(),
        isolation: placement.isolation,
        cluster: placement.cluster,
        namespaces: status.namespaces,
        ready: conditions.get("Ready").is_some_and(|status| status == "True"),
        health: status.health,
        conditions,
    }
}

/// Prints what to try next.
pub(super) fn next_commands(context: &Path, kubeconfig: &str) {
    println!("\nTry next, in another terminal:");
    println!("  export BERTH_CONTEXT={}", context.display());
    for command in [
        "berth get tenants -o wide",
        "berth describe tenant acme-corp",
        "berth explain tenant abc-123",
        "berth get clusters",
        "berth apply -f deploy/examples/",
        "berth delete tenant dev-sandbox --wait",
    ] {
        println!("  {command}");
    }
    println!("  kubectl --kubeconfig {kubeconfig} get ns");
}
