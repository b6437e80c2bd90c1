//! Accepts TLS connections and says who is on each. Handshakes run beside each other, are bounded in number and in time, and
//! never hold up accepting: a silent client costs one slot for [`IncomingOptions::handshake_timeout`].

use std::{
    future::Future as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use berth_model::FleetId;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::Sleep,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_stream::Stream;

use crate::{
    doorkeeper::{Doorkeeper, Place},
    peer::Peer,
};

/// How long to wait after the system refused to accept (out of file descriptors): it would only refuse again.
const BREATH: Duration = Duration::from_millis(100);

/// Limits of an [`Incoming`].
#[derive(Clone, Debug)]
pub struct IncomingOptions {
    /// Certificates of other fleets are refused.
    pub fleet: FleetId,
    /// A handshake that takes longer is dropped.
    pub handshake_timeout: Duration,
    /// Further clients wait in the listener's backlog.
    pub concurrent_handshakes: usize,
    /// Who may have a connection at all; everybody when there is none.
    pub doorkeeper: Option<Arc<dyn Doorkeeper>>,
}

impl IncomingOptions {
    /// 10 seconds, 256 at once.
    #[must_use]
    pub const fn new(fleet: FleetId) -> Self {
        Self {
            fleet,
            handshake_timeout: Duration::from_secs(10),
            concurrent_handshakes: 256,
            doorkeeper: None,
        }
    }
}

/// Who is on a connection; services find it in a request's extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// Where it comes from.
    pub remote: SocketAddr,
    /// Whose certificate it showed; `None` when it showed none, which only the link's listener allows.
    pub peer: Option<Peer>,
    /// That certificate, DER: what it signs beside this connection is verified by it.
    pub certificate: Option<Arc<[u8]>>,
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Connection {
    stream: TlsStream<TcpStream>,
    info: PeerInfo,
    /// Held until the connection ends.
    _place: Option<Box<dyn Place>>,
}

impl Connection {
    /// Who is on it.
    #[must_use]
    pub const fn info(&self) -> &PeerInfo {
        &self.info
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

/// Why a client did not become a [`Connection`]; logged, never the end of the stream.
#[derive(Debug, thiserror::Error)]
enum HandshakeError {
    #[error("handshake took longer than {0:?}")]
    Slow(Duration),
    #[error("handshake: {0}")]
    Tls(#[from] io::Error),
    #[error(transparent)]
    Peer(#[from] crate::peer::PeerError),
}

/// A stream of connections that passed their handshake. It never ends, and no client makes it fail.
#[derive(Debug)]
pub struct Incoming {
    listener: TcpListener,
    config: Arc<ServerConfig>,
    options: IncomingOptions,
    handshakes: JoinSet<Option<Connection>>,
    breath: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    /// Accepts on `listener`.
    #[must_use]
    pub fn new(listener: TcpListener, config: Arc<ServerConfig>, options: IncomingOptions) -> Self {
        Self {
            listener,
            config,
            options,
            handshakes: JoinSet::new(),
            breath: None,
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes new clients up to the limit.
    fn accept(&mut self, cx: &mut Context<'_>) {
        if let Some(breath) = &mut self.breath {
            if breath.as_mut().poll(cx).is_pending() {
                return;
            }
            self.breath = None;
        }
        while self.handshakes.len() < self.options.concurrent_handshakes {
            match self.listener.poll_accept(cx) {
                Poll::Pending => return,
                Poll::Ready(Ok((tcp, remote))) => {
                    let place = match &self.options.doorkeeper {
                        None => None,
                        Some(doorkeeper) => match doorkeeper.admit(remote.ip()) {
                            Some(place) => Some(place),
                            // Closed without a word: a handshake would cost more than the stranger.
                            None => continue,
                        },
                    };
                    let (config, options) = (self.config.clone(), self.options.clone());
                    self.handshakes.spawn(async move {
                        match handshake(tcp, remote, place, config, &options).await {
                            Ok(connection) => Some(connection),
                            Err(error) => {
                                tracing::debug!(%remote, %error, "connection refused");
                                None
                            }
                        }
                    });
                }
                Poll::Ready(Err(error)) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    let mut breath = Box::pin(tokio::time::sleep(BREATH));
                    if breath.as_mut().poll(cx).is_pending() {
                        self.breath = Some(breath);
                        return;
                    }
                }
            }
        }
    }
}

impl Stream for Incoming {
    type Item = io::Result<Connection>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            self.accept(cx);
            if self.handshakes.is_empty() {
                return Poll::Pending;
            }
            // A finished handshake frees a slot, so accept again before waiting.
            if let Some(Ok(Some(connection))) = ready!(self.handshakes.poll_join_next(cx)) {
                return Poll::Ready(Some(Ok(connection)));
            }
        }
    }
}

async fn handshake(
    tcp: TcpStream,
    remote: SocketAddr,
    mut place: Option<Box<dyn Place>>,
    config: Arc<ServerConfig>,
    options: &IncomingOptions,
) -> Result<Connection, HandshakeError> {
    // Messages are small and awaited: do not hold them back.
    tcp.set_nodelay(true)?;
    let stream = tokio::time::timeout(options.handshake_timeout, TlsAcceptor::from(config).accept(tcp))
        .await
        .map_err(|_| HandshakeError::Slow(options.handshake_timeout))??;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let peer = match shown {
        Some(certificate) => Some(Peer::of_certificate(certificate, &options.fleet)?),
        None => None,
    };
    let certificate = shown.map(|certificate| Arc::from(certificate.as_ref()));
    let info = PeerInfo {
        remote,
        peer,
        certificate,
    };
    if let Some(place) = &mut place {
        place.greeted();
    }
    Ok(Connection {
        stream,
        info,
        _place: place,
    })
}
