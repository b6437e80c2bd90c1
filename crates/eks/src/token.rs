//! The bearer token an EKS cluster takes: a presigned `GetCallerIdentity` of STS, as `aws eks get-token` makes it.
//!
//! The cluster's authenticator sends the presigned request to STS and so learns who signed it; the signed header
//! `x-k8s-aws-id` binds the token to one cluster. Nothing is sent anywhere here.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use berth_provision::Secret;

const PREFIX: &str = "k8s-aws-v1.";
const CLUSTER_HEADER: &str = "x-k8s-aws-id";
const PRESIGNED_FOR: Duration = Duration::from_secs(60);

/// How long an authenticator takes a token: it allows 15 minutes from the signature; one is left for clocks that differ.
pub const LIFETIME: Duration = Duration::from_secs(14 * 60);

/// Why a token could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The request could not be signed.
    #[error("sign the identity request for cluster {cluster}")]
    Sign {
        /// The cluster.
        cluster: String,
        /// What the signer said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The token with which the owner of `credentials` shows itself to the EKS cluster called `cluster` in `region`.
///
/// # Errors
/// [`TokenError::Sign`] when region or cluster cannot stand in a URL or header.
pub fn bearer(
    credentials: &Credentials,
    region: &str,
    cluster: &str,
    now: SystemTime,
) -> Result<Secret, TokenError> {
    let failed = |source: Box<dyn std::error::Error + Send + Sync>| TokenError::Sign {
        cluster: cluster.to_owned(),
        source,
    };
    let url = format!(
        "https://{}/?Action=GetCallerIdentity&Version=2011-06-15",
        host(region)
    );
    let identity = credentials.clone().into();
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(PRESIGNED_FOR);
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("sts")
        .time(now)
        .settings(settings)
        .build()
        .map_err(|e| failed(e.into()))?
        .into();
    let request = SignableRequest::new(
        "GET",
        url.as_str(),
        [(CLUSTER_HEADER, cluster)].into_iter(),
        SignableBody::empty(),
    )
    .map_err(|e| failed(e.into()))?;
    let (instructions, _) = sign(request, &params).map_err(|e| failed(e.into()))?.into_parts();
    let mut signed = http::Request::get(&url)
        .header(CLUSTER_HEADER, cluster)
        .body(())
        .map_err(|e| failed(e.into()))?;
    instructions.apply_to_request_http1x(&mut signed);
    Ok(Secret::new(format!(
        "{PREFIX}{}",
        URL_SAFE_NO_PAD.encode(signed.uri().to_string())
    )))
}

/// The regional host of STS.
fn host(region: &str) -> String {
    let china = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("sts.{region}.amazonaws.com{china}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// 2026-11-21T01:02:03Z.
    fn then() -> SystemTime {
        let then: jiff::Timestamp = "2026-11-21T01:02:03Z".parse().unwrap();
        SystemTime::UNIX_EPOCH + Duration::from_secs(then.as_second().try_into().unwrap())
    }

    fn query(token: &Secret) -> (String, BTreeMap<String, String>) {
        let url = URL_SAFE_NO_PAD
            .decode(token.reveal().strip_prefix(PREFIX).unwrap())
            .unwrap();
        let url = String::from_utf8(url).unwrap();
        let (base, query) = url.split_once('?').unwrap();
        let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
        (
            base.to_owned(),
            pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect(),
        )
    }

    /// URLs that botocore 1.44.5 signed: its `RequestSigner` for `sts`, `generate_presigned_url` with the header
    /// `x-k8s-aws-id: berth-acme-0123456789` and 60 seconds, its clock held at 2026-11-21T01:02:03Z.
    const BOTOCORE: [(&str, Option<&str>, &str); 2] = [
        (
            "eu-central-1",
            None,
            "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261121%2Feu-central-1%2Fsts%2Faws4_request&X-Amz-Date=20261121T010203Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature=8b0cb1e3590e64be1068dd7000d913466fe3399fb87ede67823f88e273b00ee8",
        ),
        (
            "us-east-1",
            Some("FQoGZXIvYXdzEXAMPLE/+=TOKEN"),
            "https://sts.us-east-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIDEXAMPLE%2F20261121%2Fus-east-1%2Fsts%2Faws4_request&X-Amz-Date=20261121T010203Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Security-Token=FQoGZXIvYXdzEXAMPLE%2F%2B%3DTOKEN&X-Amz-Signature=1883f872810af0a09beafbdb91683081ae5a70dcc64a80af366bcd71c8ea2e03",
        ),
    ];

    #[test]
    fn botocore_would_have_made_the_same_token() {
        for (region, session, signed) in BOTOCORE {
            let credentials = Credentials::from_keys(
                "AKIDEXAMPLE",
                "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                session.map(str::to_owned),
            );
            let token = bearer(&credentials, region, "berth-acme-0123456789", then()).unwrap();
            let theirs = Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(signed)));
            assert_eq!(query(&token), query(&theirs));
        }
    }

    #[test]
    fn a_token_is_good_for_one_cluster_only() {
        let credentials = Credentials::from_keys("AKIDEXAMPLE", "secret", None);
        let of = |cluster| bearer(&credentials, "eu-central-1", cluster, then()).unwrap();
        assert_ne!(
            query(&of("a")).1["X-Amz-Signature"],
            query(&of("b")).1["X-Amz-Signature"]
        );
    }

    #[test]
    fn a_token_is_one_header_value_without_padding() {
        let credentials = Credentials::from_keys("AKIDEXAMPLE", "secret", None);
        let token = bearer(&credentials, "cn-north-1", "a", then()).unwrap();
        assert!(!token.reveal().contains(['=', '+', '/', '\n']));
        assert_eq!(query(&token).0, "https://sts.cn-north-1.amazonaws.com.cn/");
    }
}
