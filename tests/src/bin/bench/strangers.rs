//! Calls of one person while strangers hold sockets open, and while one floods a hub with calls that it resets.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use berth_identity::{Credential, tls};
use berth_proto::v1;
use berth_tests::hub::Hub;
use berth_tests::programs::Programs;
use berth_tests::waiting::Watch;
use berth_wire::context::Context;
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::report::Table;
use crate::statistics::{Samples, ratio};

const CALLS: usize = 500;
const SOCKETS: usize = 2000;
/// Addresses that they come from: no one of them may have all.
const ADDRESSES: u8 = 20;
/// Connections that flood, each begun again when the hub has ended it.
const FLOODS: usize = 4;

/// Who is no friend, with the admin's own certificate: that strangers have none costs them the handshake only.
struct Stranger {
    hub: SocketAddr,
    tls: TlsConnector,
}

impl Stranger {
    fn new(hub: &Hub) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(hub.context()).context("read the admin's context")?;
        let context = Context::parse(&text).context("the admin's context")?;
        let credential = Credential {
            certificate_pem: context.certificate_pem.clone(),
            key_pem: context.key_pem.clone().into(),
        };
        let config = tls::client(&context.ca_pem, &credential).context("the admin's certificate")?;
        let address = hub.api_url().trim_start_matches("https://").parse();
        Ok(Self {
            hub: address.context("the hub's address")?,
            tls: TlsConnector::from(Arc::new(config)),
        })
    }

    async fn socket(&self, from: u8) -> anyhow::Result<TcpStream> {
        let socket = TcpSocket::new_v4().context("make a socket")?;
        let from = IpAddr::from([127, 0, 1, from]);
        socket.bind(SocketAddr::new(from, 0)).context("bind a socket")?;
        socket.connect(self.hub).await.context("connect")
    }

    async fn greeted(&self, from: u8) -> anyhow::Result<TlsStream<TcpStream>> {
        let socket = self.socket(from).await?;
        let name = "localhost".try_into().context("a name")?;
        self.tls.connect(name, socket).await.context("shake hands")
    }

    /// Begins calls and gives them up at once, for ever.
    async fn flood(&self, from: u8, resets: &AtomicU64) {
        loop {
            let Ok(stream) = self.greeted(from).await else {
                tokio::task::yield_now().await;
                continue;
            };
            let Ok((send, connection)) = h2::client::handshake(stream).await else {
                continue;
            };
            let calling = async {
                loop {
                    let Ok(mut ready) = send.clone().ready().await else {
                        return;
                    };
                    let request = http::Request::post("https://localhost/berth.v1.TenantService/ListTenants");
                    let Ok(request) = request.header("content-type", "application/grpc").body(()) else {
                        return;
                    };
                    let Ok((_answer, mut body)) = ready.send_request(request, false) else {
                        return;
                    };
                    body.send_reset(h2::Reason::CANCEL);
                    resets.fetch_add(1, Ordering::Relaxed);
                    // The runtime is the caller's, too.
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                biased;
                _ = connection => {}
                () = calling => {}
            }
        }
    }
}

async fn calls(hub: &Hub) -> anyhow::Result<Samples> {
    let api = hub.api()?;
    let mut samples = Samples::default();
    for _ in 0..CALLS {
        let watch = Watch::start();
        let request = v1::ListTenantsRequest::default();
        api.tenants()
            .list_tenants(request)
            .await
            .context("list tenants")?;
        samples.add(watch.elapsed());
    }
    Ok(samples)
}

pub(crate) async fn measure() -> anyhow::Result<Table> {
    let directory = tempfile::tempdir().context("make a directory")?;
    let programs = Programs::find()?;
    let hub = Hub::start(&programs, &directory.path().join("hub"), &serde_json::json!({})).await?;
    let stranger = Arc::new(Stranger::new(&hub)?);
    drop(calls(&hub).await?);
    let usual = calls(&hub).await?;
    let mut table = Table::default();
    table.line(
        format!("{CALLS} calls, one after the other"),
        usual.line(),
        "",
        "",
    );

    let (mut silent, mut greeted) = (Vec::new(), Vec::new());
    for number in 0..SOCKETS {
        let from = u8::try_from(number % usize::from(ADDRESSES)).unwrap_or_default();
        if number % 2 == 0 {
            silent.push(stranger.socket(from).await?);
        } else {
            greeted.push(stranger.greeted(from).await?);
        }
    }
    let idle = calls(&hub).await?;
    table.line(
        format!("the same beside {SOCKETS} idle sockets, half of them after their handshake"),
        idle.line(),
        "",
        "",
    );
    table.line(
        "p99 by idle sockets",
        ratio(idle.quantile(99), usual.quantile(99)),
        "2",
        "",
    );
    drop((silent, greeted));

    let stop = CancellationToken::new();
    let floods: Vec<_> = (0..FLOODS)
        .map(|number| {
            let (stranger, stop) = (stranger.clone(), stop.clone());
            let from = 100 + u8::try_from(number).unwrap_or_default();
            tokio::spawn(async move {
                let resets = AtomicU64::new(0);
                // It may be waiting for a hub that has had enough of it.
                let flood = stranger.flood(from, &resets);
                stop.run_until_cancelled(flood).await;
                resets.load(Ordering::Relaxed)
            })
        })
        .collect();
    let watch = Watch::start();
    let flooded = calls(&hub).await?;
    let took = watch.elapsed().max(Duration::from_millis(1));
    stop.cancel();
    let mut resets = 0;
    for flood in floods {
        resets += flood.await.context("a flood")?;
    }
    let rate = u128::from(resets) * 1000 / took.as_millis();
    table.line(
        format!("the same while {FLOODS} addresses flood it with {rate} resets a second"),
        flooded.line(),
        "",
        "",
    );
    table.line(
        "p99 by a flood of resets",
        ratio(flooded.quantile(99), usual.quantile(99)),
        "2",
        "",
    );
    Ok(table)
}
