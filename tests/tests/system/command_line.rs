//! The command line: what it prints for people and for machines, and its exit codes.

use anyhow::{Context as _, ensure};
use berth_tests::cli::Cli;
use berth_tests::world::World;
use serde_json::Value;

use crate::{CLUSTER, files};

pub(crate) async fn tenants_are_printed_as_table_json_yaml_and_names(world: &World) -> anyhow::Result<()> {
    let (api, cli) = (world.api()?, world.cli());
    cli.apply(&files::tenant("printed", "standard")).await?;
    api.ready("printed").await?;

    let table = cli.output(&["get", "tenants"]).await?;
    let head = table.lines().next().context("an empty table")?;
    for column in ["NAME", "TIER", "ISOLATION", "CLUSTER", "READY", "HEALTH", "AGE"] {
        ensure!(head.contains(column), "no {column} in {head:?}");
    }
    let line = table
        .lines()
        .find(|line| line.starts_with("printed"))
        .with_context(|| format!("not in\n{table}"))?;
    for cell in ["standard", "namespace", CLUSTER, "True"] {
        ensure!(line.contains(cell), "no {cell} in {line:?}");
    }
    let bare = cli.output(&["get", "tenant", "printed", "--no-headers"]).await?;
    ensure!(bare.lines().count() == 1 && bare.starts_with("printed"), "{bare}");

    let json: Value = serde_json::from_str(&cli.output(&["get", "tenants", "-o", "json"]).await?)?;
    ensure!(
        json["apiVersion"] == "berth.dev/v1" && json["kind"] == "List",
        "{json}"
    );
    let items = json["items"].as_array().context("no items")?;
    let found = items
        .iter()
        .any(|item| item["kind"] == "Tenant" && item["metadata"]["name"] == "printed");
    ensure!(found, "not among {items:?}");

    // What is printed can be applied.
    let yaml = cli.output(&["get", "tenant", "printed", "-o", "yaml"]).await?;
    ensure!(yaml.contains("kind: Tenant"), "{yaml}");
    let names = cli.output(&["get", "tenants", "-o", "name"]).await?;
    ensure!(names.lines().any(|line| line.ends_with("/printed")), "{names}");
    let described = cli.output(&["describe", "tenant", "printed"]).await?;
    for word in ["printed", "Ready", "t-printed", CLUSTER] {
        ensure!(described.contains(word), "no {word} in\n{described}");
    }
    lists_of_others(&cli).await?;
    api.remove("printed").await
}

async fn lists_of_others(cli: &Cli) -> anyhow::Result<()> {
    let tiers = cli.output(&["get", "tiers", "-o", "name"]).await?;
    for tier in ["free", "standard", "premium", "enterprise"] {
        ensure!(
            tiers.lines().any(|line| line.ends_with(&format!("/{tier}"))),
            "{tiers}"
        );
    }
    let clusters = cli.output(&["get", "clusters"]).await?;
    ensure!(clusters.contains(CLUSTER), "{clusters}");
    for what in ["organisations", "bundles", "operations", "tokens"] {
        cli.output(&["get", what]).await?;
    }
    Ok(())
}

pub(crate) async fn exit_codes_tell_scripts_what_went_wrong(world: &World) -> anyhow::Result<()> {
    let (api, cli) = (world.api()?, world.cli());
    let code = async |arguments: &[&str], input: &str| -> anyhow::Result<i32> {
        Ok(cli.call_with(arguments, input).await?.code)
    };
    ensure!(code(&["no-such-command"], "").await? == 2);
    ensure!(code(&["apply", "-f", "-"], "apiVersion: berth.dev/v1\nkind: Tenent\n").await? == 3);
    ensure!(code(&["get", "tenant", "nobody-at-all"], "").await? == 4);
    api.create("coded", berth_tests::api::of_tier("free")).await?;
    let diff = ["diff", "-f", "-"];
    ensure!(code(&diff, &files::tenant("coded", "free")).await? == 0);
    let changed = format!("{}  size: small\n", files::tenant("coded", "free"));
    ensure!(code(&diff, &changed).await? == 1);
    let never = ["wait", "tenant/coded", "--for=condition=Stalled", "--timeout=1s"];
    ensure!(code(&never, "").await? == 7);

    let nowhere = world.directory("nowhere")?.join("context.yaml");
    let real = std::fs::read_to_string(world.hub.context())?;
    let mut context = berth_wire::context::Context::parse(&real)?;
    context.server = "https://127.0.0.1:1".to_owned();
    std::fs::write(&nowhere, context.to_yaml()?)?;
    let stranded = Cli::new(&world.programs, &nowhere);
    ensure!(
        stranded
            .call(&["get", "tenants", "--request-timeout=5s"])
            .await?
            .code
            == 6
    );
    api.remove("coded").await
}

pub(crate) async fn apply_diff_wait_and_delete_work_as_in_kubectl(world: &World) -> anyhow::Result<()> {
    let cli = world.cli();
    let file = world.directory("files")?.join("scripted.yaml");
    let path = file.display().to_string();
    std::fs::write(&file, files::tenant("scripted", "standard"))?;

    let said = cli.output(&["apply", "-f", &path, "--dry-run"]).await?;
    ensure!(said.contains("scripted"), "{said}");
    ensure!(
        cli.call(&["get", "tenant", "scripted"]).await?.code == 4,
        "a dry run has stored something"
    );
    let said = cli.output(&["apply", "-f", &path]).await?;
    ensure!(said.contains("scripted") && said.contains("created"), "{said}");
    cli.output(&[
        "wait",
        "tenant/scripted",
        "--for=condition=Ready",
        "--timeout=90s",
    ])
    .await?;
    let said = cli.output(&["apply", "-f", &path]).await?;
    ensure!(said.contains("unchanged"), "{said}");

    std::fs::write(
        &file,
        format!("{}  size: medium\n", files::tenant("scripted", "standard")),
    )?;
    let diff = cli.call(&["diff", "-f", &path]).await?;
    ensure!(diff.code == 1 && diff.out.contains("medium"), "{diff:?}");
    let said = cli.output(&["apply", "-f", &path]).await?;
    ensure!(said.contains("configured"), "{said}");
    cli.output(&[
        "wait",
        "tenant/scripted",
        "--for=condition=Ready",
        "--timeout=90s",
    ])
    .await?;

    cli.output(&["delete", "-f", &path]).await?;
    cli.output(&["wait", "tenant/scripted", "--for=delete", "--timeout=90s"])
        .await?;
    ensure!(cli.call(&["get", "tenant", "scripted"]).await?.code == 4);
    Ok(())
}
