//! What one caller holds.

use std::sync::Arc;

use berth_model::{
    RoleBinding, RoleBindingSpec, Scope,
    role::{Reach, Rule},
};

use super::{Denied, Object};

/// What one caller holds: its bindings, or everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grants {
    bindings: Vec<Arc<RoleBinding>>,
    everything: bool,
}

/// A binding would give what the one who writes it does not hold there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beyond {
    /// Permissions that are not held where the binding would count.
    pub permissions: Vec<&'static str>,
}

impl Grants {
    /// What these bindings give.
    #[must_use]
    pub const fn of(bindings: Vec<Arc<RoleBinding>>) -> Self {
        Self {
            bindings,
            everything: false,
        }
    }

    /// What the credential holds that no binding can take anything from.
    #[must_use]
    pub const fn everything() -> Self {
        Self {
            bindings: Vec::new(),
            everything: true,
        }
    }

    /// The bindings, in order of name.
    #[must_use]
    pub fn bindings(&self) -> &[Arc<RoleBinding>] {
        &self.bindings
    }

    /// Whether `permission` is held for `object`: by which binding, none where no binding is needed.
    ///
    /// # Errors
    /// Why not.
    pub fn decide(&self, permission: &str, object: Object<'_>) -> Result<Option<&RoleBinding>, Denied> {
        let rule = Rule::of(permission).ok_or(Denied::NoRule)?;
        if self.everything || rule.reach == Reach::Everybody {
            return Ok(None);
        }
        let mut with_role = self.with(rule).peekable();
        if with_role.peek().is_none() {
            return Err(if self.bindings.is_empty() {
                Denied::NoBinding
            } else {
                Denied::NoRole
            });
        }
        with_role
            .find(|binding| reaches(rule.reach, &binding.spec.scope, object))
            .map(|binding| Some(&**binding))
            .ok_or(Denied::OutOfScope { reach: rule.reach })
    }

    /// Whether `permission` is held for `object`.
    #[must_use]
    pub fn allow(&self, permission: &str, object: Object<'_>) -> bool {
        self.decide(permission, object).is_ok()
    }

    /// Whether `permission` is held for everything that is or will be in `scope`.
    #[must_use]
    pub fn hold_over(&self, permission: &str, scope: &Scope) -> bool {
        let Some(rule) = Rule::of(permission) else {
            return false;
        };
        if self.everything {
            return true;
        }
        let held = |inner: &dyn Fn(&Scope) -> bool| self.with(rule).any(|own| inner(&own.spec.scope));
        match scope {
            Scope::Fleet => held(&|own| *own == Scope::Fleet),
            // Each of them by a binding that names it: what a selector matches today it may not match tomorrow.
            Scope::Tenants(ids) => ids.iter().all(|id| held(&|own| own.takes(id.as_str(), None))),
            Scope::Selector(wanted) => held(&|own| match own {
                Scope::Fleet => true,
                Scope::Tenants(_) => false,
                Scope::Selector(own) => own.contains(wanted),
            }),
        }
    }

    /// Whether whoever holds this may give, change or take away that binding: nobody gives more than they hold.
    ///
    /// # Errors
    /// What is not held.
    pub fn may_bind(&self, binding: &RoleBindingSpec) -> Result<(), Beyond> {
        let counts = |rule: &&Rule| match rule.reach {
            Reach::Everybody => false,
            Reach::Anywhere | Reach::Tenant => true,
            Reach::Fleet => binding.scope == Scope::Fleet,
        };
        let permissions: Vec<&'static str> = binding
            .role
            .permissions()
            .filter(counts)
            .map(|rule| rule.permission)
            .filter(|permission| !self.hold_over(permission, &binding.scope))
            .collect();
        if permissions.is_empty() {
            Ok(())
        } else {
            Err(Beyond { permissions })
        }
    }

    fn with(&self, rule: &Rule) -> impl Iterator<Item = &Arc<RoleBinding>> {
        let roles = rule.roles;
        self.bindings
            .iter()
            .filter(move |binding| roles.contains(&binding.spec.role))
    }
}

fn reaches(reach: Reach, scope: &Scope, object: Object<'_>) -> bool {
    match (reach, object) {
        (Reach::Everybody | Reach::Anywhere, _) | (Reach::Tenant, Object::Any) => true,
        (Reach::Fleet, _) | (Reach::Tenant, Object::Fleet) => *scope == Scope::Fleet,
        (Reach::Tenant, Object::Tenant { id, traits }) => scope.takes(id, traits),
        (Reach::Tenant, Object::Organisation(name)) => scope.takes_organisation(name),
    }
}
