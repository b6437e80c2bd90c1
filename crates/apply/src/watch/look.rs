//! One kind of tenants' objects, watched: how an object on the wire becomes what is kept of it.

use std::{collections::BTreeSet, sync::Arc};

use berth_model::label;
use serde::Deserialize;
use serde_json::Value;

use super::{Seen, World, stream::Target};
use crate::{
    health::{self, Subject},
    object::{Kind, Look, ObjectRef, tenant_of_namespace},
    request::Metadata,
};

/// Who is told of what the watches show.
pub(crate) trait Observer: Send + Sync + 'static {
    /// This object looks different now.
    fn changed(&self, object: &ObjectRef);
    /// A complete look at the kind is taken in, or the kind is lost sight of.
    fn looked(&self, kind: Kind);
}

/// The watch of one kind.
pub(crate) struct KindTarget {
    pub(crate) kind: Kind,
    pub(crate) world: Arc<World>,
    pub(crate) observer: Arc<dyn Observer>,
}

impl Target for KindTarget {
    type Item = Full;
    type Key = ObjectRef;

    fn collection(&self) -> String {
        self.kind.collection(None)
    }

    fn query(&self) -> String {
        match self.kind.look() {
            Look::Everything => String::new(),
            Look::Metadata | Look::Status => format!("&labelSelector={}", label::TENANT),
        }
    }

    fn metadata_only(&self) -> bool {
        self.kind.look() == Look::Metadata
    }

    fn version(item: &Full) -> u64 {
        item.metadata.version()
    }

    fn there(&self, item: &Full) -> Option<ObjectRef> {
        let object = item.object(self.kind)?;
        if self.world.put(&object, item.seen(&object)) {
            self.observer.changed(&object);
        }
        Some(object)
    }

    fn ended(&self, item: &Full) {
        if let Some(object) = item.object(self.kind)
            && self.world.end(&object, item.metadata.version())
        {
            self.observer.changed(&object);
        }
    }

    fn advanced(&self, version: u64) {
        self.world.advance(self.kind, version);
    }

    fn looked(&self, version: u64, present: BTreeSet<ObjectRef>) {
        for object in self.world.complete(self.kind, version, &present) {
            self.observer.changed(&object);
        }
        self.observer.looked(self.kind);
    }

    fn lost(&self) {
        if self.world.lose(self.kind) {
            self.observer.looked(self.kind);
        }
    }

    fn name(&self) -> &'static str {
        self.kind.name()
    }
}

/// An object with what health is judged by.
#[derive(Deserialize)]
pub(crate) struct Full {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
    /// Of an EndpointSlice.
    #[serde(default)]
    endpoints: Value,
}

impl Full {
    /// Which object it is, when it is in a tenant's namespace.
    fn object(&self, kind: Kind) -> Option<ObjectRef> {
        let object = ObjectRef::new(kind, self.metadata.namespace.as_deref(), &self.metadata.name).ok()?;
        tenant_of_namespace(object.home()).is_some().then_some(object)
    }

    /// What is kept of it.
    fn seen(&self, object: &ObjectRef) -> Seen {
        let verdict = if object.kind().look() == Look::Metadata {
            health::Verdict::default()
        } else {
            let owned_by = self
                .metadata
                .owner_references
                .iter()
                .find(|owner| owner.controller);
            health::judge(&Subject {
                kind: object.kind(),
                generation: self.metadata.generation,
                deleting: self.metadata.deletion_timestamp.is_some(),
                owned_by: owned_by.map(|owner| (owner.kind.as_str(), owner.name.as_str())),
                service: self.metadata.label("kubernetes.io/service-name"),
                spec: &self.spec,
                status: &self.status,
                endpoints: &self.endpoints,
            })
        };
        Seen::new(&self.metadata, verdict)
    }
}
