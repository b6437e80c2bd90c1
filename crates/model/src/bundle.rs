//! What runs in a tenant: versioned sets of manifests with typed parameters.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    id::{BundleName, BundleVersion, Revision, Uid},
    tenant::TenantSpec,
    tier::TierSpec,
};

/// A bundle as stored. A version never changes: another content is another version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    /// Its name.
    pub name: BundleName,
    /// Its version.
    pub version: BundleVersion,
    /// What tells it from an earlier one.
    pub uid: Uid,
    /// The store's version of it.
    pub revision: Revision,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// What it is.
    pub spec: BundleSpec,
}

/// Manifests and what may be set in them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleSpec {
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// What may be set.
    #[serde(default)]
    pub parameters: Vec<Parameter>,
    /// Kubernetes objects. A string that is exactly `${name}` becomes the parameter with its type; `${name}` inside a longer
    /// string becomes its text; `$${` stands for `${`.
    pub manifests: Vec<Value>,
}

/// Something that may be set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// Its name: letters, digits and `_`, a letter first.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: ParameterKind,
    /// One line for people.
    #[serde(default)]
    pub description: String,
    /// The value when none is given; none makes the parameter required.
    #[serde(default)]
    pub default: Option<Value>,
    /// The only values allowed; empty allows all.
    #[serde(default)]
    pub allowed: Vec<Value>,
}

/// Type of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParameterKind {
    /// Text.
    String,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A Kubernetes quantity.
    Quantity,
    /// Where a secret is, never the secret: a [`crate::SecretRef`].
    Secret,
}

impl ParameterKind {
    /// `string`, `integer`, `boolean`, `quantity` or `secret`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Quantity => "quantity",
            Self::Secret => "secret",
        }
    }

    /// Whether `value` is of this type.
    #[must_use]
    pub fn takes(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Integer => value.is_i64() || value.is_u64(),
            Self::Boolean => value.is_boolean(),
            Self::Quantity => match value {
                Value::String(text) => text.parse::<crate::Quantity>().is_ok(),
                Value::Number(number) => number.to_string().parse::<crate::Quantity>().is_ok(),
                _ => false,
            },
            Self::Secret => crate::SecretRef::parse(value).is_ok(),
        }
    }
}

/// A tenant's use of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BundleRef {
    /// Which bundle.
    pub name: BundleName,
    /// Which version.
    pub version: BundleVersion,
    /// Values by parameter name.
    #[serde(default)]
    pub parameters: BTreeMap<String, Value>,
}

/// What runs in a tenant: its tier's bundles, unless it names one by the same name itself, and then its own.
#[must_use]
pub fn used<'a>(spec: &'a TenantSpec, tier: &'a TierSpec) -> Vec<&'a BundleRef> {
    let own = |name: &BundleName| spec.bundles.iter().any(|used| used.name == *name);
    tier.bundles
        .iter()
        .filter(|used| !own(&used.name))
        .chain(&spec.bundles)
        .collect()
}
