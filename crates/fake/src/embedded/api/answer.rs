//! Answers: a status code, a body of bytes or a stream of events, and warnings.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, WARNING};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use serde_json::Value;

use crate::embedded::LACKS;
use crate::embedded::failure::Failure;

/// The body of every answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// An answer on its way out.
#[derive(Debug)]
pub(crate) struct Answer {
    code: u16,
    content_type: &'static str,
    body: Body,
    warnings: Vec<String>,
}

impl Answer {
    pub(crate) fn json(code: u16, body: Bytes) -> Self {
        Self {
            code,
            content_type: "application/json",
            body: Full::new(body).boxed_unsync(),
            warnings: Vec::new(),
        }
    }

    pub(crate) fn ok(value: &Value) -> Self {
        Self::json(200, Bytes::from(value.to_string()))
    }

    pub(crate) fn text(text: &'static str) -> Self {
        let body = Full::new(Bytes::from_static(text.as_bytes())).boxed_unsync();
        Self {
            code: 200,
            content_type: "text/plain; charset=utf-8",
            body,
            warnings: Vec::new(),
        }
    }

    pub(crate) fn stream(body: Body) -> Self {
        Self {
            code: 200,
            content_type: "application/json",
            body,
            warnings: Vec::new(),
        }
    }

    pub(crate) fn failure(failure: &Failure) -> Self {
        Self::json(failure.code, Bytes::from(failure.status().to_string()))
    }

    pub(crate) fn warned(mut self, warnings: Vec<String>) -> Self {
        self.warnings = warnings;
        self
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.content_type));
        headers.insert("berth-lacks", HeaderValue::from_static(LACKS));
        for warning in self.warnings {
            let text = warning.replace(['"', '\\'], "'");
            if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
                headers.append(WARNING, value);
            }
        }
        response
    }
}
