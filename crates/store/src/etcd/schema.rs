//! The form in which things are stored, written down beside them, so that an older Berth leaves alone what a newer one wrote.
//!
//! The same key tells one store from another: it is written once, before anything else, and etcd knows when that was.

use berth_model::Revision;
use etcd_client::{Client, Compare, CompareOp, GetOptions, Txn as Request, TxnOp};

use super::{EtcdStore, keys::number, keys::revision, revision_of};
use crate::{error::StoreError, sled::SCHEMA};

/// What is written down.
pub(super) struct Schema {
    /// When it was last written; 0 when never.
    pub(super) written: Revision,
    /// Whether it is older than ours, or not there.
    older: bool,
}

impl Schema {
    /// Holds while nobody has written another one.
    pub(super) fn unchanged(&self, key: &str) -> Compare {
        Compare::mod_revision(key, CompareOp::Equal, number(self.written))
    }
}

impl EtcdStore {
    /// What tells this store from every other one, also from an earlier one under the same prefix; empty before anything was written.
    #[must_use]
    pub fn incarnation(&self) -> &str {
        self.incarnation.get().map_or("", String::as_str)
    }

    /// The schema of what is there.
    ///
    /// # Errors
    /// [`StoreError::NewerSchema`] when it is newer than ours, and when etcd does not answer.
    pub(super) async fn read_schema(&self) -> Result<Schema, StoreError> {
        let key = self.keys.schema();
        let found = self
            .read("read the schema", key.as_bytes(), GetOptions::new())
            .await?;
        let Some(kv) = found.kvs().first() else {
            return Ok(Schema {
                written: Revision(0),
                older: true,
            });
        };
        let text = String::from_utf8_lossy(kv.value()).into_owned();
        match text.parse::<u16>() {
            Ok(schema) if schema <= SCHEMA => {
                let cluster = found.header().map_or(0, etcd_client::ResponseHeader::cluster_id);
                let made = revision(kv.create_revision());
                // Only the first one counts: it stays the same for as long as the store does.
                let _ = self.incarnation.set(format!("etcd-{cluster:x}-{made}"));
                Ok(Schema {
                    written: revision(kv.mod_revision()),
                    older: schema < SCHEMA,
                })
            }
            // What is no number is no schema that this version knows.
            _ => Err(StoreError::NewerSchema {
                found: text,
                supported: SCHEMA,
            }),
        }
    }

    /// Writes our schema down where there is an older one or none, as whoever writes anything else does first.
    ///
    /// # Errors
    /// As [`Self::read_schema`]; [`StoreError::Unavailable`] also when somebody else writes one at the same moment.
    pub async fn claim(&self) -> Result<(), StoreError> {
        self.own_schema().await.map(drop)
    }

    pub(super) async fn own_schema(&self) -> Result<Schema, StoreError> {
        let there = self.read_schema().await?;
        if !there.older {
            return Ok(there);
        }
        let key = self.keys.schema();
        let request =
            Request::new()
                .when([there.unchanged(key)])
                .and_then([TxnOp::put(key, SCHEMA.to_string(), None)]);
        let write = |client: Client| {
            let request = request.clone();
            async move { client.kv_client().txn(request).await }
        };
        let answer = self.link.once("write the schema", write).await?;
        tracing::info!(schema = SCHEMA, revision = %revision_of(answer.header()), "wrote the schema down");
        self.read_schema().await
    }
}
