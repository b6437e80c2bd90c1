//! What the caller of one call holds, for the service that answers it.

use std::{collections::HashMap, sync::Arc};

use berth_control::{Authorizer, access::Resource};
use berth_identity::Caller;
use berth_model::{Scope, Tenant, Traits};
use berth_plan::authorize::{Denied, Grants, Object};
use tonic::{Code, Request, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// What a caller holds. Services narrow by it what they show, and ask it what only they can know.
#[derive(Clone, Debug)]
pub struct Access {
    /// Who calls.
    pub caller: Arc<Caller>,
    /// What it holds.
    pub grants: Arc<Grants>,
    authorizer: Authorizer,
    generation: u64,
}

impl Access {
    pub(crate) const fn new(
        caller: Arc<Caller>,
        grants: Arc<Grants>,
        authorizer: Authorizer,
        generation: u64,
    ) -> Self {
        Self {
            caller,
            grants,
            authorizer,
            generation,
        }
    }

    /// That of the request's caller.
    ///
    /// # Errors
    /// INTERNAL: the request has not come by the admission.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let found = request.extensions().get::<Self>().cloned();
        found.ok_or_else(|| Status::internal("a call has reached its service without a caller"))
    }

    /// Whether everything there is and will be may be seen by that permission.
    #[must_use]
    pub fn sees_all(&self, permission: &str) -> bool {
        self.grants.hold_over(permission, &Scope::Fleet)
    }

    /// Whether that tenant may be seen by that permission.
    #[must_use]
    pub fn sees(&self, permission: &str, tenant: &Tenant) -> bool {
        let traits = Traits::of(&tenant.spec);
        let traits = Some(&traits);
        let id = tenant.id.as_str();
        self.grants.allow(permission, Object::Tenant { id, traits })
    }

    /// Whether what is named may be seen by that permission.
    #[must_use]
    pub fn allows(&self, permission: &str, resource: Resource<'_>) -> bool {
        self.authorizer.decide(&self.grants, permission, resource).is_ok()
    }

    /// That the permission is held for a tenant of these traits.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn demand(&self, permission: &str, tenant: &str, traits: &Traits) -> Result<(), Status> {
        let traits = Some(traits);
        let object = Object::Tenant { id: tenant, traits };
        let decided = self.grants.decide(permission, object).map(drop);
        decided.map_err(|denied| refusal(&self.caller, permission, "tenant", tenant, denied))
    }

    /// That the permission is held for the whole fleet.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn demand_fleet(&self, permission: &str) -> Result<(), Status> {
        let decided = self.grants.decide(permission, Object::Fleet).map(drop);
        decided.map_err(|denied| refusal(&self.caller, permission, "", "", denied))
    }

    /// Returns when the caller holds something else than it did when the call was admitted.
    pub async fn changed(&self) {
        let mut seen = self.generation;
        loop {
            self.authorizer.changed(seen).await;
            seen = self.authorizer.generation();
            if self.authorizer.grants(&self.caller).as_ref() != Ok(&*self.grants) {
                return;
            }
        }
    }
}

/// PERMISSION_DENIED: what is missing, and nothing about whether the object exists.
pub(crate) fn refusal(caller: &Caller, permission: &str, kind: &str, name: &str, denied: Denied) -> Status {
    let subject = caller.principal.to_string();
    let object = match (kind, name) {
        ("", _) => String::new(),
        (kind, "") => format!(" for {kind}s"),
        (kind, name) => format!(" for {kind} {name:?}"),
    };
    let message = format!(
        "{subject} has no permission {permission}{object}: {}; see berth auth whoami and berth get roles, and ask an administrator for a role binding",
        denied.why()
    );
    let metadata: HashMap<String, String> = [
        ("permission".to_owned(), permission.to_owned()),
        ("subject".to_owned(), subject),
    ]
    .into();
    let details = ErrorDetails::with_error_info("NOT_ALLOWED", "berth.dev", metadata);
    Status::with_error_details(Code::PermissionDenied, message, details)
}
