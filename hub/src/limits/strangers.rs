//! The outermost layer of both listeners: calls by the address they come from, and the time a request's message may take.

use std::{
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use tonic::{Code, Status, body::Body};

use super::{Buckets, Limited, Listener, Rate, Reason, door::network, usage::Open};
use crate::{
    acceptor::Dialled,
    calls::{Next, Step, table},
    grpc::error::refused,
};

/// Addresses whose calls are counted apart.
const ADDRESSES: usize = 16_384;

/// Bounds calls by the address they come from.
#[derive(Clone, Debug)]
pub struct Strangers {
    limited: Limited,
    rates: Arc<Buckets<IpAddr>>,
}

impl Strangers {
    pub(super) fn new(limited: &Limited) -> Self {
        let limits = limited.limits();
        let rate = Rate::new(limits.address_calls_per_second, limits.address_calls_burst);
        Self {
            limited: limited.clone(),
            rates: Arc::new(Buckets::new(rate, ADDRESSES)),
        }
    }

    fn admit(&self, from: IpAddr) -> Result<(), Status> {
        let taken = self.rates.take(&network(from), self.limited.clock.monotonic());
        taken.map_err(|wait| {
            let message = "too many calls from this address; wait and call again".to_owned();
            self.limited.refusal(Reason::CallsOfAddress, message, wait)
        })
    }
}

impl Step for Strangers {
    async fn around<N: Next>(self, mut next: N, mut request: Request<Body>) -> Response<Body> {
        let path = request.uri().path();
        let call = table::find(path);
        // Health and reflection are anybody's, for as long as they like: they do not keep a connection.
        let ours = call.is_some() || path.starts_with("/berth.");
        let streams = call.is_some_and(table::Call::streams) || self.limited.listener == Listener::Agents;
        let mut open = None;
        if let Some(dialled) = request.extensions_mut().remove::<Dialled>() {
            if let Err(status) = self.admit(dialled.info.remote.ip()) {
                dialled.usage.touch();
                return status.into_http();
            }
            if ours {
                open = Some(dialled.usage.call());
            } else {
                dialled.usage.touch();
            }
            request.extensions_mut().insert(dialled.usage);
            request.extensions_mut().insert(dialled.info);
        }
        if call.is_some() {
            let limit = self.limited.limits().message();
            let clock = self.limited.clock.clone();
            let late = async move {
                clock.sleep(limit).await;
                limit
            };
            request = request.map(|body| {
                Body::new(Timely {
                    body,
                    late: Box::pin(late),
                })
            });
        }
        let answer = next.go(request).await;
        let Some(open) = open else {
            return answer;
        };
        if !streams {
            open.answered();
        }
        answer.map(|body| Body::new(Held { body, _open: open }))
    }
}

/// A request whose message must have arrived within a time.
struct Timely {
    body: Body,
    late: BoxFuture<'static, Duration>,
}

impl http_body::Body for Timely {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        let limit = ready!(self.late.as_mut().poll(cx));
        Poll::Ready(Some(Err(refused(
            Code::DeadlineExceeded,
            "REQUEST_TOO_SLOW",
            format!("the message of the request did not arrive within {limit:?}"),
        ))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer; while it is being taken, its call is open.
struct Held {
    body: Body,
    _open: Open,
}

impl http_body::Body for Held {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
