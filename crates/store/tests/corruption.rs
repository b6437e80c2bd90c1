//! Whatever happens to the files of a store: it is refused, or everything acknowledged is there. 150 trials, and every one of the seeds
//! that ever found something.
#![expect(clippy::unwrap_used, reason = "tests")]

use berth_store::corruption;

async fn trials(seed: u64, trials: u32) {
    let (origin, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let prepared = corruption::prepare(origin.path(), seed).await.unwrap();
    assert!(prepared.entries() > 1300, "{}", prepared.entries());
    let report = prepared.run(scratch.path(), trials, seed, |_| ()).await.unwrap();
    eprintln!("{report}");
    assert!(report.silent.is_empty(), "{report}\n{}", report.silent.join("\n"));
    assert_eq!(report.refused + report.intact, trials);
    assert!(
        report.refused > trials / 4,
        "hardly anything was damaged: {report}"
    );
}

#[tokio::test]
async fn a_store_damaged_at_random_is_refused_or_whole() {
    trials(rand::random(), 150).await;
}
