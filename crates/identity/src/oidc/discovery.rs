//! What a provider says about itself (OpenID Connect Discovery 1.0, RFC 8414), and which of its addresses may be used.

use serde::Deserialize;

/// The part of a provider's configuration that is used here.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Discovery {
    /// Exactly the issuer that was asked for.
    pub issuer: String,
    /// Where its keys are.
    pub jwks_uri: String,
    /// Where a browser signs in.
    #[serde(default)]
    pub authorization_endpoint: Option<String>,
    /// Where tokens are got.
    #[serde(default)]
    pub token_endpoint: Option<String>,
    /// Where a device begins to sign in (RFC 8628).
    #[serde(default)]
    pub device_authorization_endpoint: Option<String>,
    /// Where tokens are given back (RFC 7009).
    #[serde(default)]
    pub revocation_endpoint: Option<String>,
    /// Whether answers of the authorization endpoint name the issuer (RFC 9207).
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Why a provider's configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDiscovery {
    /// Not the document that it should be.
    #[error("not an OpenID provider's configuration: {0}")]
    Document(String),
    /// It is somebody else's.
    #[error("it is the configuration of issuer {0:?}; write the issuer exactly so")]
    Issuer(String),
    /// Tokens and keys go over TLS only.
    #[error("its {0} is not https")]
    Insecure(&'static str),
}

impl Discovery {
    /// Where the configuration of `issuer` is.
    #[must_use]
    pub fn url(issuer: &str) -> String {
        format!(
            "{}/.well-known/openid-configuration",
            issuer.strip_suffix('/').unwrap_or(issuer)
        )
    }

    /// Reads the configuration of `issuer`.
    ///
    /// # Errors
    /// [`InvalidDiscovery`].
    pub fn parse(document: &[u8], issuer: &str) -> Result<Self, InvalidDiscovery> {
        let found: Self = serde_json::from_slice(document)
            .map_err(|error| InvalidDiscovery::Document(error.to_string()))?;
        if found.issuer != issuer {
            let shown = found.issuer.chars().take(200).flat_map(char::escape_default);
            return Err(InvalidDiscovery::Issuer(shown.collect()));
        }
        let addresses = [
            ("jwks_uri", Some(&found.jwks_uri)),
            ("authorization_endpoint", found.authorization_endpoint.as_ref()),
            ("token_endpoint", found.token_endpoint.as_ref()),
            (
                "device_authorization_endpoint",
                found.device_authorization_endpoint.as_ref(),
            ),
            ("revocation_endpoint", found.revocation_endpoint.as_ref()),
        ];
        for (name, url) in addresses {
            if url.is_some_and(|url| !is_safe_url(url)) {
                return Err(InvalidDiscovery::Insecure(name));
            }
        }
        Ok(found)
    }
}

/// Whether keys and tokens may go there: over TLS, or over this machine's loopback.
#[must_use]
pub fn is_safe_url(url: &str) -> bool {
    // What a backslash is, parsers do not agree on.
    if url.contains('\\') {
        return false;
    }
    if let Some(rest) = url.strip_prefix("https://") {
        return !rest.is_empty() && !rest.starts_with('/');
    }
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split_once(']').map_or("", |(host, _)| host),
        None => authority.split(':').next().unwrap_or_default(),
    };
    !authority.contains('@') && matches!(host, "127.0.0.1" | "::1" | "localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_and_loopback_are_safe() {
        for safe in [
            "https://id.example.com",
            "https://id.example.com:8443/a?b",
            "http://127.0.0.1:1234/x",
            "http://localhost",
            "http://[::1]:8080/",
        ] {
            assert!(is_safe_url(safe), "{safe}");
        }
        for unsafe_one in [
            "",
            "https://",
            "https:///path",
            "http://id.example.com",
            "http://127.0.0.1.evil.example/",
            "http://127.0.0.1@evil.example/",
            "http://localhost:x@evil.example/",
            "http://localhost\\@evil.example/",
            "http://[::1].evil.example@x/",
            "ftp://localhost/",
            "file:///etc/passwd",
            "javascript:alert(1)",
        ] {
            assert!(!is_safe_url(unsafe_one), "{unsafe_one}");
        }
    }

    #[test]
    fn a_configuration_is_only_taken_of_exactly_the_issuer_that_was_asked() {
        let text =
            r#"{"issuer": "https://id.example.com", "jwks_uri": "https://id.example.com/keys", "more": 1}"#;
        let parse = |issuer| Discovery::parse(text.as_bytes(), issuer);
        assert!(parse("https://id.example.com").is_ok());
        for other in ["https://id.example.com/", "https://evil.example", ""] {
            assert!(
                matches!(parse(other), Err(InvalidDiscovery::Issuer(_))),
                "{other}"
            );
        }
        let insecure = text.replace("https://id.example.com/keys", "http://id.example.com/keys");
        assert_eq!(
            Discovery::parse(insecure.as_bytes(), "https://id.example.com"),
            Err(InvalidDiscovery::Insecure("jwks_uri"))
        );
        assert!(Discovery::parse(b"<html>", "x").is_err());
    }

    #[test]
    fn an_issuer_with_a_path_keeps_it() {
        for (issuer, url) in [
            ("https://a", "https://a/.well-known/openid-configuration"),
            ("https://a/", "https://a/.well-known/openid-configuration"),
            (
                "https://a/realms/x",
                "https://a/realms/x/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(Discovery::url(issuer), url);
        }
    }
}
