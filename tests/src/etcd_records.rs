//! What lies in an etcd, read and overwritten behind the hubs' backs, by etcd's own HTTP interface.

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

async fn ask(etcd: &EtcdCluster, what: &str, request: &Value) -> anyhow::Result<Value> {
    let urls = etcd.client_urls();
    let host = urls[0].trim_start_matches("http://");
    let body = request.to_string();
    let asked = async {
        let mut stream = TcpStream::connect(host).await?;
        let head = format!(
            "POST /v3/kv/{what} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
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
    Ok(serde_json::from_str(body)?)
}
