//! How long a commit takes here: `cargo run --release -p berth-store --example commit_latency [DIR]`, and with
//! `--features etcd` and `-- --etcd etcd://HOST:PORT` how long on that etcd.
//!
//! Prints the median of a bare write and fdatasync, of a single transaction on an idle store, and how many transactions a
//! second 64 writers get through, and what a store of 10,000 tenants takes of memory and of disk.

use std::{
    error::Error,
    fs::File,
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use berth_store::{Key, SledOptions, SledStore, Store, Txn};
use futures::future::try_join_all;

#[expect(clippy::disallowed_methods, reason = "a measurement by hand")]
fn now() -> Instant {
    Instant::now()
}

fn percentiles(mut times: Vec<Duration>) -> String {
    times.sort_unstable();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    format!("p50 {:?}, p90 {:?}, p99 {:?}", at(50), at(90), at(99))
}

fn resident_mib() -> u64 {
    berth_runtime::memory::resident().unwrap_or_default().0 >> 20
}

async fn open(dir: PathBuf) -> Result<(), Box<dyn Error>> {
    let before = resident_mib();
    let start = now();
    let store = SledStore::open(&SledOptions::new(&dir))?;
    println!(
        "opening with {} transactions: {:?}",
        store.revision().await?,
        start.elapsed()
    );
    println!(
        "resident: {before} MiB before, {} MiB after opening",
        resident_mib()
    );
    println!(
        "on disk: {} MiB",
        std::fs::metadata(dir.join("sled/db"))?.len() >> 20
    );
    Ok(())
}

/// Writes 300 bytes under ever new names: 500 times one after another, then by 64 writers.
async fn commits(store: &impl Store) -> Result<(), Box<dyn Error>> {
    let mut times = Vec::new();
    for at in 0..500_u32 {
        let start = now();
        store
            .txn(Txn::new().put(Key::new(format!("idle/{at}"))?, vec![7; 300]))
            .await?;
        times.push(start.elapsed());
    }
    println!("one transaction, idle store: {}", percentiles(times));

    let start = now();
    let writers = (0..64_u32).map(|writer| async move {
        for at in 0..50_u32 {
            let key = Key::new(format!("busy/{writer}/{at}"))?;
            store.txn(Txn::new().put(key, vec![7; 300])).await?;
        }
        Ok::<_, Box<dyn Error>>(())
    });
    try_join_all(writers).await?;
    println!(
        "64 writers: {:.0} transactions a second",
        3200.0 / start.elapsed().as_secs_f64()
    );
    Ok(())
}

#[cfg(feature = "etcd")]
async fn on_etcd(url: &str) -> Result<(), Box<dyn Error>> {
    use berth_store::{Candidate, Election, EtcdOptions, EtcdStore};

    let _ = rustls::crypto::ring::default_provider().install_default();
    let options = EtcdOptions {
        prefix: format!("/berth-latency-{}/", uuid::Uuid::new_v4()),
        ..EtcdOptions::parse(url)?
    };
    let store = EtcdStore::connect(&options).await?;
    let leadership = store.campaign(&Candidate::default()).await?;
    commits(&store).await?;
    drop(leadership);
    store.close().await;

    // A leader that ends in order, to the next one that was waiting.
    let mut times = Vec::new();
    for _ in 0..20 {
        let (old, new) = (
            EtcdStore::connect(&options).await?,
            EtcdStore::connect(&options).await?,
        );
        let leadership = old.campaign(&Candidate::default()).await?;
        let next = tokio::spawn(async move { new.campaign(&Candidate::default()).await });
        // Until it has looked and waits.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let start = now();
        drop(leadership);
        let next = next.await??;
        times.push(start.elapsed());
        drop(next);
    }
    println!("leader gives up, the next one leads: {}", percentiles(times));
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    if let (Some(flag), Some(place)) = (std::env::args().nth(1), std::env::args().nth(2)) {
        match flag.as_str() {
            "--open" => return open(place.into()).await,
            #[cfg(feature = "etcd")]
            "--etcd" => return on_etcd(&place).await,
            _ => return Err(format!("what is {flag}?").into()),
        }
    }
    let dir = std::env::args()
        .nth(1)
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join("commit-latency");
    std::fs::create_dir_all(&dir)?;
    let mut file = File::create(dir.join("plain"))?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let start = now();
        file.write_all(&[7; 300])?;
        file.sync_data()?;
        times.push(start.elapsed());
    }
    println!("bare write and fdatasync: {}", percentiles(times));

    let store = SledStore::open(&SledOptions::new(dir.join("store")))?;
    commits(&store).await?;
    store.close().await;

    let store = SledStore::open(&SledOptions::new(dir.join("store")))?;
    let fill = (0..100_u32).map(|part| {
        let store = &store;
        async move {
            for at in 0..100_u32 {
                let mut txn = Txn::new();
                for (shelf, bytes) in [("tenants", 1500), ("status", 800), ("objects", 3000)] {
                    txn = txn.put(Key::new(format!("{shelf}/{part}-{at}"))?, vec![7; bytes]);
                }
                store.txn(txn).await?;
            }
            Ok::<_, Box<dyn Error>>(())
        }
    });
    let start = now();
    try_join_all(fill).await?;
    println!("10,000 tenants of 5.3 kB written in {:?}", start.elapsed());
    store.close().await;
    drop(store);

    // In a process of its own, whose memory nothing else has touched.
    std::process::Command::new(std::env::current_exe()?)
        .arg("--open")
        .arg(dir.join("store"))
        .status()?;
    std::fs::remove_dir_all(&dir)?;
    Ok(())
}
