//! One request, to be made of both sides, and its answer.

use kube::Client;
use kube::client::Body;
use serde_json::Value;

/// A request.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) accept: &'static str,
    pub(super) body: Option<Value>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Answer {
    pub(super) code: u16,
    pub(super) body: Value,
}

fn with_manager(path: &str, manager: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}fieldManager={manager}")
}

impl Ask {
    fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self {
            method,
            path: path.into(),
            content_type: "application/json",
            accept: "application/json",
            body: None,
        }
    }

    pub(super) fn get(path: impl Into<String>) -> Self {
        Self::new("GET", path)
    }

    pub(super) fn delete(path: impl Into<String>) -> Self {
        Self::new("DELETE", path)
    }

    pub(super) fn post(path: &str, body: Value) -> Self {
        Self {
            body: Some(body),
            ..Self::new("POST", with_manager(path, "creator"))
        }
    }

    pub(super) fn put(path: &str, body: Value) -> Self {
        Self {
            body: Some(body),
            ..Self::new("PUT", with_manager(path, "updater"))
        }
    }

    pub(super) fn merge(path: &str, manager: &str, body: Value) -> Self {
        let content_type = "application/merge-patch+json";
        Self {
            body: Some(body),
            content_type,
            ..Self::new("PATCH", with_manager(path, manager))
        }
    }

    pub(super) fn patch(path: &str, content_type: &'static str, body: Value) -> Self {
        Self {
            body: Some(body),
            content_type,
            ..Self::new("PATCH", with_manager(path, "patcher"))
        }
    }

    /// An apply; the object's name is taken from the path where the body has none.
    pub(super) fn apply(path: &str, manager: &str, mut body: Value) -> Self {
        if body["metadata"]["name"].is_null() {
            body["metadata"]["name"] = path.rsplit('/').next().unwrap_or_default().into();
        }
        let content_type = "application/apply-patch+yaml";
        Self {
            body: Some(body),
            content_type,
            ..Self::new("PATCH", with_manager(path, manager))
        }
    }

    pub(super) fn force(path: &str, manager: &str, body: Value) -> Self {
        let mut ask = Self::apply(path, manager, body);
        ask.path.push_str("&force=true");
        ask
    }

    pub(super) fn with_body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    pub(super) fn accepting(mut self, accept: &'static str) -> Self {
        self.accept = accept;
        self
    }

    /// The path without its query.
    pub(super) fn bare_path(&self) -> &str {
        self.path.split('?').next().unwrap_or_default()
    }

    /// Makes the request; whatever the server says is an answer.
    pub(super) async fn send(&self, client: &Client) -> Answer {
        let body = self.body.as_ref().map(Value::to_string).unwrap_or_default();
        let request = http::Request::builder()
            .method(self.method)
            .uri(&self.path)
            .header("accept", self.accept)
            .header("content-type", self.content_type)
            .body(Body::from(body.into_bytes()))
            .expect("a request");
        let response = client.send(request).await.expect("an answer");
        let code = response.status().as_u16();
        let bytes = response
            .into_body()
            .collect_bytes()
            .await
            .expect("a whole answer");
        let body = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { code, body }
    }
}
