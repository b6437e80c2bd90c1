//! An etcd of one or several members, each a process that can be killed, paused and started again: for tests of what uses
//! etcd itself. A control plane takes a [`SharedEtcd`](super::SharedEtcd) instead.

mod put_back;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::components::free_port;
use super::guard::Guard;
use super::home::{make_directory, temporary};
use super::peers::PeerNetwork;
use super::pki::{Pki, User};
use super::process::{Process, Signal};
use super::{Binaries, Binary, Error};

const READY_WITHIN: Duration = Duration::from_secs(60);

/// What kind of etcd.
#[derive(Clone, Debug)]
pub struct EtcdClusterOptions {
    /// How many members; three bear the loss of one.
    pub members: usize,
    /// Clients speak TLS and show a certificate.
    pub tls: bool,
    /// Acknowledged writes are on the disk.
    pub durable: bool,
    /// What members say to each other can be cut; see [`EtcdCluster::cut`].
    pub can_be_cut: bool,
    /// More arguments of every member.
    pub arguments: Vec<String>,
}

impl Default for EtcdClusterOptions {
    fn default() -> Self {
        Self {
            members: 1,
            tls: false,
            durable: false,
            can_be_cut: false,
            arguments: Vec::new(),
        }
    }
}

/// What a client of an etcd with TLS needs, PEM.
#[derive(Clone, Debug)]
pub struct EtcdTls {
    /// Who signed the members' certificates.
    pub ca: String,
    /// The client's certificate; its common name is a user of etcd.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// Which words between members are lost; see [`EtcdCluster::cut_off`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nobody hears anybody.
    Both,
    /// The others do not hear it, and it hears them.
    Mute,
    /// It does not hear the others, and they hear it.
    Deaf,
}

/// A running etcd on loopback. Dropping it kills its members and removes what they wrote.
#[derive(Debug)]
pub struct EtcdCluster {
    members: Vec<Member>,
    network: Option<PeerNetwork>,
    tls: Option<EtcdTls>,
    guard: Arc<Guard>,
    program: PathBuf,
    _directory: tempfile::TempDir,
}

#[derive(Debug)]
struct Member {
    process: Option<Process>,
    arguments: Vec<String>,
    client_url: String,
    /// Where it says whether it is well, without TLS.
    health_port: u16,
    logs: PathBuf,
}

impl EtcdCluster {
    /// Starts all members and waits until each of them is well.
    ///
    /// # Errors
    /// There is no etcd, or it does not start.
    pub async fn start(binaries: &Binaries, options: &EtcdClusterOptions) -> Result<Self, Error> {
        let program = binaries.require(Binary::Etcd)?.to_owned();
        let directory = temporary()?;
        let guard = Arc::new(Guard::start(Some(directory.path()))?);
        let pki = if options.tls {
            let at = directory.path().join("pki");
            make_directory(&at)?;
            Some(Pki::load_or_create(&at)?)
        } else {
            None
        };
        let tls = match &pki {
            None => None,
            Some(pki) => {
                let (certificate, key) = pki.client(User::Admin)?;
                let ca = pki.ca_pem()?;
                Some(EtcdTls { ca, certificate, key })
            }
        };
        let ports = (0..options.members)
            .map(|_| free_port())
            .collect::<Result<Vec<_>, Error>>()?;
        let listen: Vec<_> = ports
            .iter()
            .map(|port| format!("http://127.0.0.1:{port}"))
            .collect();
        let network = match options.can_be_cut {
            true => Some(PeerNetwork::before(&ports).await?),
            false => None,
        };
        let peers = Peers {
            advertise: network
                .as_ref()
                .map_or(listen.clone(), |network| network.urls().to_vec()),
            listen,
        };
        let members = (0..options.members)
            .map(|at| Member::plan(directory.path(), at, &peers, pki.as_ref(), options))
            .collect::<Result<Vec<_>, Error>>()?;
        let mut cluster = Self {
            members,
            network,
            tls,
            guard,
            program,
            _directory: directory,
        };
        cluster.start_all().await?;
        Ok(cluster)
    }

    /// Where clients ask, one URL a member.
    #[must_use]
    pub fn client_urls(&self) -> Vec<String> {
        self.members
            .iter()
            .map(|member| member.client_url.clone())
            .collect()
    }

    /// What a client shows and trusts, when there is TLS.
    #[must_use]
    pub fn tls(&self) -> Option<&EtcdTls> {
        self.tls.as_ref()
    }

    /// Kills a member as a power failure would; [`Self::restart`] brings it back.
    pub fn kill(&mut self, member: usize) {
        if let Some(mut process) = self.members[member].process.take() {
            process.kill();
        }
    }

    /// Kills all members.
    pub fn kill_all(&mut self) {
        for member in 0..self.members.len() {
            self.kill(member);
        }
    }

    /// Starts all members and waits until each is well.
    ///
    /// # Errors
    /// One does not start, or it takes too long.
    pub async fn start_all(&mut self) -> Result<(), Error> {
        for member in 0..self.members.len() {
            self.launch(member)?;
        }
        for member in 0..self.members.len() {
            self.ready(member).await?;
        }
        Ok(())
    }

    /// Starts a killed member on the data it had. Returns when the process runs; [`Self::ready`] waits until it is well.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self, member: usize) -> Result<(), Error> {
        self.launch(member)
    }

    /// Stops a member's process where it is: connections stay open and nobody answers. Returns when it stands still.
    ///
    /// # Errors
    /// It has ended.
    pub async fn pause(&mut self, member: usize) -> Result<(), Error> {
        self.signal(member, Signal::STOP)?;
        while let Some(process) = &self.members[member].process
            && !process.is_stopped()
        {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Lets a paused member go on.
    ///
    /// # Errors
    /// It has ended.
    pub fn resume(&mut self, member: usize) -> Result<(), Error> {
        self.signal(member, Signal::CONT)
    }

    /// Returns when a member takes part in a cluster with a leader.
    ///
    /// # Errors
    /// It has ended, or it takes too long.
    pub async fn ready(&mut self, member: usize) -> Result<(), Error> {
        let member = &mut self.members[member];
        let port = member.health_port;
        let Some(process) = &mut member.process else {
            return Ok(());
        };
        let ready = tokio::time::timeout(READY_WITHIN, async {
            while !is_well(port).await {
                process.ensure_running()?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        });
        match ready.await {
            Ok(result) => result,
            Err(_) => Err(process.not_ready(READY_WITHIN)),
        }
    }

    /// From now on nothing that member `from` says reaches member `to`; what `to` says goes on reaching `from`. Only with
    /// [`EtcdClusterOptions::can_be_cut`].
    pub fn cut(&self, from: usize, to: usize) {
        if let Some(network) = &self.network {
            network.cut(from, to);
        }
    }

    /// Cuts a member off from all others.
    pub fn cut_off(&self, member: usize, how: Cut) {
        for other in (0..self.members.len()).filter(|other| *other != member) {
            if how != Cut::Deaf {
                self.cut(member, other);
            }
            if how != Cut::Mute {
                self.cut(other, member);
            }
        }
    }

    /// Members hear each other again.
    pub fn heal(&self) {
        if let Some(network) = &self.network {
            network.heal();
        }
    }

    fn signal(&mut self, member: usize, signal: Signal) -> Result<(), Error> {
        match &mut self.members[member].process {
            Some(process) => process.signal(signal),
            None => Ok(()),
        }
    }

    fn launch(&mut self, member: usize) -> Result<(), Error> {
        let member = &mut self.members[member];
        let arguments = member.arguments.iter().cloned();
        let process = Process::spawn(Binary::Etcd, &self.program, arguments, &member.logs, &self.guard)?;
        member.process = Some(process);
        Ok(())
    }
}

/// Where each member listens for the others, and where those find it.
struct Peers {
    listen: Vec<String>,
    advertise: Vec<String>,
}

impl Peers {
    /// All of them, as every member is told.
    fn all(&self) -> String {
        let named = self.advertise.iter().enumerate();
        named
            .map(|(at, url)| format!("m{at}={url}"))
            .collect::<Vec<_>>()
            .join(",")
    }
}

impl Member {
    fn plan(
        directory: &Path,
        at: usize,
        peers: &Peers,
        pki: Option<&Pki>,
        options: &EtcdClusterOptions,
    ) -> Result<Self, Error> {
        let home = directory.join(format!("m{at}"));
        make_directory(&home)?;
        let scheme = if pki.is_some() { "https" } else { "http" };
        let client_url = format!("{scheme}://127.0.0.1:{}", free_port()?);
        let health_port = free_port()?;
        let mut arguments = vec![
            format!("--name=m{at}"),
            format!("--data-dir={}", home.join("data").display()),
            format!("--listen-client-urls={client_url}"),
            format!("--advertise-client-urls={client_url}"),
            format!("--listen-peer-urls={}", peers.listen[at]),
            format!("--initial-advertise-peer-urls={}", peers.advertise[at]),
            format!("--initial-cluster={}", peers.all()),
            format!("--listen-metrics-urls=http://127.0.0.1:{health_port}"),
            "--enable-grpc-gateway=false".to_owned(),
        ];
        if !options.durable {
            arguments.push("--unsafe-no-fsync".to_owned());
        }
        if let Some(pki) = pki {
            arguments.extend([
                format!("--cert-file={}", pki.serving_certificate().display()),
                format!("--key-file={}", pki.serving_key().display()),
                format!("--trusted-ca-file={}", pki.ca().display()),
                "--client-cert-auth".to_owned(),
            ]);
        }
        arguments.extend(options.arguments.iter().cloned());
        Ok(Self {
            process: None,
            arguments,
            client_url,
            health_port,
            logs: home,
        })
    }
}

async fn is_well(port: u16) -> bool {
    let asked = tokio::time::timeout(Duration::from_secs(2), async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n").await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    });
    let Ok(Ok(answer)) = asked.await else {
        return false;
    };
    let status = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    status.ends_with(b"200 OK")
}
