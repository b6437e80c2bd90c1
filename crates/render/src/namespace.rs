//! The tenant's namespaces: their names, and all that is stamped on them.

use berth_model::{
    Tenant, Violation,
    id::is_dns_label,
    label,
    tenant::{Contact, IdentityProvider, TenantNamespace},
};
use serde_json::{Map, Value, json};

use crate::{Input, meta, quota::Share, text, walls};

/// One of the tenant's namespaces.
pub(crate) struct Namespace<'a> {
    /// In Kubernetes.
    pub(crate) name: String,
    /// In the tenant's file.
    pub(crate) part: TenantNamespace<'a>,
}

/// The tenant's namespaces, the main one first.
pub(crate) fn all<'a>(tenant: &'a Tenant, violations: &mut Vec<Violation>) -> Vec<Namespace<'a>> {
    let mut namespaces: Vec<Namespace<'a>> = Vec::new();
    let parts = tenant.spec.parts();
    let before = parts.len() - tenant.spec.namespaces.len();
    for (at, part) in parts.into_iter().enumerate() {
        let name = part.name(&tenant.id);
        let path = match at.checked_sub(before) {
            Some(at) => format!("spec.namespaces[{at}]"),
            None if part.extra.is_some() => "spec.environments".to_owned(),
            None => "metadata.name".to_owned(),
        };
        if !is_dns_label(&name) || part.extra.is_some_and(|extra| !is_dns_label(extra)) {
            violations.push(Violation::new(
                path,
                format!("{name:?} is no namespace name"),
                "use lower-case letters, digits and '-', at most 63 characters with the tenant's id",
            ));
        } else if namespaces.iter().any(|known| known.name == name) {
            violations.push(Violation::new(
                path,
                format!("{:?} is listed twice", part.word()),
                "list it once",
            ));
        } else {
            namespaces.push(Namespace { name, part });
        }
    }
    namespaces
}

pub(crate) fn render(
    input: &Input<'_>,
    namespace: &Namespace<'_>,
    share: &Share,
    violations: &mut Vec<Violation>,
) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": namespace.name,
            "labels": labels(input, namespace, violations),
            "annotations": annotations(input, namespace, share),
        },
    })
}

fn labels(
    input: &Input<'_>,
    namespace: &Namespace<'_>,
    violations: &mut Vec<Violation>,
) -> Map<String, Value> {
    let spec = &input.tenant.spec;
    let mut labels = own_labels(input.tenant, violations);
    labels.append(&mut meta::labels(input.tenant));
    let mut put = |key: &str, value: &str| {
        labels.insert(key.into(), value.into());
    };
    put(label::TIER, input.tier.name.as_str());
    put(label::ISOLATION, input.placement.isolation().as_str());
    put(label::ENVIRONMENT, namespace.part.environment.as_str());
    let cost_centre = text::label_value(&spec.billing.cost_centre);
    if !cost_centre.is_empty() {
        put(label::COST_CENTRE, &cost_centre);
    }
    if let Some(pool) = input.placement.pool() {
        put(label::POOL, pool.as_str());
    }
    let enforced = walls::pod_security(spec, &input.tier.spec, namespace.part.environment);
    put("pod-security.kubernetes.io/enforce", enforced.as_str());
    // Whoever is held to less is told what the stricter level would say.
    put("pod-security.kubernetes.io/audit", "restricted");
    put("pod-security.kubernetes.io/warn", "restricted");
    labels
}

/// The tenant's free labels: all but those that mean something to Berth or to Kubernetes.
fn own_labels(tenant: &Tenant, violations: &mut Vec<Violation>) -> Map<String, Value> {
    let mut labels = Map::new();
    for (key, value) in &tenant.spec.labels {
        let path = format!("spec.labels.{key}");
        if !text::is_qualified_name(key) {
            violations.push(Violation::new(
                path,
                "is no label key",
                "use letters, digits, '-', '_' and '.', at most 63",
            ));
        } else if text::is_berths(key) || text::is_kubernetes(key) {
            violations.push(Violation::new(
                path,
                "is in a domain kept for Berth or Kubernetes",
                "use a key of your own",
            ));
        } else if !text::is_label_value(value) {
            violations.push(Violation::new(
                path,
                format!("{value:?} is no label value"),
                "use letters, digits, '-', '_' and '.', at most 63",
            ));
        } else {
            labels.insert(key.clone(), value.as_str().into());
        }
    }
    labels
}

/// The tenant's metadata in its own words; what is not given is left out.
fn annotations(input: &Input<'_>, namespace: &Namespace<'_>, share: &Share) -> Map<String, Value> {
    let spec = &input.tenant.spec;
    let display_name = if spec.display_name.is_empty() {
        input.tenant.id.as_str()
    } else {
        &spec.display_name
    };
    let provider = |field: fn(&IdentityProvider) -> &String| {
        spec.identity_provider
            .as_ref()
            .map_or_else(String::new, |provider| field(provider).clone())
    };
    let mut features = input.tier.spec.features.clone();
    features.extend(spec.features.iter().map(|(name, on)| (name.clone(), *on)));
    let features: Vec<String> = features
        .into_iter()
        .map(|(name, on)| format!("{name}={on}"))
        .collect();
    [
        (label::DISPLAY_NAME, display_name.to_owned()),
        (
            "berth.dev/contact-technical",
            contact(spec.contacts.technical.as_ref()),
        ),
        (
            "berth.dev/contact-business",
            contact(spec.contacts.business.as_ref()),
        ),
        (
            "berth.dev/contact-billing",
            contact(spec.contacts.billing.as_ref()),
        ),
        (label::COST_CENTRE, spec.billing.cost_centre.clone()),
        ("berth.dev/billing-code", spec.billing.code.clone()),
        ("berth.dev/organisation", spec.owner.organisation.clone()),
        ("berth.dev/team", spec.owner.team.clone()),
        ("berth.dev/project", spec.owner.project.clone()),
        ("berth.dev/domain", spec.domain.clone()),
        ("berth.dev/features", features.join(",")),
        ("berth.dev/oidc-issuer", provider(|provider| &provider.issuer)),
        ("berth.dev/oidc-audience", provider(|provider| &provider.audience)),
        (
            "berth.dev/oidc-client-id",
            provider(|provider| &provider.client_id),
        ),
        (
            "berth.dev/oidc-client-secret-name",
            provider(|provider| &provider.client_secret_name),
        ),
    ]
    .into_iter()
    .chain(walls::annotations(
        spec,
        &input.tier.spec,
        namespace.part.environment,
        share,
    ))
    .filter(|(_, value)| !value.is_empty())
    .map(|(key, value)| (key.to_owned(), value.into()))
    .collect()
}

fn contact(contact: Option<&Contact>) -> String {
    match contact {
        None => String::new(),
        Some(Contact { name, email }) if email.is_empty() => name.clone(),
        Some(Contact { name, email }) => format!("{name} <{email}>").trim_start().to_owned(),
    }
}
