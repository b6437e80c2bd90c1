//! What lies in an etcd, read, overwritten and saved behind the hubs' backs, by etcd's own HTTP interface.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_fake::control_plane::EtcdCluster;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The argument of etcd that this needs.
pub const ARGUMENT: &str = "--enable-grpc-gateway=true";

/// The value of a key.
///
/// # Errors
/// etcd does not answer, or there is no such key.
pub async fn get(etcd: &EtcdCluster, key: &str) -> anyhow::Result<Vec<u8>> {
    let found = ask(etcd, "range", &json!({"key": STANDARD.encode(key)})).await?;
    let value = found["kvs"][0]["value"].as_str();
    let value = value.with_context(|| format!("there is no {key} in etcd: {found}"))?;
    STANDARD.decode(value).context("etcd answers in base64")
}

/// Overwrites a key.
///
/// # Errors
/// etcd does not answer.
pub async fn put(etcd: &EtcdCluster, key: &str, value: &[u8]) -> anyhow::Result<()> {
    let put = json!({"key": STANDARD.encode(key), "value": STANDARD.encode(value)});
    ask(etcd, "put", &put).await.map(drop)
}

/// Saves a snapshot of everything to a file, as `etcdctl snapshot save` does.
///
/// # Errors
/// etcd does not answer, or the file cannot be written.
pub async fn save(etcd: &EtcdCluster, file: &Path) -> anyhow::Result<()> {
    let url = etcd.client_urls().swap_remove(0);
    let answer = post(&url, "maintenance/snapshot", &json!({})).await?;
    let mut snapshot = Vec::new();
    for part in answer.lines() {
        let part: Value = serde_json::from_str(part)?;
        let blob = part["result"]["blob"].as_str();
        let blob = blob.with_context(|| format!("etcd sends no snapshot: {part}"))?;
        snapshot.extend(STANDARD.decode(blob).context("etcd answers in base64")?);
    }
    std::fs::write(file, snapshot).with_context(|| format!("write {}", file.display()))
}

/// The member that leads the others.
///
/// # Errors
/// None says so of itself.
pub async fn leading_member(etcd: &EtcdCluster) -> anyhow::Result<usize> {
    for (at, url) in etcd.client_urls().iter().enumerate() {
        let status: Value = serde_json::from_str(&post(url, "maintenance/status", &json!({})).await?)?;
        if status["leader"] == status["header"]["member_id"] {
            return Ok(at);
        }
    }
    anyhow::bail!("no member of etcd leads")
}

async fn ask(etcd: &EtcdCluster, what: &str, request: &Value) -> anyhow::Result<Value> {
    let url = etcd.client_urls().swap_remove(0);
    let answer = post(&url, &format!("kv/{what}"), request).await?;
    Ok(serde_json::from_str(&answer)?)
}

async fn post(url: &str, what: &str, request: &Value) -> anyhow::Result<String> {
    let host = url.trim_start_matches("http://");
    let body = request.to_string();
    let asked = async {
        let mut stream = TcpStream::connect(host).await?;
        let head = format!(
            "POST /v3/{what} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(Duration::from_secs(10), asked)
        .await
        .context("etcd does not answer")??;
    let (head, body) = answer.split_once("\r\n\r\n").context("etcd answers in HTTP")?;
    ensure!(head.contains(" 200 "), "{answer}");
    Ok(body.to_owned())
}
