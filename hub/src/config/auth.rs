//! Who may sign in: OpenID providers.

use std::path::PathBuf;

use berth_identity::oidc::is_safe_url;
use serde::Deserialize;

/// How callers without a client certificate prove who they are. API keys and ServiceAccount tokens need nothing here.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Auth {
    /// OpenID providers whose people may sign in.
    pub oidc: Vec<OidcProvider>,
    /// Clocks of providers and of this hub may differ by so much, in seconds.
    pub clock_skew_seconds: u64,
}

impl Default for Auth {
    fn default() -> Self {
        Self {
            oidc: Vec::new(),
            clock_skew_seconds: 60,
        }
    }
}

/// An OpenID provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OidcProvider {
    /// Its issuer, exactly as its tokens have it: https, or http on loopback.
    pub issuer: String,
    /// Berth's client there; tokens must be for it.
    pub client_id: String,
    /// The public client of command lines, when it is another one; tokens may be for it too.
    #[serde(default)]
    pub cli_client_id: Option<String>,
    /// Further audiences that tokens may be for.
    #[serde(default)]
    pub audiences: Vec<String>,
    /// The claim that names somebody. `email` must not be unverified.
    #[serde(default = "OidcProvider::email")]
    pub username_claim: String,
    /// Put before names; with several providers each needs one.
    #[serde(default)]
    pub username_prefix: String,
    /// The claim with somebody's groups; empty takes none.
    #[serde(default = "OidcProvider::groups")]
    pub groups_claim: String,
    /// Put before groups; with several providers each needs one.
    #[serde(default)]
    pub groups_prefix: String,
    /// Who signs the provider's certificate, a PEM file; without it the system's authorities.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Scopes that command lines ask for.
    #[serde(default = "OidcProvider::usual_scopes")]
    pub scopes: Vec<String>,
}

impl OidcProvider {
    fn email() -> String {
        "email".into()
    }

    fn groups() -> String {
        "groups".into()
    }

    fn usual_scopes() -> Vec<String> {
        ["openid", "email", "profile", "offline_access"]
            .map(Into::into)
            .into()
    }

    /// Every audience that its tokens may have.
    pub(crate) fn all_audiences(&self) -> Vec<String> {
        let mut all = vec![self.client_id.clone()];
        all.extend(self.cli_client_id.iter().chain(&self.audiences).cloned());
        all.sort();
        all.dedup();
        all
    }
}

impl Auth {
    /// What is wrong in it.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.clock_skew_seconds > 600 {
            return Err("auth.clockSkewSeconds must be 600 at most".into());
        }
        for (at, provider) in self.oidc.iter().enumerate() {
            let field = |name: &str| format!("auth.oidc[{at}].{name}");
            if !is_safe_url(&provider.issuer) {
                return Err(format!(
                    "{} {:?} must start with https:// (http:// is for loopback alone)",
                    field("issuer"),
                    provider.issuer
                ));
            }
            if provider.all_audiences().iter().any(String::is_empty) {
                return Err(format!(
                    "{} and other audiences must not be empty",
                    field("clientId")
                ));
            }
            if provider.username_claim.is_empty() {
                return Err(format!("{} must not be empty", field("usernameClaim")));
            }
            if !provider.scopes.iter().any(|scope| scope == "openid") {
                return Err(format!("{} must have openid", field("scopes")));
            }
            for other in self.oidc.iter().skip(at + 1) {
                if other.issuer == provider.issuer {
                    return Err(format!("auth.oidc has issuer {} twice", other.issuer));
                }
                for (name, one, two) in [
                    (
                        "usernamePrefix",
                        &provider.username_prefix,
                        &other.username_prefix,
                    ),
                    ("groupsPrefix", &provider.groups_prefix, &other.groups_prefix),
                ] {
                    if one.starts_with(two.as_str()) || two.starts_with(one.as_str()) {
                        return Err(format!(
                            "auth.oidc: {name} {one:?} and {two:?} of two providers begin alike: one could speak of the other's people; give each its own, such as \"corp:\""
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Auth, String> {
        let auth: Auth = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        auth.check().map(|()| auth)
    }

    #[test]
    fn a_provider_needs_no_more_than_issuer_and_client() {
        let auth = parse("oidc: [{issuer: 'https://id.example.com', clientId: berth}]").unwrap();
        let provider = &auth.oidc[0];
        assert_eq!(provider.username_claim, "email");
        assert_eq!(provider.all_audiences(), ["berth"]);
        assert_eq!(auth.clock_skew_seconds, 60);
    }

    #[test]
    fn providers_whose_people_could_have_each_others_names_are_refused() {
        let two = |first: &str, second: &str| {
            parse(&format!(
                "oidc:\n- {{issuer: 'https://a', clientId: x, usernamePrefix: '{first}', groupsPrefix: '{first}'}}\n- {{issuer: 'https://b', clientId: x, usernamePrefix: '{second}', groupsPrefix: '{second}'}}\n"
            ))
        };
        assert!(two("a:", "b:").is_ok());
        for (first, second) in [("", ""), ("", "b:"), ("a:", "a:"), ("a:", "a:b:")] {
            assert!(two(first, second).is_err(), "{first:?} {second:?}");
        }
    }

    #[test]
    fn what_would_let_anybody_in_is_refused() {
        for wrong in [
            "oidc: [{issuer: 'http://id.example.com', clientId: berth}]",
            "oidc: [{issuer: 'https://id.example.com', clientId: ''}]",
            "oidc: [{issuer: 'https://id.example.com', clientId: x, audiences: ['']}]",
            "oidc: [{issuer: 'https://id.example.com', clientId: x, usernameClaim: ''}]",
            "oidc: [{issuer: 'https://id.example.com'}]",
            "oidc: [{issuer: 'https://a', clientId: x}, {issuer: 'https://a', clientId: y}]",
            "clockSkewSeconds: 3600",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
