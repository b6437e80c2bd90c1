//! Creating and replacing objects: the one way everything enters the store, for clients and for the cluster's own controllers.

use std::sync::Arc;

use berth_runtime::entropy;
use bytes::Bytes;
use serde_json::Value;

use super::answer::Answer;
use super::checks::{check_finalizers, check_namespace, check_version, keep_times, normalize, other_name};
use super::request::Call;
use super::{Api, admission, usage};
use crate::embedded::failure::Failure;
use crate::embedded::kinds::Kind;
use crate::embedded::object::{self, child, root, text};
use crate::embedded::ownership::{Managers, Writer, record_update};
use crate::embedded::shape;
use crate::embedded::store::{Name, Store};
use crate::embedded::time;

/// Who writes, and how strictly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    pub(crate) manager: &'a str,
    pub(crate) dry_run: bool,
    pub(crate) validation: &'a str,
}

impl<'a> Caller<'a> {
    /// A part of the cluster itself.
    pub(crate) fn server(manager: &'a str) -> Self {
        Self {
            manager,
            dry_run: false,
            validation: "Ignore",
        }
    }

    /// The caller of a request.
    ///
    /// # Errors
    /// A `dryRun` other than `All`.
    pub(crate) fn of(call: &'a Call<'_>) -> Result<Self, Failure> {
        let dry_run = match call.query("dryRun") {
            "" => false,
            "All" => true,
            other => {
                let message = format!("dryRun: Unsupported value: \"{other}\": supported values: \"All\"");
                return Err(Failure::bad_request(message));
            }
        };
        Ok(Self {
            manager: call.manager(),
            dry_run,
            validation: call.query("fieldValidation"),
        })
    }
}

/// Which door a new version comes in by; each has fields it does not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Door {
    Main,
    Status,
    /// Another subresource, which may change the specification only.
    Other(&'static str),
}

impl Door {
    pub(super) fn subresource(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Other(name) => name,
        }
    }

    pub(super) fn ignored(self, kind: &Kind) -> &'static [&'static [&'static str]] {
        match self {
            Self::Main | Self::Other(_) if kind.status => &[&["status"]],
            Self::Status if kind.group == "apps" => &[&["spec"], &["metadata", "labels"]],
            Self::Status => &[&["spec"]],
            _ => &[],
        }
    }

    pub(super) fn writer<'a>(
        self,
        kind: &Kind,
        manager: &'a str,
        api_version: &'a str,
        now: &'a str,
    ) -> Writer<'a> {
        Writer {
            manager,
            api_version,
            subresource: self.subresource(),
            ignored: self.ignored(kind),
            now,
        }
    }
}

/// What a write came to.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) json: Bytes,
    pub(crate) created: bool,
    pub(crate) warnings: Vec<String>,
}

impl Written {
    pub(super) fn answer(self) -> Answer {
        Answer::json(if self.created { 201 } else { 200 }, self.json).warned(self.warnings)
    }
}

pub(super) fn on_post(api: &Arc<Api>, call: &Call<'_>) -> Result<Answer, Failure> {
    let object = call.object()?;
    let caller = Caller::of(call)?;
    create(&mut api.store(), call.kind, call.namespace, object, &caller).map(Written::answer)
}

pub(super) fn on_put(api: &Arc<Api>, call: &Call<'_>) -> Result<Answer, Failure> {
    let object = call.object()?;
    let caller = Caller::of(call)?;
    let name = Name::new(call.namespace, call.name);
    let door = if call.subresource == "status" {
        Door::Status
    } else {
        Door::Main
    };
    let mut store = api.store();
    if door == Door::Main && call.kind.put_creates() && store.get(call.kind, &name).is_none() {
        if object::name(&object) != call.name {
            return Err(other_name(object::name(&object), call.name));
        }
        return create(&mut store, call.kind, call.namespace, object, &caller).map(Written::answer);
    }
    update(&mut store, call.kind, &name, object, &caller, door).map(Written::answer)
}

/// Creates an object.
pub(crate) fn create(
    store: &mut Store,
    kind: &'static Kind,
    namespace: &str,
    mut object: Value,
    caller: &Caller<'_>,
) -> Result<Written, Failure> {
    let warnings = normalize(kind, &mut object, caller)?;
    check_namespace(kind, namespace, &mut object)?;
    if !text(&object, &["metadata", "resourceVersion"]).is_empty() {
        return Err(Failure::unnamed(
            500,
            "resourceVersion should not be set on objects to be created",
        ));
    }
    if let Some(prefix) = object["metadata"]["generateName"]
        .as_str()
        .filter(|_| object::name(&object).is_empty())
    {
        let suffix = &entropy::uuid().simple().to_string()[..5];
        let name = format!("{prefix}{suffix}");
        child(&mut object, "metadata").insert("name".into(), name.into());
    }
    begin(kind, &mut object);
    shape::apply_defaults(kind, &mut object);
    let now = time::now_text();
    let mut managers = Managers::of(&object);
    let api_version = kind.api_version();
    let writer = Door::Main.writer(kind, caller.manager, &api_version, &now);
    record_update(
        &kind.schema,
        &shape::empty_object(kind),
        &object,
        &mut managers,
        writer,
    );
    managers.store_in(&mut object);
    finish_create(store, kind, object, caller, warnings)
}

/// The last steps of creating, shared with apply: namespace, server's fields, checks, quota, storing.
pub(super) fn finish_create(
    store: &mut Store,
    kind: &'static Kind,
    mut object: Value,
    caller: &Caller<'_>,
    warnings: Vec<String>,
) -> Result<Written, Failure> {
    let name = Name::of(&object);
    admission::namespace_is_open(store, kind, &name)?;
    admission::fill_in(store, kind, &mut object);
    shape::for_create(kind, &mut object, store.revision());
    let causes = shape::on_create(kind, &object);
    if !causes.is_empty() {
        return Err(Failure::invalid(kind, &name.name, &causes));
    }
    usage::admit(store, kind, &object)?;
    if store.get(kind, &name).is_some() {
        return Err(Failure::already_exists(kind, &name.name));
    }
    let json = if caller.dry_run {
        Bytes::from(object.to_string())
    } else {
        store.put(kind, &mut object).json.clone()
    };
    Ok(Written {
        json,
        created: true,
        warnings,
    })
}

/// Gives a new object what only the server may give.
pub(super) fn begin(kind: &Kind, object: &mut Value) {
    let metadata = child(object, "metadata");
    for key in [
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "selfLink",
        "generation",
        "resourceVersion",
    ] {
        metadata.remove(key);
    }
    metadata.insert("uid".into(), entropy::uuid().to_string().into());
    metadata.insert("creationTimestamp".into(), time::now_text().into());
    name_kind(kind, object);
}

fn name_kind(kind: &Kind, object: &mut Value) {
    let fields = root(object);
    fields.insert("apiVersion".into(), kind.api_version().into());
    fields.insert("kind".into(), kind.kind.into());
}

/// Replaces an object by a new version that came in by a door.
pub(crate) fn update(
    store: &mut Store,
    kind: &'static Kind,
    name: &Name,
    mut object: Value,
    caller: &Caller<'_>,
    door: Door,
) -> Result<Written, Failure> {
    let old = store
        .get(kind, name)
        .ok_or_else(|| Failure::not_found(kind, &name.name))?
        .value();
    let warnings = normalize(kind, &mut object, caller)?;
    let given = object::name(&object);
    if given.is_empty() {
        return Err(Failure::bad_request(
            "the name of the object (based on URL) was undeterminable: name must be provided",
        ));
    }
    if given != name.name {
        return Err(other_name(given, &name.name));
    }
    check_namespace(kind, &name.namespace, &mut object)?;
    check_version(kind, &object, &old)?;
    name_kind(kind, &mut object);
    shape::apply_defaults(kind, &mut object);
    let sent = &object["metadata"]["managedFields"];
    let reset = sent
        .as_array()
        .is_some_and(|entries| entries.is_empty() || *entries == [serde_json::json!({})]);
    let mut managers = match Managers::read(sent) {
        _ if reset => Managers::default(),
        Some(managers) if !managers.0.is_empty() && door == Door::Main => managers,
        _ => Managers::of(&old),
    };
    if !reset {
        let (now, api_version) = (time::now_text(), kind.api_version());
        let writer = door.writer(kind, caller.manager, &api_version, &now);
        record_update(&kind.schema, &old, &object, &mut managers, writer);
    }
    finish_update(store, kind, object, &old, &managers, caller, door, warnings)
}

/// The last steps of an update, shared with apply: server's fields, checks, storing unless nothing changed.
#[expect(
    clippy::too_many_arguments,
    reason = "the two callers differ in every one of them"
)]
pub(super) fn finish_update(
    store: &mut Store,
    kind: &'static Kind,
    mut object: Value,
    old: &Value,
    managers: &Managers,
    caller: &Caller<'_>,
    door: Door,
    warnings: Vec<String>,
) -> Result<Written, Failure> {
    let name = Name::of(old);
    match door {
        Door::Status => shape::for_status_update(kind, &mut object, old),
        Door::Main | Door::Other(_) => shape::for_update(kind, &mut object, old, store.revision()),
    }
    let causes = shape::on_update(kind, &object, old);
    if !causes.is_empty() {
        return Err(Failure::invalid(kind, &name.name, &causes));
    }
    check_finalizers(kind, &object, old)?;
    managers.store_in(&mut object);
    object::copy_field(&old["metadata"], &mut object["metadata"], "resourceVersion");
    keep_times(&mut object, old);
    if object == *old {
        let json = Bytes::from(old.to_string());
        return Ok(Written {
            json,
            created: false,
            warnings,
        });
    }
    if caller.dry_run {
        return Ok(Written {
            json: Bytes::from(object.to_string()),
            created: false,
            warnings,
        });
    }
    let stored = store.put(kind, &mut object);
    let emptied = !kind.is("", "Namespace") || object::list(&object, &["spec", "finalizers"]).is_empty();
    if object::is_deleting(&object) && !object::has_finalizers(&object) && emptied {
        store.remove(kind, &name);
    }
    Ok(Written {
        json: stored.json.clone(),
        created: false,
        warnings,
    })
}
