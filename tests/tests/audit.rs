//! The audit log of a running hub: what is in it, what is found when somebody touches it, and that nothing is changed while it cannot be
//! written.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Context as _;
use berth_tests::{
    api::{Api, of_tier},
    cli::{Called, Cli},
    hub::Hub,
    programs::Programs,
    waiting::{LONG, until},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tonic::Code;

struct Place {
    directory: TempDir,
    hub: Hub,
    cli: Cli,
}

impl Place {
    async fn start(config: Value) -> anyhow::Result<Self> {
        let programs = Programs::find()?;
        let directory = tempfile::tempdir()?;
        let hub = Hub::start(&programs, &directory.path().join("hub"), &config).await?;
        let cli = Cli::new(&programs, &hub.context());
        Ok(Self { directory, hub, cli })
    }

    fn api(&self) -> anyhow::Result<Api> {
        self.hub.api()
    }

    fn log(&self) -> PathBuf {
        self.hub.data().join("audit")
    }

    async fn fine(&self, arguments: &[&str]) -> anyhow::Result<Called> {
        let called = self.cli.call(arguments).await?;
        anyhow::ensure!(called.code == 0, "{arguments:?}: {called:?}");
        Ok(called)
    }

    async fn events(&self, more: &[&str]) -> anyhow::Result<Vec<Value>> {
        let arguments = [&["get", "audit", "-o", "json", "--limit", "1000"], more].concat();
        let called = self.fine(&arguments).await?;
        let read: Value = serde_json::from_str(&called.out)?;
        Ok(read["items"].as_array().context("no items")?.clone())
    }

    async fn verify(&self) -> anyhow::Result<Called> {
        let log = self.log().display().to_string();
        let key = self.hub.data().join("audit-key/audit.pub").display().to_string();
        self.cli.call(&["audit", "verify", &log, "--key", &key]).await
    }
}

/// The lines of a log without a hub's own writing in between.
fn lines(log: &Path) -> anyhow::Result<String> {
    Ok(fs::read_to_string(log.join("audit-000001.jsonl"))?)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_changed_decided_and_refused_is_recorded_and_stays_verifiable() {
    let mut place = Place::start(json!({})).await.unwrap();
    let api = place.api().unwrap();
    api.create("acme", of_tier("free")).await.unwrap();
    api.create("acme", of_tier("free")).await.unwrap_err();
    api.token("eu-1").await.unwrap();

    let created = until(LONG, "the outcomes are recorded", || async {
        let found = place
            .events(&["--tenant", "acme", "--call", "CreateTenant"])
            .await?;
        Ok((found.len() == 4).then_some(found))
    })
    .await
    .unwrap();
    // The newest first: what came of it, before it what was asked.
    let outcomes: Vec<&str> = created
        .iter()
        .map(|event| event["outcome"].as_str().unwrap_or(""))
        .collect();
    assert_eq!(outcomes, ["ALREADY_EXISTS", "", "OK", ""]);
    assert_eq!(created[2]["request"], created[3]["request"]);
    for event in &created {
        assert_eq!(event["caller"], "certificate:admin", "{event}");
        assert!(
            event["source"].as_str().unwrap().starts_with("127.0.0.1:"),
            "{event}"
        );
        assert_eq!(event["target"]["name"], "acme");
    }
    assert!(place.events(&["--tenant", "other"]).await.unwrap().is_empty());
    let logins = place.events(&["--kind", "login"]).await.unwrap();
    assert!(!logins.is_empty());
    let hub = place.events(&["--kind", "hub"]).await.unwrap();
    assert!(hub.iter().any(|event| event["call"] == "Lead"), "{hub:?}");

    // A secret that passed is nowhere in it.
    let token = place
        .fine(&["token", "create", "eu-2", "-o", "token"])
        .await
        .unwrap();
    let text = lines(&place.log()).unwrap();
    let secret = token.out.trim();
    assert!(secret.len() > 20 && !text.contains(secret) && text.contains("eu-2"));

    let verified = place.verify().await.unwrap();
    assert_eq!(verified.code, 0, "{verified:?}");
    place.hub.process().stop().await.unwrap();
    let verified = place.verify().await.unwrap();
    assert!(
        verified.code == 0 && !verified.out.contains("not sealed"),
        "{verified:?}"
    );

    let touched = lines(&place.log()).unwrap().replacen("eu-2", "eu-3", 1);
    fs::write(place.log().join("audit-000001.jsonl"), &touched).unwrap();
    let line = touched.lines().position(|line| line.contains("eu-3")).unwrap() + 1;
    let found = place.verify().await.unwrap();
    assert_eq!(found.code, 78, "{found:?}");
    assert!(
        found
            .err
            .contains(&format!("audit-000001.jsonl:{line}: this line was changed")),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_was_killed_goes_on_with_the_same_chain() {
    let mut place = Place::start(json!({})).await.unwrap();
    for round in 0..3 {
        let api = place.api().unwrap();
        api.create(&format!("t{round}"), of_tier("free")).await.unwrap();
        place.hub.process().kill().await.unwrap();
        place.hub.start_again().await.unwrap();
    }
    let asked = place.events(&["--call", "CreateTenant"]).await.unwrap();
    let begun = asked
        .iter()
        .filter(|event| event["stage"] == "RequestReceived")
        .count();
    assert_eq!(begun, 3, "what was done was recorded before: {asked:?}");
    let verified = place.verify().await.unwrap();
    assert_eq!(verified.code, 0, "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_log_cannot_be_written_nothing_is_changed_and_it_recovers_by_itself() {
    let place = Place::start(json!({})).await.unwrap();
    let api = place.api().unwrap();
    api.create("before", of_tier("free")).await.unwrap();
    let aside = place.directory.path().join("aside");
    fs::rename(place.log(), &aside).unwrap();
    // No directory can be made where a file is.
    fs::write(place.log(), "").unwrap();
    let refused = api.create("during", of_tier("free")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable, "{refused}");
    assert!(
        refused.message().contains("audit log cannot be written"),
        "{refused}"
    );
    api.tenant("before").await.unwrap();
    assert!(api.tenant("during").await.is_err());
    let metrics = place.hub.metrics().await.unwrap();
    assert!(metrics.contains("berth_hub_audit_trouble 1"), "{metrics}");

    fs::remove_file(place.log()).unwrap();
    fs::rename(&aside, place.log()).unwrap();
    until(LONG, "changes are taken again", || async {
        Ok(api.create("after", of_tier("free")).await.is_ok().then_some(()))
    })
    .await
    .unwrap();
    let recovered = place.events(&["--call", "Recovered"]).await.unwrap();
    assert_eq!(recovered.len(), 1, "{recovered:?}");
    let verified = place.verify().await.unwrap();
    assert_eq!(verified.code, 0, "{verified:?}");
}

/// What the other side of a webhook does with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Refuses,
    Hangs,
    Takes,
}

/// The other side of a webhook, as far as the hub's requests need one.
struct Listener {
    url: String,
    mood: watch::Sender<Mood>,
    asked: watch::Receiver<usize>,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Listener {
    async fn start() -> anyhow::Result<Self> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/berth", socket.local_addr()?);
        let (mood, moods) = watch::channel(Mood::Refuses);
        let (count, asked) = watch::channel(0);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let lines = taken.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = socket.accept().await {
                let (count, mood, lines) = (count.clone(), moods.clone(), lines.clone());
                tokio::spawn(async move {
                    let mut connection = BufReader::new(connection);
                    while let Ok(body) = request(&mut connection).await {
                        count.send_modify(|count| *count += 1);
                        let mood = *mood.borrow();
                        let answer = match mood {
                            Mood::Hangs => return std::future::pending().await,
                            Mood::Refuses => "503 Service Unavailable",
                            Mood::Takes => {
                                let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
                                lines.extend(body.lines().map(str::to_owned));
                                "200 OK"
                            }
                        };
                        let answer = format!("HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n");
                        if connection.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Ok(Self {
            url,
            mood,
            asked,
            taken,
        })
    }

    /// Until it was asked once more than now.
    async fn asked_again(&mut self) -> anyhow::Result<()> {
        let before = *self.asked.borrow_and_update();
        tokio::time::timeout(LONG, self.asked.wait_for(|asked| *asked > before)).await??;
        Ok(())
    }
}

/// The body of the next request on a connection.
async fn request(connection: &mut BufReader<TcpStream>) -> anyhow::Result<String> {
    let (mut length, mut line) = (0, String::new());
    loop {
        line.clear();
        anyhow::ensure!(connection.read_line(&mut line).await? > 0, "the end");
        let header = line.trim().to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse()?;
        }
        if header.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await?;
    Ok(String::from_utf8(body)?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_refuses_hangs_and_comes_back_gets_every_line_in_order_and_holds_up_nobody() {
    let mut listener = Listener::start().await.unwrap();
    let config = json!({"audit": {"webhook": {"url": listener.url}}});
    let mut place = Place::start(config).await.unwrap();
    let create = async |place: &Place, id: &str| place.api().unwrap().create(id, of_tier("free")).await;
    listener.asked_again().await.unwrap();
    create(&place, "while-it-refuses").await.unwrap();
    listener.mood.send_replace(Mood::Hangs);
    listener.asked_again().await.unwrap();
    create(&place, "while-it-hangs").await.unwrap();
    place.hub.process().kill().await.unwrap();
    listener.mood.send_replace(Mood::Takes);
    place.hub.start_again().await.unwrap();
    create(&place, "after-a-restart").await.unwrap();
    until(LONG, "the last change is told", || async {
        let taken = listener.taken.lock().unwrap();
        let told = |line: &String| line.contains("after-a-restart") && line.contains("ResponseComplete");
        Ok(taken.iter().any(told).then_some(()))
    })
    .await
    .unwrap();
    // What is there in the end may be a line or two further; it begins with what was told.
    let mut taken = listener.taken.lock().unwrap().clone();
    taken.dedup();
    let log = lines(&place.log()).unwrap();
    let written: Vec<&str> = log.lines().take(taken.len()).collect();
    assert_eq!(taken, written);
    for id in ["while-it-refuses", "while-it-hangs"] {
        assert!(taken.iter().any(|line| line.contains(id)), "{id}");
    }
}
