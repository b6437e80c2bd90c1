//! AuditService: what this hub has recorded.

use berth_identity::audit::{Body, Event, Numbered, newest_first};
use berth_model::Timestamp;
use berth_proto::v1::{self, audit_service_server::AuditService};
use berth_wire::time;
use tonic::{Code, Request, Response, Status};

use super::{Api, error::refused};
use crate::audit::Audit;

/// Events of a page unless asked otherwise, and at most.
const DEFAULT_PAGE: usize = 100;
const MOST_PAGE: usize = 1000;
/// Lines that are looked through for one page.
const MOST_LINES: usize = 200_000;

/// The service.
pub struct Events {
    /// What the services share.
    pub api: Api,
    /// The log.
    pub audit: Audit,
}

#[tonic::async_trait]
impl AuditService for Events {
    async fn list_audit_events(
        &self,
        request: Request<v1::ListAuditEventsRequest>,
    ) -> Result<Response<v1::ListAuditEventsResponse>, Status> {
        let request = request.into_inner();
        let wanted = Wanted::of(&request)?;
        let dir = self.audit.dir();
        let page = tokio::task::spawn_blocking(move || wanted.page(&dir)).await;
        let (events, next) = page
            .map_err(|error| refused(Code::Internal, "AUDIT", error.to_string()))?
            .map_err(|error| {
                refused(
                    Code::Unavailable,
                    "AUDIT",
                    format!("the audit log cannot be read: {error}"),
                )
            })?;
        Ok(Response::new(v1::ListAuditEventsResponse {
            events,
            next_page_token: next.map(|next| next.to_string()).unwrap_or_default(),
            log: self.audit.id().to_owned(),
            hub: self.api.lead.candidate.api_url.clone(),
        }))
    }
}

/// What is asked for.
struct Wanted {
    tenant: String,
    caller: String,
    call: String,
    outcome: String,
    kind: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    size: usize,
    before: u64,
}

impl Wanted {
    fn of(request: &v1::ListAuditEventsRequest) -> Result<Self, Status> {
        let before = match request.page_token.as_str() {
            "" => u64::MAX,
            token => token.parse().map_err(|_| {
                refused(
                    Code::InvalidArgument,
                    "PAGE_TOKEN",
                    "page_token is none of an earlier response",
                )
            })?,
        };
        let tenant = request.tenant.strip_prefix("tenants/").unwrap_or(&request.tenant);
        Ok(Self {
            tenant: tenant.to_owned(),
            caller: request.caller.clone(),
            call: request.call.clone(),
            outcome: request.outcome.to_uppercase(),
            kind: request.kind.to_lowercase(),
            since: request.since.as_ref().and_then(time::from_proto),
            until: request.until.as_ref().and_then(time::from_proto),
            size: match usize::try_from(request.page_size) {
                Ok(0) | Err(_) => DEFAULT_PAGE,
                Ok(size) => size.min(MOST_PAGE),
            },
            before,
        })
    }

    fn page(&self, dir: &std::path::Path) -> std::io::Result<(Vec<v1::AuditEvent>, Option<u64>)> {
        let (mut events, mut next, mut looked) = (Vec::new(), None, 0);
        newest_first(dir, self.before, |Numbered { line, .. }| {
            if self.since.is_some_and(|since| line.time < since) {
                return false;
            }
            if events.len() >= self.size || looked >= MOST_LINES {
                next = Some(line.seq + 1);
                return false;
            }
            looked += 1;
            if let Body::Event(event) = line.body
                && self.until.is_none_or(|until| line.time <= until)
                && self.chooses(&event)
            {
                events.push(shown(line.seq, line.time, *event));
            }
            true
        })?;
        Ok((events, next))
    }

    fn chooses(&self, event: &Event) -> bool {
        let tenant = event.target.as_ref().map_or("", |target| target.tenant.as_str());
        let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        is(&self.tenant, tenant)
            && is(&self.caller, &event.caller)
            && is(&self.outcome, &event.outcome)
            && is(&self.kind, &word(&event.kind))
            && (is(&self.call, &event.call)
                || event
                    .call
                    .rsplit_once('/')
                    .is_some_and(|(_, call)| call == self.call))
    }
}

/// How the log writes one of its words.
fn word(word: &impl serde::Serialize) -> String {
    match serde_json::to_value(word) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

fn shown(sequence: u64, at: Timestamp, event: Event) -> v1::AuditEvent {
    let target = event.target.unwrap_or_default();
    v1::AuditEvent {
        sequence,
        time: Some(time::to_proto(at)),
        kind: word(&event.kind),
        stage: event.stage.as_ref().map(word).unwrap_or_default(),
        call: event.call,
        caller: event.caller,
        groups: event.groups,
        credential: event.credential,
        target_kind: target.kind,
        target_name: target.name,
        tenant: target.tenant,
        outcome: event.outcome,
        reason: event.reason,
        source: event.source,
        request: event.request,
        detail: event.detail,
    }
}
