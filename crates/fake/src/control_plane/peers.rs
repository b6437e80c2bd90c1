//! A network between the members of an etcd that can be cut: a proxy before every member's peer address, which lets through or holds up what one
//! member says to another.
//!
//! Both ends of a connection carry a member's words: a member dials another and is answered on the same connection. Who dials says so in the
//! first request (`X-PeerURLs`); requests that do not (a look at the version, the list of members) pass in any weather. What is held up arrives
//! afterwards, as after a loss of packets that TCP makes good.

use std::{collections::BTreeSet, path::Path, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
};

use super::Error;

/// The header in which a member names its own addresses, in lower case.
const FROM: &str = "x-peerurls:";
/// The longest head of a request that is looked at.
const LONGEST_HEAD: usize = 16 << 10;

/// Which member's words do not reach which other one.
type Cuts = BTreeSet<(usize, usize)>;

/// The network of one cluster. Dropping it breaks every connection.
#[derive(Debug)]
pub(super) struct PeerNetwork {
    cuts: watch::Sender<Cuts>,
    urls: Arc<Vec<String>>,
    _tasks: JoinSet<()>,
}

impl PeerNetwork {
    /// Before members that listen for each other on `ports` of loopback.
    pub(super) async fn before(ports: &[u16]) -> Result<Self, Error> {
        let mut listeners = Vec::new();
        let mut urls = Vec::new();
        for _ in ports {
            let bound = async {
                let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
                let address = listener.local_addr()?;
                Ok::<_, std::io::Error>((listener, address))
            };
            let at = Path::new("127.0.0.1");
            let (listener, address) = bound.await.map_err(Error::files("listen on", at))?;
            urls.push(format!("http://{address}"));
            listeners.push(listener);
        }
        let (cuts, urls) = (watch::Sender::new(Cuts::new()), Arc::new(urls));
        let mut tasks = JoinSet::new();
        for (to, (listener, port)) in listeners.into_iter().zip(ports).enumerate() {
            let way = Way {
                to,
                port: *port,
                urls: urls.clone(),
                cuts: cuts.subscribe(),
            };
            tasks.spawn(serve(listener, way));
        }
        Ok(Self {
            cuts,
            urls,
            _tasks: tasks,
        })
    }

    /// Where each member is for the others.
    pub(super) fn urls(&self) -> &[String] {
        &self.urls
    }

    /// From now on nothing that `from` says reaches `to`.
    pub(super) fn cut(&self, from: usize, to: usize) {
        self.cuts.send_modify(|cuts| {
            cuts.insert((from, to));
        });
    }

    /// Everything gets through again.
    pub(super) fn heal(&self) {
        self.cuts.send_modify(BTreeSet::clear);
    }
}

/// The way to one member.
#[derive(Clone)]
struct Way {
    to: usize,
    port: u16,
    urls: Arc<Vec<String>>,
    cuts: watch::Receiver<Cuts>,
}

async fn serve(listener: TcpListener, way: Way) {
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connection(client, way.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(client: TcpStream, way: Way) {
    let (mut from_client, to_client) = client.into_split();
    let Some(head) = head(&mut from_client).await else {
        return;
    };
    let from = sender(&head, &way.urls);
    let Ok(server) = TcpStream::connect(("127.0.0.1", way.port)).await else {
        return;
    };
    let (from_server, to_server) = server.into_split();
    let there = from.map(|from| (from, way.to));
    let back = from.map(|from| (way.to, from));
    tokio::select! {
        biased;
        () = pass(head, from_client, to_server, way.cuts.clone(), there) => {}
        () = pass(Vec::new(), from_server, to_client, way.cuts.clone(), back) => {}
    }
}

/// The head of the first request, and whatever came with it.
async fn head(from: &mut OwnedReadHalf) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    let mut buffer = vec![0; LONGEST_HEAD];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < LONGEST_HEAD {
        match from.read(&mut buffer).await {
            Ok(length @ 1..) => head.extend_from_slice(&buffer[..length]),
            _ => return None,
        }
    }
    Some(head)
}

/// Which member sent a request.
fn sender(head: &[u8], urls: &[String]) -> Option<usize> {
    let text = String::from_utf8_lossy(head).to_lowercase();
    let named = text.lines().find_map(|line| line.strip_prefix(FROM))?.trim();
    urls.iter().position(|url| named.split(',').any(|one| one == url))
}

/// Passes on what comes while the way is not cut.
async fn pass(
    first: Vec<u8>,
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut cuts: watch::Receiver<Cuts>,
    way: Option<(usize, usize)>,
) {
    let mut buffer = first;
    loop {
        let open = |cuts: &Cuts| way.is_none_or(|way| !cuts.contains(&way));
        if cuts.wait_for(open).await.is_err() || to.write_all(&buffer).await.is_err() {
            return;
        }
        buffer.resize(64 << 10, 0);
        match from.read(&mut buffer).await {
            Ok(length @ 1..) => buffer.truncate(length),
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_in_the_head_of_the_request() {
        let urls = vec!["http://127.0.0.1:1".to_owned(), "http://127.0.0.1:12".to_owned()];
        let head = b"POST /raft HTTP/1.1\r\nHost: x\r\nX-PeerURLs: http://127.0.0.1:12\r\n\r\n";
        assert_eq!(sender(head, &urls), Some(1));
        assert_eq!(sender(b"GET /version HTTP/1.1\r\n\r\n", &urls), None);
    }
}
