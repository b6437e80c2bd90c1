//! Hosts of our own on this machine: each a network namespace with one cable to a router, which is the namespace this program is in.
//! What is cut is dropped at the router without a word, in one direction or both.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context as _, ensure};
use berth_tests::hub::Host;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;

/// The cables.
#[derive(Debug)]
pub(crate) struct Network {
    cuts: u32,
}

/// A host by its number.
pub(crate) type Number = u8;

impl Network {
    /// Makes hosts 1 to `hosts`. This program must be in network and mount namespaces of its own.
    pub(crate) async fn build(hosts: Number) -> anyhow::Result<Self> {
        // Names of namespaces are files: on a disk that ends with this program.
        std::fs::create_dir_all("/run/netns").context("make the directory of namespaces")?;
        run("mount -t tmpfs tmpfs /run/netns").await?;
        run("ip link set lo up").await?;
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").context("let the router forward")?;
        for host in 1..=hosts {
            run(&format!("ip netns add h{host}")).await?;
            run(&format!(
                "ip link add v{host} type veth peer name eth0 netns h{host}"
            ))
            .await?;
            run(&format!("ip address add {}/24 dev v{host}", router(host))).await?;
            run(&format!("ip link set v{host} up")).await?;
            run(&format!("ip -n h{host} link set lo up")).await?;
            run(&format!(
                "ip -n h{host} address add {}/24 dev eth0",
                address(host)
            ))
            .await?;
            run(&format!("ip -n h{host} link set eth0 up")).await?;
            run(&format!("ip -n h{host} route add default via {}", router(host))).await?;
        }
        Ok(Self { cuts: 0 })
    }

    /// Drops what goes from one host to the other.
    pub(crate) async fn cut(&mut self, from: Number, to: Number) -> anyhow::Result<()> {
        self.cuts += 1;
        let (from, to) = (address(from), address(to));
        run(&format!(
            "ip rule add from {from} to {to} blackhole pref {}",
            100 + self.cuts
        ))
        .await
    }

    /// Drops what goes between two hosts.
    pub(crate) async fn part(&mut self, one: Number, other: Number) -> anyhow::Result<()> {
        self.cut(one, other).await?;
        self.cut(other, one).await
    }

    /// Drops nothing any more.
    pub(crate) async fn heal(&mut self) -> anyhow::Result<()> {
        for cut in 1..=self.cuts {
            run(&format!("ip rule del pref {}", 100 + cut)).await?;
        }
        self.cuts = 0;
        Ok(())
    }
}

/// A host, for programs to run on.
pub(crate) fn host(number: Number) -> Host {
    Host {
        address: Some(IpAddr::V4(address(number))),
        command: ["ip", "netns", "exec"]
            .map(str::to_owned)
            .into_iter()
            .chain([format!("h{number}")])
            .collect(),
    }
}

/// A host's address.
pub(crate) const fn address(host: Number) -> Ipv4Addr {
    Ipv4Addr::new(10, 66, host, 2)
}

/// The router's address on a host's cable.
pub(crate) const fn router(host: Number) -> Ipv4Addr {
    Ipv4Addr::new(10, 66, host, 1)
}

async fn run(command: &str) -> anyhow::Result<()> {
    let mut words = command.split(' ');
    let program = words.next().unwrap_or_default();
    let done = Command::new(program).args(words).output().await;
    let done = done.with_context(|| format!("start `{command}`"))?;
    ensure!(
        done.status.success(),
        "`{command}`: {}",
        String::from_utf8_lossy(&done.stderr).trim()
    );
    Ok(())
}

/// Hands connections on: a host's way to what listens on another's loopback only.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct Relay {
    /// Where it listens.
    pub(crate) listen: SocketAddr,
    /// Where it hands on to.
    pub(crate) to: SocketAddr,
}

impl Relay {
    /// Hands on until it is ended.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let listener = TcpListener::bind(self.listen)
            .await
            .with_context(|| format!("listen on {}", self.listen))?;
        loop {
            let (mut near, _) = listener.accept().await.context("accept")?;
            tokio::spawn(async move {
                if let Ok(mut far) = TcpStream::connect(self.to).await {
                    // Either end may break off; that is the other's to notice.
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                }
            });
        }
    }

    /// The program and arguments that do it on a host.
    pub(crate) fn on(&self, number: Number, own: &Path) -> (std::path::PathBuf, Vec<String>) {
        let (program, mut arguments) = host(number).starting(own);
        arguments.extend(["relay".to_owned(), self.listen.to_string(), self.to.to_string()]);
        (program, arguments)
    }
}
