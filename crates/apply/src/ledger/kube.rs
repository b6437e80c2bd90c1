//! The ledger in the cluster: one ConfigMap for each tenant in the agent's namespace, holding head and content.
//!
//! Content too large for one ConfigMap goes into parts that are written before the head that names them.

use std::{collections::BTreeMap, fmt, time::Duration};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_model::{TenantId, Term, Timestamp, label::MANAGER_AGENT};
use berth_runtime::entropy;
use http::{Method, Request, header};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Head, Ledger, LedgerError, Memory, Record, encode};
use crate::{breaker::BreakerMemory, request::RequestError};

/// The newest format this code reads, and the one it writes.
const FORMAT: u32 = 1;
/// Marks what belongs to the ledger, and says what it is.
const LABEL: &str = "berth.dev/ledger";
/// Packed content in one ConfigMap, at most: base64 makes it a third more, and a ConfigMap may have 1 MiB.
const CHUNK: usize = 640 * 1024;
/// The highest term of tenants that are gone.
const TERM_NAME: &str = "ledger-term";
/// What the mass-delete breaker remembers.
const BREAKER_NAME: &str = "ledger-breaker";
const ATTEMPTS: u32 = 4;
const DEADLINE: Duration = Duration::from_secs(10);

/// Remembers in ConfigMaps of one namespace.
#[derive(Clone)]
pub struct KubeLedger {
    client: Client,
    namespace: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct ConfigMap {
    metadata: Metadata,
    data: BTreeMap<String, String>,
    #[serde(rename = "binaryData", skip_serializing_if = "BTreeMap::is_empty")]
    binary_data: BTreeMap<String, String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Metadata {
    name: String,
    labels: BTreeMap<String, String>,
    #[serde(rename = "continue", skip_serializing)]
    more: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default, deserialize_with = "crate::request::or_empty")]
    items: Vec<ConfigMap>,
}

impl KubeLedger {
    /// In `namespace`, which must exist.
    #[must_use]
    pub const fn new(client: Client, namespace: String) -> Self {
        Self { client, namespace }
    }

    fn collection(&self) -> String {
        format!("/api/v1/namespaces/{}/configmaps", self.namespace)
    }

    /// Creates or replaces, in one request where it is known or guessed right which.
    async fn write(&self, map: &ConfigMap, probably_there: bool) -> Result<(), LedgerError> {
        let name = &map.metadata.name;
        let body = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": &map.metadata, "data": &map.data, "binaryData": &map.binary_data,
        });
        let body = body.to_string();
        let create = || {
            self.ask(
                Method::POST,
                self.collection(),
                "application/json",
                body.as_bytes(),
            )
        };
        let replace = || {
            self.ask(
                Method::PUT,
                format!("{}/{name}", self.collection()),
                "application/json",
                body.as_bytes(),
            )
        };
        let outcome = if probably_there {
            match replace().await {
                Err(error) if error.is_not_found() => create().await,
                outcome => outcome,
            }
        } else {
            match create().await {
                Err(error) if error.is_conflict() => replace().await,
                outcome => outcome,
            }
        };
        outcome.map(drop).map_err(|source| failed("write", name, source))
    }

    async fn delete(&self, name: &str) -> Result<(), LedgerError> {
        match self
            .ask(
                Method::DELETE,
                format!("{}/{name}", self.collection()),
                "application/json",
                &[],
            )
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(failed("delete", name, error)),
        }
    }

    async fn list(&self, selector: &str) -> Result<Vec<ConfigMap>, LedgerError> {
        let mut all = Vec::new();
        let mut more = String::new();
        loop {
            let path = format!(
                "{}?labelSelector={selector}&limit=50&continue={more}",
                self.collection()
            );
            let page = self.ask(Method::GET, path, "application/json", &[]).await;
            let page = page.map_err(|source| failed("list", LABEL, source))?;
            let page: Page = serde_json::from_slice(&page)
                .map_err(|error| failed("list", LABEL, RequestError::Malformed(error.to_string())))?;
            all.extend(page.items);
            if page.metadata.more.is_empty() {
                return Ok(all);
            }
            more = page.metadata.more;
        }
    }

    async fn ask(
        &self,
        method: Method,
        path: String,
        content_type: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, RequestError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let outcome =
                tokio::time::timeout(DEADLINE, self.once(method.clone(), &path, content_type, body)).await;
            match outcome.unwrap_or(Err(RequestError::TimedOut(DEADLINE))) {
                Err(error) if error.retryable() && attempt < ATTEMPTS => {
                    let jitter = entropy::up_to(Duration::from_millis(100_u64 << attempt));
                    let asked = error.retry_after().unwrap_or_default().min(DEADLINE);
                    tokio::time::sleep(asked + jitter).await;
                }
                outcome => return outcome,
            }
        }
    }

    async fn once(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, RequestError> {
        let separator = if path.contains('?') { '&' } else { '?' };
        let path = match method {
            Method::GET | Method::DELETE => path.to_owned(),
            _ => format!("{path}{separator}fieldManager={MANAGER_AGENT}"),
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, content_type);
        let request = request.body(Body::from(body.to_vec()));
        let request = request.map_err(|error| RequestError::Malformed(error.to_string()))?;
        let (head, body) = self.client.send(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        if head.status.is_success() {
            return Ok(body.to_vec());
        }
        Err(RequestError::refused(&head, &body))
    }
}

#[async_trait]
impl Ledger for KubeLedger {
    async fn load(&self) -> Result<Memory, LedgerError> {
        let mut memory = Memory::default();
        let mut heads = Vec::new();
        let mut parts = BTreeMap::new();
        for map in self.list(LABEL).await? {
            match map.metadata.labels.get(LABEL).map(String::as_str) {
                Some("term") => {
                    let term = map.data.get("term").and_then(|term| term.parse().ok()).map(Term);
                    memory.term = memory.term.max(term.unwrap_or_default());
                }
                Some("tenant") => heads.push(map),
                Some("breaker") => memory.breaker = read_breaker(&map, &mut memory.damaged)?,
                _ => drop(parts.insert(map.metadata.name.clone(), map)),
            }
        }
        for map in heads {
            let name = map.metadata.name.clone();
            match read(map, &parts)? {
                Ok(record) => {
                    memory.term = memory.term.max(record.head.term);
                    memory.records.push(record);
                }
                Err(problem) => memory.damaged.push((name, problem)),
            }
        }
        Ok(memory)
    }

    async fn remember(&self, record: &Record) -> Result<(), LedgerError> {
        let tenant = &record.head.tenant;
        let encode = |problem: String| LedgerError::Encode {
            tenant: tenant.clone(),
            problem,
        };
        let packed = encode::pack(&record.items).map_err(encode)?;
        let mut head = config_map(name_of(tenant), "tenant");
        head.data = head_data(&record.head).map_err(encode)?;
        let large = packed.len() > CHUNK;
        if large {
            let parts: Vec<_> = packed.chunks(CHUNK).collect();
            let digest = record.head.digest.as_str();
            let part_name =
                |at: usize| format!("{}.{}.{at}", name_of(tenant), digest.get(..12).unwrap_or(digest));
            for (at, chunk) in parts.iter().enumerate() {
                let mut part = config_map(part_name(at), "part");
                part.metadata
                    .labels
                    .insert("berth.dev/ledger-of".to_owned(), name_of(tenant));
                part.binary_data
                    .insert("objects".to_owned(), STANDARD.encode(chunk));
                self.write(&part, false).await?;
            }
            let names = (0..parts.len()).map(part_name).collect::<Vec<_>>().join(" ");
            head.data.insert("parts".to_owned(), names);
        } else {
            head.binary_data
                .insert("objects".to_owned(), STANDARD.encode(&packed));
        }
        self.write(&head, record.head.generation.0 > 1).await?;
        if large {
            self.drop_parts(tenant, head.data.get("parts").map_or("", String::as_str))
                .await?;
        }
        Ok(())
    }

    async fn settle(&self, head: &Head) -> Result<(), LedgerError> {
        let name = name_of(&head.tenant);
        let encode = |problem| LedgerError::Encode {
            tenant: head.tenant.clone(),
            problem,
        };
        let body = json!({ "data": head_data(head).map_err(encode)? }).to_string();
        let path = format!("{}/{name}", self.collection());
        let outcome = self
            .ask(
                Method::PATCH,
                path,
                "application/merge-patch+json",
                body.as_bytes(),
            )
            .await;
        outcome
            .map(drop)
            .map_err(|source| failed("update", &name, source))
    }

    async fn forget(&self, tenant: &TenantId, term: Term) -> Result<(), LedgerError> {
        // The term goes with the last record that has it, unless it is kept first.
        let known = self.list(&format!("{LABEL}=term")).await?;
        let kept = known
            .iter()
            .find_map(|map| map.data.get("term")?.parse().ok())
            .map_or(Term(0), Term);
        if term > kept {
            let mut map = config_map(TERM_NAME.to_owned(), "term");
            map.data.insert("term".to_owned(), term.to_string());
            self.write(&map, !known.is_empty()).await?;
        }
        self.delete(&name_of(tenant)).await?;
        self.drop_parts(tenant, "").await
    }

    async fn keep_breaker(&self, breaker: &BreakerMemory) -> Result<(), LedgerError> {
        let record = serde_json::to_string(breaker).map_err(|error| {
            let source = RequestError::Malformed(error.to_string());
            failed("encode", BREAKER_NAME, source)
        })?;
        let mut map = config_map(BREAKER_NAME.to_owned(), "breaker");
        map.data.insert("format".to_owned(), FORMAT.to_string());
        map.data.insert("record".to_owned(), record);
        self.write(&map, true).await
    }
}

impl KubeLedger {
    /// Removes the parts of a tenant that its head does not name any more.
    async fn drop_parts(&self, tenant: &TenantId, keep: &str) -> Result<(), LedgerError> {
        let selector = format!("berth.dev/ledger-of={}", name_of(tenant));
        for part in self.list(&selector).await? {
            if !keep.split(' ').any(|name| name == part.metadata.name) {
                self.delete(&part.metadata.name).await?;
            }
        }
        Ok(())
    }
}

fn failed(operation: &'static str, name: &str, source: RequestError) -> LedgerError {
    LedgerError::Cluster {
        operation,
        name: name.to_owned(),
        source: Box::new(source),
    }
}

fn name_of(tenant: &TenantId) -> String {
    format!("tenant-{tenant}")
}

fn config_map(name: String, what: &str) -> ConfigMap {
    let labels = BTreeMap::from([(LABEL.to_owned(), what.to_owned())]);
    ConfigMap {
        metadata: Metadata {
            name,
            labels,
            more: String::new(),
        },
        ..ConfigMap::default()
    }
}

fn head_data(head: &Head) -> Result<BTreeMap<String, String>, String> {
    let record = serde_json::to_string(head).map_err(|error| error.to_string())?;
    Ok(BTreeMap::from([
        ("format".to_owned(), FORMAT.to_string()),
        ("record".to_owned(), record),
    ]))
}

fn known_format(map: &ConfigMap) -> Result<(), LedgerError> {
    let format = map.data.get("format").and_then(|format| format.parse().ok());
    match format.unwrap_or(0) {
        found if found > FORMAT => Err(LedgerError::Newer {
            name: map.metadata.name.clone(),
            found,
            known: FORMAT,
        }),
        _ => Ok(()),
    }
}

/// A breaker's memory that cannot be read is one that has tripped: an operator has to look.
fn read_breaker(map: &ConfigMap, damaged: &mut Vec<(String, String)>) -> Result<BreakerMemory, LedgerError> {
    known_format(map)?;
    let record = map.data.get("record").ok_or("no record".to_owned());
    let read = record.and_then(|record| serde_json::from_str(record).map_err(|error| error.to_string()));
    Ok(read.unwrap_or_else(|problem| {
        damaged.push((map.metadata.name.clone(), problem));
        BreakerMemory {
            tripped_at: Some(Timestamp::UNIX_EPOCH),
            ..BreakerMemory::default()
        }
    }))
}

/// Damage is the inner error: it concerns one tenant. A newer format is the outer one: it concerns the agent.
fn read(map: ConfigMap, parts: &BTreeMap<String, ConfigMap>) -> Result<Result<Record, String>, LedgerError> {
    known_format(&map)?;
    let name = map.metadata.name;
    let bytes = |map: &ConfigMap| {
        let text = map.binary_data.get("objects").ok_or("no objects")?;
        STANDARD.decode(text).map_err(|error| error.to_string())
    };
    let content = || {
        let Some(names) = map.data.get("parts") else {
            return map
                .binary_data
                .get("objects")
                .ok_or("no objects".to_owned())
                .and_then(|text| STANDARD.decode(text).map_err(|error| error.to_string()));
        };
        let part = |name| bytes(parts.get(name).ok_or_else(|| format!("part {name} is missing"))?);
        names
            .split(' ')
            .map(part)
            .collect::<Result<Vec<_>, String>>()
            .map(|parts| parts.concat())
    };
    let record = || {
        let head: Head =
            serde_json::from_str(map.data.get("record").ok_or("no record")?).map_err(|e| e.to_string())?;
        if name_of(&head.tenant) != name {
            return Err(format!("speaks of tenant {}", head.tenant));
        }
        Ok(Record {
            head,
            items: encode::unpack(&content()?)?.into(),
        })
    };
    Ok(record())
}

impl fmt::Debug for KubeLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KubeLedger")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}
