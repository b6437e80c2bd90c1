//! Resource names (AIP-122) and etags (AIP-154): `tenants/{id}` and the like, to and from identifiers.

use std::str::FromStr;

use berth_model::{
    BundleName, BundleVersion, ClusterName, InvalidId, OrganisationName, Revision, RoleBindingName, TenantId,
    TierName, Violation,
};

/// `tenants/{id}`.
#[must_use]
pub fn tenant(id: &TenantId) -> String {
    format!("tenants/{id}")
}

/// `tenants/{id}/evidence`.
#[must_use]
pub fn evidence(id: &TenantId) -> String {
    format!("tenants/{id}/evidence")
}

/// `tiers/{name}`.
#[must_use]
pub fn tier(name: &TierName) -> String {
    format!("tiers/{name}")
}

/// `organisations/{name}`.
#[must_use]
pub fn organisation(name: &OrganisationName) -> String {
    format!("organisations/{name}")
}

/// `roleBindings/{name}`.
#[must_use]
pub fn role_binding(name: &RoleBindingName) -> String {
    format!("roleBindings/{name}")
}

/// `bundles/{name}/versions/{version}`.
#[must_use]
pub fn bundle(name: &BundleName, version: &BundleVersion) -> String {
    format!("bundles/{name}/versions/{version}")
}

/// `clusters/{name}`.
#[must_use]
pub fn cluster(name: &ClusterName) -> String {
    format!("clusters/{name}")
}

/// `operations/{id}`.
#[must_use]
pub fn operation(id: &str) -> String {
    format!("operations/{id}")
}

/// `joinTokens/{id}`.
#[must_use]
pub fn join_token(id: &str) -> String {
    format!("joinTokens/{id}")
}

/// Reads `tenants/{id}`. `path` is the field it was found in.
///
/// # Errors
/// A violation at `path`; the other readers here do the same.
pub fn parse_tenant(path: &str, name: &str) -> Result<TenantId, Violation> {
    parse(path, "tenants", name)
}

/// Reads `tenants/{id}/evidence`.
///
/// # Errors
/// A violation at `path`.
pub fn parse_evidence(path: &str, name: &str) -> Result<TenantId, Violation> {
    let tenant = name
        .strip_prefix("tenants/")
        .and_then(|rest| rest.strip_suffix("/evidence"));
    id(
        path,
        tenant.ok_or_else(|| wrong_form(path, name, "tenants/ID/evidence"))?,
    )
}

/// Reads `tiers/{name}`.
///
/// # Errors
/// A violation at `path`.
pub fn parse_tier(path: &str, name: &str) -> Result<TierName, Violation> {
    parse(path, "tiers", name)
}

/// Reads `organisations/{name}`.
///
/// # Errors
/// A violation at `path`.
pub fn parse_organisation(path: &str, name: &str) -> Result<OrganisationName, Violation> {
    parse(path, "organisations", name)
}

/// Reads `roleBindings/{name}`.
///
/// # Errors
/// A violation at `path`.
pub fn parse_role_binding(path: &str, name: &str) -> Result<RoleBindingName, Violation> {
    parse(path, "roleBindings", name)
}

/// Reads `clusters/{name}`.
///
/// # Errors
/// A violation at `path`.
pub fn parse_cluster(path: &str, name: &str) -> Result<ClusterName, Violation> {
    parse(path, "clusters", name)
}

/// Reads `bundles/{name}/versions/{version}`.
///
/// # Errors
/// A violation at `path`.
pub fn parse_bundle(path: &str, name: &str) -> Result<(BundleName, BundleVersion), Violation> {
    let (bundle, version) = name
        .strip_prefix("bundles/")
        .and_then(|rest| rest.split_once("/versions/"))
        .ok_or_else(|| wrong_form(path, name, "bundles/NAME/versions/VERSION"))?;
    Ok((id(path, bundle)?, id(path, version)?))
}

/// Reads `operations/{id}`; what the id may be is decided by whoever looks it up.
///
/// # Errors
/// A violation at `path`.
pub fn parse_operation<'a>(path: &str, name: &'a str) -> Result<&'a str, Violation> {
    plain(path, "operations", name)
}

/// Reads `joinTokens/{id}`; what the id may be is decided by whoever looks it up.
///
/// # Errors
/// A violation at `path`.
pub fn parse_join_token<'a>(path: &str, name: &'a str) -> Result<&'a str, Violation> {
    plain(path, "joinTokens", name)
}

/// A revision as an etag: its digits.
#[must_use]
pub fn etag(revision: Revision) -> String {
    revision.to_string()
}

/// Reads an etag; empty means that none is asked for. Quotes around it, as HTTP has them, are taken off.
///
/// # Errors
/// A violation at `path` when it was not made by [`etag`].
pub fn parse_etag(path: &str, etag: &str) -> Result<Option<Revision>, Violation> {
    let digits = etag
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(etag);
    if digits.is_empty() {
        return Ok(None);
    }
    let fine = digits.bytes().all(|byte| byte.is_ascii_digit());
    match digits.parse() {
        Ok(revision) if fine => Ok(Some(Revision(revision))),
        _ => Err(Violation::new(
            path,
            format!("{etag:?} is no etag"),
            "use the etag of the last answer, or none",
        )),
    }
}

fn parse<T: FromStr<Err = InvalidId>>(path: &str, collection: &str, name: &str) -> Result<T, Violation> {
    id(path, plain(path, collection, name)?)
}

fn plain<'a>(path: &str, collection: &str, name: &'a str) -> Result<&'a str, Violation> {
    name.strip_prefix(collection)
        .and_then(|rest| rest.strip_prefix('/'))
        .filter(|id| !id.is_empty() && !id.contains('/'))
        .ok_or_else(|| wrong_form(path, name, &format!("{collection}/ID")))
}

fn id<T: FromStr<Err = InvalidId>>(path: &str, text: &str) -> Result<T, Violation> {
    text.parse()
        .map_err(|InvalidId { value, problem, .. }| Violation::new(path, format!("{value:?} {problem}"), ""))
}

fn wrong_form(path: &str, name: &str, form: &str) -> Violation {
    let problem = if name.is_empty() {
        "is required".to_owned()
    } else {
        format!("{name:?} is not of the form {form}")
    };
    Violation::new(path, problem, format!("write {form}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_found_again() {
        let id = TenantId::new("acme").unwrap();
        assert_eq!(parse_tenant("name", &tenant(&id)), Ok(id));
        let (name, version) = (
            BundleName::new("web").unwrap(),
            BundleVersion::new("1.0.0").unwrap(),
        );
        assert_eq!(
            parse_bundle("name", &bundle(&name, &version)),
            Ok((name, version))
        );
        assert_eq!(
            parse_operation("name", &operation("acme.delete.3")),
            Ok("acme.delete.3")
        );
    }

    #[test]
    fn a_name_of_another_form_is_a_violation_where_it_stood() {
        for wrong in [
            "",
            "acme",
            "tenants/",
            "tenants/a/b",
            "tiers/acme",
            "tenants/A",
            "tenantsx/acme",
        ] {
            assert_eq!(
                parse_tenant("tenant.name", wrong).unwrap_err().path,
                "tenant.name",
                "{wrong}"
            );
        }
        for wrong in [
            "bundles/web",
            "bundles//versions/1",
            "bundles/web/versions/",
            "bundles/web/versions/1/2",
        ] {
            assert!(parse_bundle("name", wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_etag_is_digits_with_or_without_quotes() {
        assert_eq!(parse_etag("etag", &etag(Revision(42))), Ok(Some(Revision(42))));
        assert_eq!(parse_etag("etag", "\"42\""), Ok(Some(Revision(42))));
        assert_eq!(parse_etag("etag", ""), Ok(None));
        for wrong in ["x", "-1", "+1", "1.0", "99999999999999999999999"] {
            assert!(parse_etag("etag", wrong).is_err(), "{wrong}");
        }
    }
}
