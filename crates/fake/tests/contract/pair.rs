//! A real apiserver and an embedded one, asked the same.
//!
//! The real ones are started once for the whole suite, on a thread with a runtime of its own, and end with the process.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, mpsc};

use berth_fake::Access;
use berth_fake::control_plane::{self, Binaries, ControlPlane};
use berth_fake::embedded::{EmbeddedCluster, Options};
use kube::Client;
use serde_json::{Value, json};

use super::ask::{Answer, Ask};
use super::normal::{difference, normal};

/// Both sides.
pub(super) struct Pair {
    pub(super) real: Client,
    pub(super) embedded: Client,
    pub(super) cluster: EmbeddedCluster,
    seen: Mutex<HashMap<(bool, String), Value>>,
}

fn start(controllers: bool) -> Access {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let binaries = Binaries::find().expect("the control plane's binaries");
            let options = control_plane::Options {
                controller_manager: controllers,
                scheduler: controllers,
                kwok: controllers,
                ..control_plane::Options::default()
            };
            let plane = ControlPlane::start(&binaries, options)
                .await
                .expect("a control plane");
            tell.send(plane.access()).expect("someone waits");
            std::future::pending::<()>().await;
        });
    });
    told.recv().expect("a control plane")
}

async fn real(controllers: bool) -> Client {
    static PLAIN: OnceLock<Access> = OnceLock::new();
    static FULL: OnceLock<Access> = OnceLock::new();
    let access = tokio::task::spawn_blocking(move || {
        let cell = if controllers { &FULL } else { &PLAIN };
        cell.get_or_init(|| start(controllers)).clone()
    });
    control_plane::client(&access.await.expect("an access"))
        .await
        .expect("a client")
}

impl Pair {
    /// Two bare APIs: nothing but requests changes anything, so answers can be compared to the letter.
    pub(super) async fn bare() -> Self {
        Self::new(false).await
    }

    /// Two clusters with controllers, a scheduler and nodes that run pods.
    pub(super) async fn alive() -> Self {
        Self::new(true).await
    }

    async fn new(controllers: bool) -> Self {
        let cluster = if controllers {
            EmbeddedCluster::start(Options::default()).await
        } else {
            EmbeddedCluster::start_bare(Options::default()).await
        };
        let cluster = cluster.expect("an embedded cluster");
        let pair = Self {
            real: real(controllers).await,
            embedded: cluster.client(),
            cluster,
            seen: Mutex::default(),
        };
        if controllers {
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "embedded-0"}});
            Ask::post("/api/v1/nodes", node).send(&pair.real).await;
        }
        pair
    }

    /// Makes a namespace on both sides.
    pub(super) async fn namespace(&self, name: &str) -> String {
        let body = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        for client in [&self.real, &self.embedded] {
            let made = Ask::post("/api/v1/namespaces", body.clone()).send(client).await;
            assert_eq!(made.code, 201, "{}", made.body);
        }
        format!("/api/v1/namespaces/{name}")
    }

    /// Asks both sides; `$rv` and `$uid` in the body stand for what that side last said of the same path.
    pub(super) async fn ask(&self, ask: &Ask) -> (Answer, Answer) {
        let real = self.one(true, ask).await;
        let embedded = self.one(false, ask).await;
        (real, embedded)
    }

    async fn one(&self, real: bool, ask: &Ask) -> Answer {
        let mut ask = ask.clone();
        let key = (real, ask.bare_path().to_owned());
        if let Some(body) = &mut ask.body {
            let seen = self.seen.lock().unwrap().get(&key).cloned().unwrap_or_default();
            fill(body, &seen["metadata"]);
        }
        let answer = ask.send(if real { &self.real } else { &self.embedded }).await;
        if answer.body["metadata"]["uid"].is_string() {
            let name = answer.body["metadata"]["name"].as_str().unwrap_or_default();
            let path = if ask.method == "POST" {
                format!("{}/{name}", ask.bare_path())
            } else {
                key.1
            };
            self.seen
                .lock()
                .unwrap()
                .insert((real, path), answer.body.clone());
        }
        answer
    }

    /// What is different about the two answers; empty when nothing is.
    pub(super) async fn differs(&self, ask: &Ask) -> (Answer, String) {
        let (real, embedded) = self.ask(ask).await;
        let found = difference(&normal(&real), &normal(&embedded));
        (real, found)
    }

    /// Asks both sides and demands the same answer, which is given back.
    pub(super) async fn same(&self, ask: Ask) -> Answer {
        let (answer, found) = self.differs(&ask).await;
        assert!(
            found.is_empty(),
            "{} {} {:?}\n{found}",
            ask.method,
            ask.path,
            ask.body
        );
        answer
    }

    /// Demands the same answer, and that it has this code.
    pub(super) async fn code(&self, code: u16, ask: Ask) -> Answer {
        let line = format!("{} {}", ask.method, ask.path);
        let answer = self.same(ask).await;
        assert_eq!(answer.code, code, "{line}: {}", answer.body);
        answer
    }

    /// Demands the same code, reason and causes; messages may be worded differently.
    pub(super) async fn refused(&self, code: u16, ask: Ask) {
        let (real, embedded) = self.ask(&ask).await;
        let brief = |a: &Answer| {
            let causes = a.body["details"]["causes"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            let mut causes: Vec<Value> = causes
                .into_iter()
                .map(|c| json!([c["reason"], c["field"]]))
                .collect();
            causes.sort_by_key(Value::to_string);
            causes.dedup();
            json!({"code": a.code, "reason": a.body["reason"], "causes": causes})
        };
        assert_eq!(real.code, code, "{} {}: {}", ask.method, ask.path, real.body);
        let found = difference(&brief(&real), &brief(&embedded));
        assert!(
            found.is_empty(),
            "{} {}\n{found}\nreal: {}\nembedded: {}",
            ask.method,
            ask.path,
            real.body,
            embedded.body
        );
    }
}

fn fill(value: &mut Value, metadata: &Value) {
    match value {
        Value::String(text) if text == "$rv" => *value = metadata["resourceVersion"].clone(),
        Value::String(text) if text == "$uid" => *value = metadata["uid"].clone(),
        Value::Array(items) => items.iter_mut().for_each(|v| fill(v, metadata)),
        Value::Object(map) => map.values_mut().for_each(|v| fill(v, metadata)),
        _ => {}
    }
}

/// Waits until what is at a path fulfils a condition, and gives it back.
pub(super) async fn until(client: &Client, path: &str, fulfilled: impl Fn(&Value) -> bool) -> Value {
    let mut last = Value::Null;
    let look = async {
        loop {
            last = Ask::get(path).send(client).await.body;
            if fulfilled(&last) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(60), look)
        .await
        .is_ok();
    assert!(in_time, "{path} never came to be so; last seen: {last:#}");
    last
}
