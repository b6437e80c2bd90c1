//! A network between a client and etcd that can go silent or break.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf, tcp::OwnedWriteHalf},
    sync::watch,
    task::JoinSet,
};

#[derive(Clone, Copy, Default)]
struct Weather {
    /// Connections stay open, nothing gets through; what was sent arrives afterwards.
    silent: bool,
    /// New connections are closed at once.
    closed: bool,
    /// Raised when all connections break.
    breaks: u64,
}

/// A proxy on loopback. Dropping it breaks every connection.
pub(crate) struct Proxy {
    address: SocketAddr,
    weather: watch::Sender<Weather>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    /// Before `url`, `http://HOST:PORT`.
    pub(crate) async fn before(url: &str) -> Self {
        let target = url.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let weather = watch::Sender::new(Weather::default());
        let mut tasks = JoinSet::new();
        let told = weather.subscribe();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let now = *told.borrow();
                if !now.closed {
                    connections.spawn(connection(client, target.clone(), told.clone(), now.breaks));
                }
            }
        });
        Self {
            address,
            weather,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on nothing gets through, or all that was held up and everything else does.
    pub(crate) fn silent(&self, silent: bool) {
        self.weather.send_modify(|weather| weather.silent = silent);
    }

    /// Breaks every connection; `closed`: and takes no new ones.
    pub(crate) fn cut(&self, closed: bool) {
        self.weather.send_modify(|weather| {
            weather.breaks += 1;
            weather.closed = closed;
        });
    }

    /// Takes new connections again.
    pub(crate) fn open(&self) {
        self.weather.send_modify(|weather| weather.closed = false);
    }
}

async fn connection(client: TcpStream, target: String, mut weather: watch::Receiver<Weather>, breaks: u64) {
    let Ok(server) = TcpStream::connect(target).await else {
        return;
    };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pass(from_client, to_server, weather.clone()) => {}
        () = pass(from_server, to_client, weather.clone()) => {}
        _ = weather.wait_for(|weather| weather.breaks != breaks) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut weather: watch::Receiver<Weather>) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        // What was read waits here while there is silence.
        if weather.wait_for(|weather| !weather.silent).await.is_err()
            || to.write_all(&buffer[..length]).await.is_err()
        {
            return;
        }
    }
}
