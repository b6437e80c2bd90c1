//! The command line while the lead goes from hub to hub: it follows, misses nothing, shows nothing twice, and keeps to its time limits.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::Context as _;
use berth_tests::cli::{Called, Cli};
use berth_tests::hub::Hub;
use berth_tests::hubs::Hubs;
use berth_tests::programs::Programs;
use berth_tests::waiting::{LONG, until, within};
use berth_wire::context::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};

/// A context file that knows all hubs.
fn context(hubs: &Hubs) -> anyhow::Result<PathBuf> {
    let text = std::fs::read_to_string(hubs.hubs[0].context())?;
    let known = Context::parse(&text)?;
    let all = Context {
        servers: hubs.hubs[1..].iter().map(Hub::api_url).collect(),
        ..known
    };
    let path = hubs.hubs[0].data().join("all.yaml");
    std::fs::write(&path, all.to_yaml()?)?;
    Ok(path)
}

/// A command that runs while the lead changes.
struct Running {
    child: Child,
    out: tokio::io::Lines<BufReader<Box<dyn AsyncRead + Unpin + Send>>>,
    seen: Vec<String>,
}

impl Running {
    fn start(hubs: &Hubs, arguments: &[&str]) -> anyhow::Result<Self> {
        let mut child = Command::new(hubs.programs.cli())
            .args(arguments)
            .env("BERTH_CONTEXT", context(hubs)?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let out: Box<dyn AsyncRead + Unpin + Send> = Box::new(child.stdout.take().context("no output")?);
        Ok(Self {
            child,
            out: BufReader::new(out).lines(),
            seen: Vec::new(),
        })
    }

    /// Reads on until there is a line that `wanted` takes.
    async fn shows(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> anyhow::Result<()> {
        within(LONG, what, async {
            while let Some(line) = self.out.next_line().await? {
                let found = wanted(&line);
                self.seen.push(line);
                if found {
                    return Ok(());
                }
            }
            anyhow::bail!("it ended")
        })
        .await
        .with_context(|| self.seen.join("\n"))
    }

    /// Its end, and what it said on both ways out.
    async fn ended(mut self) -> anyhow::Result<Called> {
        let output = within(LONG, "the command ends", async {
            while let Some(line) = self.out.next_line().await? {
                self.seen.push(line);
            }
            Ok(self.child.wait_with_output().await?)
        })
        .await
        .with_context(|| self.seen.join("\n"))?;
        Ok(Called {
            code: output.status.code().unwrap_or(-1),
            out: self.seen.join("\n"),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Ends it, and gives what it said on both ways out.
    async fn interrupted(mut self) -> anyhow::Result<(Vec<String>, String)> {
        self.child.start_kill()?;
        let seen = std::mem::take(&mut self.seen);
        Ok((seen, self.ended().await?.err))
    }
}

fn named(line: &str) -> Option<String> {
    let value: Value = serde_json::from_str(line).ok()?;
    Some(value["metadata"]["name"].as_str()?.to_owned())
}

fn tenant(id: &str, display_name: &str) -> String {
    format!(
        "apiVersion: berth.dev/v1\nkind: Tenant\nmetadata:\n  name: {id}\nspec:\n  tier: free\n  displayName: {display_name}\n---\n"
    )
}

/// Takes the lead from whoever has it.
async fn lose_the_lead(hubs: &mut Hubs, kill: bool) -> anyhow::Result<usize> {
    let leader = hubs.leader().await?;
    let process = hubs.hubs[leader].process();
    if kill {
        process.kill().await?;
    } else {
        process.stop().await?;
    }
    Ok(leader)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_watch_follows_the_lead_misses_nothing_and_shows_nothing_twice() {
    let mut hubs = Hubs::start(3, 1).await.unwrap();
    let cli = Cli::new(&hubs.programs, &context(&hubs).unwrap());
    cli.apply(&["one", "two", "three"].map(|id| tenant(id, "first")).concat())
        .await
        .unwrap();
    let mut watch = Running::start(&hubs, &["watch", "tenants", "-o", "json"]).unwrap();
    watch
        .shows("the snapshot", |line| named(line).as_deref() == Some("two"))
        .await
        .unwrap();
    for (round, kill) in [true, false, true].into_iter().enumerate() {
        let lost = lose_the_lead(&mut hubs, kill).await.unwrap();
        let (new, gone) = (format!("new-{round}"), ["one", "two", "three"][round]);
        cli.apply(&tenant(&new, "first")).await.unwrap();
        cli.apply(&tenant(&new, "second")).await.unwrap();
        cli.output(&["delete", "tenant", gone]).await.unwrap();
        let second = |line: &str| named(line).as_deref() == Some(&*new) && line.contains("\"second\"");
        let deleted = |line: &str| named(line).as_deref() == Some(gone) && line.contains("\"deleted\":true");
        watch
            .shows("the change at the next leader", second)
            .await
            .unwrap();
        watch
            .shows("the deletion at the next leader", deleted)
            .await
            .unwrap();
        hubs.hubs[lost].start_again().await.unwrap();
    }
    let (seen, said) = watch.interrupted().await.unwrap();
    let unique: BTreeSet<&String> = seen.iter().collect();
    assert_eq!(unique.len(), seen.len(), "shown twice: {seen:#?}");
    let changes = said
        .lines()
        .filter(|line| line.contains("leads no more; going on at https://"));
    assert_eq!(changes.count(), 3, "{said}");
    hubs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_watch_leaves_a_hub_that_does_not_move_any_more() {
    let mut hubs = Hubs::start(2, 1).await.unwrap();
    let cli = Cli::new(&hubs.programs, &context(&hubs).unwrap());
    cli.apply(&tenant("one", "first")).await.unwrap();
    let mut watch = Running::start(&hubs, &["watch", "tenants", "-o", "json"]).unwrap();
    watch
        .shows("the snapshot", |line| named(line).as_deref() == Some("one"))
        .await
        .unwrap();
    let old = hubs.leader().await.unwrap();
    hubs.hubs[old].process().pause().unwrap();
    hubs.leader_but(Some(old)).await.unwrap();
    cli.apply(&tenant("two", "first")).await.unwrap();
    // Nothing tells that the connection is dead but that nobody answers on it.
    watch
        .shows("the change at the next leader", |line| {
            named(line).as_deref() == Some("two")
        })
        .await
        .unwrap();
    hubs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_wait_follows_the_lead_and_keeps_to_its_time_limit() {
    let mut hubs = Hubs::start(3, 1).await.unwrap();
    let cli = Cli::new(&hubs.programs, &context(&hubs).unwrap());
    cli.apply(&["goes", "stays"].map(|id| tenant(id, "first")).concat())
        .await
        .unwrap();
    let waits = Running::start(
        &hubs,
        &["wait", "tenant/goes", "--for", "delete", "--timeout", "80s"],
    )
    .unwrap();
    let late = Running::start(&hubs, &["wait", "tenant/stays", "--timeout", "12s"]).unwrap();
    let leader = hubs.leader().await.unwrap();
    let leading = &hubs.hubs[leader];
    until(LONG, "both have a stream", || async {
        let metrics = leading.metrics().await?;
        Ok(metrics.contains("\nberth_hub_watches 2\n").then_some(()))
    })
    .await
    .unwrap();
    let lost = lose_the_lead(&mut hubs, true).await.unwrap();
    cli.output(&["delete", "tenant", "goes"]).await.unwrap();
    let waited = waits.ended().await.unwrap();
    assert_eq!(
        (waited.code, waited.out.as_str()),
        (0, "tenant/goes deleted"),
        "{waited:?}"
    );
    assert!(
        waited.err.contains("leads no more; going on at https://"),
        "{waited:?}"
    );
    let late = late.ended().await.unwrap();
    assert_eq!(late.code, 7, "{late:?}");
    assert!(late.err.contains("tenant/stays: not there after 12s"), "{late:?}");
    hubs.hubs[lost].start_again().await.unwrap();
    hubs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_goes_on_at_the_next_leader_and_nothing_of_it_fails() {
    let mut hubs = Hubs::start(3, 1).await.unwrap();
    let ids: Vec<String> = (0..150).map(|number| format!("many-{number}")).collect();
    let file = hubs.hubs[0].data().join("many.yaml");
    let documents: String = ids.iter().map(|id| tenant(id, "first")).collect();
    std::fs::write(&file, documents).unwrap();
    let file = file.display().to_string();
    let mut apply = Running::start(&hubs, &["apply", "-f", &file]).unwrap();
    apply
        .shows("some are applied", |line| line == "tenant/many-20 created")
        .await
        .unwrap();
    // It ends properly, so whatever it has taken is answered and whatever it refuses is not done.
    let lost = lose_the_lead(&mut hubs, false).await.unwrap();
    let applied = apply.ended().await.unwrap();
    assert_eq!(applied.code, 0, "{applied:?}");
    let expected: Vec<String> = ids.iter().map(|id| format!("tenant/{id} created")).collect();
    assert_eq!(applied.out, expected.join("\n"));
    hubs.hubs[lost].start_again().await.unwrap();
    hubs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_whose_answer_was_lost_is_not_repeated_and_said_to_be_unknown() {
    // What is asked of etcd while it stands still waits for longer than the lease lasts.
    let access = json!({"leaseSeconds": 2, "requestTimeoutSeconds": 60.0});
    let mut hubs = Hubs::start_with(2, 1, &access).await.unwrap();
    let ids: Vec<String> = (0..60).map(|number| format!("many-{number}")).collect();
    let file = hubs.hubs[0].data().join("many.yaml");
    let documents: String = ids.iter().map(|id| tenant(id, "first")).collect();
    std::fs::write(&file, documents).unwrap();
    let file = file.display().to_string();
    let cli = Cli::new(&hubs.programs, &context(&hubs).unwrap());
    cli.output(&["apply", "-f", &file]).await.unwrap();
    let mut delete = Running::start(&hubs, &["delete", "-f", &file]).unwrap();
    delete
        .shows("some are deleted", |line| line.starts_with("tenant/many-3 "))
        .await
        .unwrap();
    let leader = hubs.leader().await.unwrap();
    hubs.etcd.pause(0).await.unwrap();
    let hub = &hubs.hubs[leader];
    until(LONG, "the lease runs out, with a call in hand", || async {
        let metrics = hub.metrics().await?;
        Ok(metrics.contains("\nberth_hub_leading 0\n").then_some(()))
    })
    .await
    .unwrap();
    hubs.hubs[leader].process().kill().await.unwrap();
    hubs.etcd.resume(0).unwrap();
    let deleted = delete.ended().await.unwrap();
    assert_eq!(deleted.code, 6, "{deleted:?}");
    let unknown = |line: &&str| line.contains("whether it was done is not known");
    assert_eq!(deleted.err.lines().filter(unknown).count(), 1, "{deleted:?}");
    // All others were deleted, before or by the next leader.
    assert_eq!(deleted.out.lines().count(), ids.len() - 1, "{deleted:?}");
    hubs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_leaves_a_hub_that_does_not_move_any_more() {
    let mut hubs = Hubs::start(2, 1).await.unwrap();
    let ids: Vec<String> = (0..400).map(|number| format!("many-{number}")).collect();
    let file = hubs.hubs[0].data().join("many.yaml");
    let documents: String = ids.iter().map(|id| tenant(id, "first")).collect();
    std::fs::write(&file, documents).unwrap();
    let file = file.display().to_string();
    let mut apply = Running::start(&hubs, &["apply", "-f", &file, "--request-timeout", "25s"]).unwrap();
    apply
        .shows("some are applied", |line| line == "tenant/many-3 created")
        .await
        .unwrap();
    let old = hubs.leader().await.unwrap();
    hubs.hubs[old].process().pause().unwrap();
    hubs.leader_but(Some(old)).await.unwrap();
    let applied = apply.ended().await.unwrap();
    // One call was under way: it read, and was asked again, or it changed something, and nobody knows whether that was done.
    let created = applied
        .out
        .lines()
        .filter(|line| line.ends_with(" created"))
        .count();
    let unknown = |line: &&str| line.contains("whether it was done is not known");
    match applied.code {
        0 => assert_eq!(created, ids.len(), "{applied:?}"),
        6 => {
            assert_eq!(applied.err.lines().filter(unknown).count(), 1, "{applied:?}");
            assert_eq!(created, ids.len() - 1, "{applied:?}");
        }
        _ => panic!("{applied:?}"),
    }
    hubs.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_hub_that_does_not_move_is_said_to_take_connections_without_answering() {
    let directory = tempfile::tempdir().unwrap();
    let programs = Programs::find().unwrap();
    let mut hub = Hub::start(&programs, directory.path(), &json!({})).await.unwrap();
    let cli = Cli::new(&programs, &hub.context());
    hub.process().pause().unwrap();
    let got = cli.call(&["get", "tenants"]).await.unwrap();
    assert_eq!(got.code, 6, "{got:?}");
    assert!(
        got.err.contains("takes connections and does not answer"),
        "{got:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_for_patience_waits_as_told_and_goes_on_within_the_time_limit() {
    let directory = tempfile::tempdir().unwrap();
    let limits = json!({"limits": {"callsPerSecond": 4, "callsBurst": 4}});
    let programs = Programs::find().unwrap();
    let mut hub = Hub::start(&programs, directory.path(), &limits).await.unwrap();
    let cli = Cli::new(&programs, &hub.context());
    let ids: Vec<String> = (0..6).map(|number| format!("many-{number}")).collect();
    let documents: String = ids.iter().map(|id| tenant(id, "first")).collect();
    let applied = cli.apply(&documents).await.unwrap();
    assert_eq!(applied.lines().count(), ids.len(), "{applied}");
    assert!(
        hub.metrics().await.unwrap().lines().any(|line| {
            line.starts_with("berth_hub_limited_total")
                && line.contains("calls_per_caller")
                && !line.ends_with(" 0")
        }),
        "nothing was refused"
    );
    hub.process().stop().await.unwrap();
}
