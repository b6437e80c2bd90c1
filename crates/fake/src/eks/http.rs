//! The listener: reads a request, finds out who signed it and which operation it is, and answers.

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use http::{Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value};
use tokio::net::TcpListener;

use super::{
    Inner, lifecycle, operations,
    refusal::Refusal,
    sigv4::{self, Signed},
    store,
};

const LARGEST_BODY: usize = 1024 * 1024;

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer is lost on purpose")]
struct Lost;

pub(super) async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    loop {
        let accepted = tokio::select! {
            () = inner.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let (shared, stop) = (inner.clone(), inner.stop.clone());
        inner.tasks.spawn(async move {
            let service = service_fn(move |request| answer(shared.clone(), request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::select! {
                () = stop.cancelled() => {}
                // A client that hangs up, or whose answer was lost on purpose, is nobody's error.
                _ = connection => {}
            }
        });
    }
}

async fn answer(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Lost> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, LARGEST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => {
            return Ok(render(Err(Refusal::new(
                413,
                "BadRequestException",
                "request too large",
            ))));
        }
    };
    let path = head.uri.path();
    let query = head.uri.query().unwrap_or_default();
    let headers = sigv4::headers(&head.headers);
    let signed = Signed {
        method: head.method.as_str(),
        path,
        query,
        headers: &headers,
        body: &body,
    };
    if path == "/" {
        return Ok(identity(&inner, &signed));
    }
    let caller = match sigv4::caller(&inner.keys, &signed, "eks", inner.clock.now()) {
        Ok(caller) => caller,
        Err(refusal) => return Ok(render(Err(refusal))),
    };
    let parameters = match serde_json::from_slice::<Map<String, Value>>(&body) {
        Ok(parameters) => parameters,
        Err(_) if body.is_empty() => Map::new(),
        Err(error) => {
            return Ok(render(Err(Refusal::new(
                400,
                "SerializationException",
                error.to_string(),
            ))));
        }
    };
    let segments: Vec<String> = path.split('/').skip(1).map(sigv4::decode).collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let call = operations::Call {
        caller: &caller,
        parameters,
        query: sigv4::parse_query(query),
    };
    let Some((operation, run)) = operations::find(head.method.as_str(), &segments) else {
        return Ok(render(Err(Refusal::new(
            404,
            "UnknownOperationException",
            format!("{} {path}", head.method),
        ))));
    };
    if let Some(refusal) = inner.faults.refusal(operation) {
        return Ok(render(Err(refusal)));
    }
    let outcome = run(&inner, &segments, call);
    let changed = head.method != "GET" && outcome.is_ok();
    let outcome = outcome.map(|(answer, transition)| {
        if let Some(transition) = transition {
            lifecycle::begin(&inner, transition);
        }
        answer
    });
    if changed {
        store::save(&inner);
        if inner.faults.answer_is_lost() {
            return Err(Lost);
        }
    }
    Ok(render(outcome))
}

fn render(outcome: Result<Value, Refusal>) -> Response<Full<Bytes>> {
    let (status, kind, body) = match outcome {
        Ok(body) => (200, None, body),
        Err(refusal) => (refusal.status, Some(refusal.code), Value::Object(refusal.members)),
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    if let Some(kind) = kind.and_then(|kind| http::HeaderValue::try_from(kind).ok()) {
        headers.insert("x-amzn-errortype", kind);
    }
    response
}

/// STS `GetCallerIdentity`, signed either way.
fn identity(inner: &Inner, signed: &Signed<'_>) -> Response<Full<Bytes>> {
    let form = String::from_utf8_lossy(signed.body).into_owned();
    let action = sigv4::parse_query(signed.query)
        .into_iter()
        .chain(sigv4::parse_query(&form))
        .find(|(key, _)| key == "Action")
        .map(|(_, action)| action);
    let presigned = signed.query.contains("X-Amz-Signature=");
    let now = inner.clock.now();
    let caller = match action.as_deref() {
        Some("GetCallerIdentity") if presigned => sigv4::presigner(
            &inner.keys,
            signed,
            "sts",
            jiff::SignedDuration::from_mins(15),
            now,
        ),
        Some("GetCallerIdentity") => sigv4::caller(&inner.keys, signed, "sts", now),
        _ => Err(Refusal::new(
            400,
            "InvalidAction",
            "only GetCallerIdentity is here",
        )),
    };
    let (status, body) = match caller {
        Ok(key) => (
            200,
            format!(
                "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>\
                 <Arn>{}</Arn><UserId>{}</UserId><Account>{}</Account></GetCallerIdentityResult>\
                 <ResponseMetadata><RequestId>0</RequestId></ResponseMetadata></GetCallerIdentityResponse>",
                key.arn,
                key.access_key_id,
                super::ACCOUNT
            ),
        ),
        Err(refusal) => (
            refusal.status,
            format!(
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                 <Code>{}</Code><Message>{}</Message></Error><RequestId>0</RequestId></ErrorResponse>",
                refusal.code,
                refusal.text()
            ),
        ),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static("text/xml"));
    response
}

/// Serves one connection's requests with `respond`, for the listeners that lose nothing on purpose.
pub(super) async fn connection<S, F>(stream: S, respond: impl Fn(Request<Incoming>) -> F)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    F: Future<Output = Response<Full<Bytes>>>,
{
    let service = service_fn(|request| {
        let response = respond(request);
        async move { Ok::<_, Infallible>(response.await) }
    });
    // A client that hangs up is nobody's error.
    drop(
        http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await,
    );
}
