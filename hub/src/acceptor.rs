//! Hands connections that passed their handshake to tonic, with who is on them.
//!
//! [`crate::limits::Strangers`] reads [`Dialled`]; every service behind it `request.extensions().get::<PeerInfo>()`. Accepting, TLS and identity are `berth-identity`'s.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use berth_identity::{Connection, Incoming, PeerInfo};
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::transport::server::Connected;

use crate::limits::{Limited, Patience, Usage};

/// A stream of connections for `serve_with_incoming_shutdown`.
#[derive(Debug)]
pub struct Acceptor {
    incoming: Incoming,
    limited: Limited,
}

impl Acceptor {
    /// Wraps `incoming`.
    #[must_use]
    pub const fn new(incoming: Incoming, limited: Limited) -> Self {
        Self { incoming, limited }
    }
}

impl Stream for Acceptor {
    type Item = io::Result<Accepted>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = ready!(Pin::new(&mut self.incoming).poll_next(cx));
        Poll::Ready(next.map(|connection| {
            Ok(Accepted {
                connection: connection?,
                patience: self.limited.patience(),
            })
        }))
    }
}

/// A connection as tonic wants it.
#[derive(Debug)]
pub struct Accepted {
    connection: Connection,
    patience: Patience,
}

/// What tonic puts into the extensions of every request on a connection.
#[derive(Clone, Debug)]
pub struct Dialled {
    /// Who is on it.
    pub info: PeerInfo,
    /// What it is used for.
    pub usage: Arc<Usage>,
}

impl Connected for Accepted {
    type ConnectInfo = Dialled;

    fn connect_info(&self) -> Dialled {
        Dialled {
            info: self.connection.info().clone(),
            usage: self.patience.usage().clone(),
        }
    }
}

impl AsyncRead for Accepted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.patience.ended(cx) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.connection).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Accepted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}
