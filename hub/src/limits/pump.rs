//! Carries a stream from its service to its reader, so that a reader who does not read is noticed: HTTP/2 does not even ask a body for
//! its next frame then.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
    time::Duration,
};

use berth_runtime::Clock;
use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::{mpsc, oneshot};
use tonic::{Status, body::Body};

use super::{Usage, callers::Watch};

/// Frames on their way.
const AHEAD: usize = 1;

/// The reader's end.
struct Pumped {
    frames: mpsc::Receiver<Result<Frame<Bytes>, Status>>,
    /// Why the stream was ended before its time.
    verdict: Arc<OnceLock<Status>>,
    over: bool,
    /// Dropped with the reader.
    _reader: oneshot::Sender<()>,
}

/// Hands `body` on. A frame that lies for `slow` ends the stream: its service and `watch` are freed at once, and the reader gets
/// RESOURCE_EXHAUSTED when it reads on. If it has not even done that after as long again, its connection is cut.
pub(super) fn start(
    mut body: Body,
    watch: Watch,
    usage: Option<Arc<Usage>>,
    clock: Arc<dyn Clock>,
    slow: Duration,
) -> Body {
    let (to, frames) = mpsc::channel(AHEAD);
    let (reader, mut gone) = oneshot::channel();
    let verdict = Arc::new(OnceLock::new());
    let told = verdict.clone();
    tokio::spawn(async move {
        loop {
            let frame = tokio::select! {
                biased;
                _ = &mut gone => return,
                frame = body.frame() => frame,
            };
            let Some(frame) = frame else { return };
            let late = tokio::select! {
                biased;
                sent = to.send(frame) => match sent {
                    Ok(()) => false,
                    Err(_) => return,
                },
                () = clock.sleep(slow) => true,
            };
            if late {
                break;
            }
        }
        // The same value is set once, here alone.
        let _ = told.set(watch.too_slow());
        drop((to, body, watch));
        tokio::select! {
            biased;
            _ = &mut gone => {}
            () = clock.sleep(slow) => if let Some(usage) = usage {
                usage.cut();
            },
        }
    });
    Body::new(Pumped {
        frames,
        verdict,
        over: false,
        _reader: reader,
    })
}

impl http_body::Body for Pumped {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.over {
            return Poll::Ready(None);
        }
        if let Some(frame) = ready!(self.frames.poll_recv(cx)) {
            return Poll::Ready(Some(frame));
        }
        self.over = true;
        let Some(status) = self.verdict.get() else {
            return Poll::Ready(None);
        };
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(
            status
                .add_header(&mut trailers)
                .map(|()| Frame::trailers(trailers)),
        ))
    }
}
