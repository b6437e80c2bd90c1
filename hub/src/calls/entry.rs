//! The first layer: finds the call, reads the request's message, and learns who calls.

use std::sync::Arc;

use berth_identity::Caller;
use berth_model::secret;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use tonic::{Code, Status, body::Body};

use super::{Authenticator, Call, Next, Step, Target, Verb, table};
use crate::grpc::error::refused;

/// Services of Berth; health and reflection are everybody's.
const OURS: &str = "/berth.";
/// The frame around a message has five bytes.
const FRAME: usize = 5;

/// Knows every call and its caller.
#[derive(Clone)]
pub struct Entry {
    authenticators: Arc<[Arc<dyn Authenticator>]>,
    longest: usize,
}

impl Entry {
    /// Asks these in order who calls. `longest` is the most bytes that the message of a request may have.
    #[must_use]
    pub fn new(authenticators: Vec<Arc<dyn Authenticator>>, longest: usize) -> Self {
        Self {
            authenticators: authenticators.into(),
            longest,
        }
    }

    async fn admit(&self, request: Request<Body>) -> Result<Request<Body>, Status> {
        let path = request.uri().path();
        let Some(call) = table::find(path) else {
            let shown: String = path.chars().take(200).flat_map(char::escape_default).collect();
            return Err(refused(
                Code::Unimplemented,
                "NO_SUCH_CALL",
                format!("this hub has no call {shown}"),
            ));
        };
        // Whatever is shown, nobody is asked about it.
        if call.verb == Verb::Open {
            return Ok(request);
        }
        let (mut parts, body) = request.into_parts();
        let caller = self.caller(&parts).await?;
        let bytes = whole(body, self.longest).await?;
        let target = call.target(message(&bytes)?).map_err(|error| {
            refused(
                Code::InvalidArgument,
                "MALFORMED",
                format!("the request is no {}: {error}", call.name()),
            )
        })?;
        no_secret(call, &bytes)?;
        parts.extensions.insert(call);
        parts.extensions.insert(caller);
        parts.extensions.insert(Arc::<Target>::new(target));
        Ok(Request::from_parts(parts, Body::new(Full::new(bytes))))
    }

    async fn caller(&self, parts: &http::request::Parts) -> Result<Arc<Caller>, Status> {
        for authenticator in self.authenticators.iter() {
            match authenticator.caller(parts).await {
                Ok(Some(caller)) => return Ok(Arc::new(caller)),
                Ok(None) => {}
                Err(refusal) => {
                    return Err(refused(refusal.code, refusal.reason, refusal.message));
                }
            }
        }
        Err(refused(
            Code::Unauthenticated,
            "NO_CREDENTIAL",
            "this call needs a credential: sign in with berth login, or give a context file with --context-file",
        ))
    }
}

/// The whole body of a request; every call of the API sends one message.
async fn whole(body: Body, longest: usize) -> Result<Bytes, Status> {
    match Limited::new(body, longest + FRAME).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(refused(
            Code::ResourceExhausted,
            "REQUEST_TOO_LARGE",
            format!("the message of the request has more than {longest} bytes"),
        )),
        Err(error) => Err(match error.downcast::<Status>() {
            // It took too long, and says so itself.
            Ok(status) => *status,
            Err(error) => Status::cancelled(format!("the request broke off: {error}")),
        }),
    }
}

/// Calls whose requests are stored and that do not look for secrets themselves, with paths, as those of specs do.
const UNSEEN: [&str; 4] = [
    "/berth.v1.ClusterService/",
    "/berth.v1.JoinTokenService/",
    "/berth.v1.OperationService/",
    "/berth.v1.HubService/",
];

/// What looks like a secret is not stored, in whatever field it is.
fn no_secret(call: &Call, bytes: &[u8]) -> Result<(), Status> {
    if call.verb == Verb::Read || !UNSEEN.iter().any(|service| call.path.starts_with(service)) {
        return Ok(());
    }
    match secret::looks_like(&String::from_utf8_lossy(bytes)) {
        None => Ok(()),
        Some(what) => Err(refused(
            Code::InvalidArgument,
            "SECRET",
            format!(
                "the request holds what looks like {what}; secrets are given by reference, never by value"
            ),
        )),
    }
}

/// The message in its frame: a byte that says whether it is compressed, and four for its length.
fn message(bytes: &[u8]) -> Result<&[u8], Status> {
    let wrong = |what: &str| Err(refused(Code::InvalidArgument, "MALFORMED", what));
    let Some((frame, message)) = bytes.split_first_chunk::<FRAME>() else {
        return wrong("the request has no message");
    };
    let [compressed, length @ ..] = frame;
    if *compressed != 0 {
        return Err(refused(
            Code::Unimplemented,
            "COMPRESSED",
            "this hub takes no compressed requests",
        ));
    }
    if usize::try_from(u32::from_be_bytes(*length)) != Ok(message.len()) {
        return wrong("the request is not exactly one message");
    }
    Ok(message)
}

impl Step for Entry {
    async fn around<N: Next>(self, mut next: N, request: Request<Body>) -> Response<Body> {
        if !request.uri().path().starts_with(OURS) {
            return next.go(request).await;
        }
        match self.admit(request).await {
            Ok(request) => next.go(request).await,
            Err(status) => status.into_http(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(message: &[u8]) -> Vec<u8> {
        let length = u32::try_from(message.len()).unwrap();
        [&[0], length.to_be_bytes().as_slice(), message].concat()
    }

    #[test]
    fn a_request_is_exactly_one_message() {
        assert_eq!(message(&framed(b"abc")).unwrap(), b"abc");
        assert_eq!(message(&framed(b"")).unwrap(), b"");
        let two = [framed(b"abc"), framed(b"d")].concat();
        for wrong in [&b""[..], b"\0\0\0", b"\0\0\0\0\x04abc", &two] {
            assert_eq!(message(wrong).unwrap_err().code(), Code::InvalidArgument);
        }
        let compressed = message(b"\x01\0\0\0\0").unwrap_err();
        assert_eq!(compressed.code(), Code::Unimplemented);
    }

    #[tokio::test]
    async fn without_a_credential_nobody_calls_and_unknown_calls_are_not_looked_at() {
        let entry = Entry::new(vec![Arc::new(super::super::Certificates)], 1024);
        let ask = |path: &str| {
            let body = Body::new(Full::new(Bytes::from(framed(b""))));
            entry.admit(Request::builder().uri(path).body(body).unwrap())
        };
        let refused = ask("/berth.v1.TenantService/GetTenant").await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated);
        let unknown = ask("/berth.v1.TenantService/Nothing").await.unwrap_err();
        assert_eq!(unknown.code(), Code::Unimplemented);
    }
}
