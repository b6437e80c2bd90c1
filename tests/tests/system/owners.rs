//! Organisations with teams, through the command line: what is refused with which words, moves between teams, and what lists show.

use anyhow::ensure;
use berth_tests::cli::Cli;
use berth_tests::world::World;

/// 4 cores; team red has 2 of them, team blue takes what is left.
const DYES: &str = "apiVersion: berth.dev/v1
kind: Organisation
metadata:
  name: dyes
spec:
  displayName: Dyes and Sons
  quota: {requests.cpu: \"4\"}
  teams:
    - name: red
      quota: {requests.cpu: \"2\"}
      projects:
        - name: scarlet
    - name: blue
";

/// A tier whose tenants may ask for more than the organisation has.
const TIER: &str = "apiVersion: berth.dev/v1
kind: Tier
metadata:
  name: dyed
spec:
  isolation: namespace
  defaultSize: micro
  quotaMax: {requests.cpu: \"100\", limits.cpu: \"100\"}
";

fn tenant(name: &str, team: &str, cpu: &str) -> String {
    format!(
        "apiVersion: berth.dev/v1\nkind: Tenant\nmetadata: {{name: {name}}}\nspec:\n  tier: dyed\n  \
         owner: {{organisation: dyes, team: {team}}}\n  quota: {{requests.cpu: {cpu:?}, limits.cpu: \"8\"}}\n"
    )
}

/// The exit code and what was said to people.
async fn applied(cli: &Cli, files: &str) -> anyhow::Result<(i32, String)> {
    let called = cli.call_with(&["apply", "-f", "-"], files).await?;
    Ok((called.code, called.said()))
}

pub(crate) async fn a_team_takes_no_more_than_it_may_hold_and_says_who_holds_it(
    world: &World,
) -> anyhow::Result<()> {
    let (api, cli) = (world.api()?, world.cli());
    cli.apply(TIER).await?;
    cli.apply(DYES).await?;
    cli.apply(&tenant("dye-a", "red", "1500m")).await?;
    cli.apply(&tenant("dye-b", "blue", "1")).await?;

    let (code, said) = applied(&cli, &tenant("dye-c", "red", "1")).await?;
    ensure!(
        code == 3
            && said.contains(
                "spec.owner.team: team red: requests.cpu 2 is 500m over: 2500m of 2 used by tenants dye-a (1500m), dye-c (1)"
            ),
        "{code} {said}"
    );
    let (code, said) = applied(&cli, &tenant("dye-c", "rde", "1")).await?;
    ensure!(
        code == 3
            && said.contains("organisation dyes has no team \"rde\"")
            && said.contains("did you mean \"red\"?"),
        "{code} {said}"
    );

    // The move is checked where it goes; where it was is free afterwards.
    let (code, said) = applied(&cli, &tenant("dye-b", "red", "1")).await?;
    ensure!(
        code == 3 && said.contains("team red: requests.cpu 2 is 500m over"),
        "{said}"
    );
    cli.apply(&tenant("dye-a", "blue", "1")).await?;
    cli.apply(&tenant("dye-b", "red", "2")).await?;
    api.ready("dye-a").await?;
    api.ready("dye-b").await?;

    let table = cli.output(&["get", "organisations"]).await?;
    ensure!(
        table.contains("REQUESTS.CPU")
            && table
                .lines()
                .any(|line| line.starts_with("dyes") && line.contains("3/4")),
        "{table}"
    );
    let described = cli.output(&["describe", "org", "dyes"]).await?;
    ensure!(described.contains("2/2"), "{described}");
    let yaml = cli.output(&["get", "org", "dyes", "-o", "yaml"]).await?;
    let again = cli.call_with(&["diff", "-f", "-"], &yaml).await?;
    ensure!(
        again.code == 0,
        "what is printed is not what is there: {}",
        again.said()
    );

    let lower = DYES.replace("quota: {requests.cpu: \"4\"}", "quota: {requests.cpu: 2500m}");
    let (code, said) = applied(&cli, &lower).await?;
    ensure!(
        code == 3 && said.contains("organisation dyes: requests.cpu 2500m is 500m over: 3 of 2500m used by teams red (2), blue (1)"),
        "{code} {said}"
    );
    let called = cli.call(&["delete", "organisation", "dyes"]).await?;
    ensure!(
        called.code != 0 && called.said().contains("2 tenant(s), such as \"dye-a\""),
        "{}",
        called.said()
    );
    let explained = cli
        .call_with(&["explain", "-f", "-"], &tenant("dye-c", "blue", "1001m"))
        .await?;
    ensure!(
        explained.said().contains("OwnerQuotaExceeded"),
        "{}",
        explained.said()
    );

    api.remove("dye-a").await?;
    api.remove("dye-b").await?;
    cli.output(&["delete", "organisation", "dyes"]).await?;
    let unbound = cli
        .call_with(&["apply", "--dry-run", "-f", "-"], &tenant("dye-c", "red", "100"))
        .await?;
    ensure!(
        unbound.code == 0 && unbound.said().contains("there is no organisation \"dyes\""),
        "{}",
        unbound.said()
    );
    cli.output(&["delete", "tier", "dyed"]).await?;
    Ok(())
}
