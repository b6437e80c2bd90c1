//! The authority is rolled over under several hubs, each with a `ca/` of its own, while an agent stays connected.

use anyhow::Context as _;
use berth_proto::v1;
use berth_tests::{
    cli::Cli,
    hubs::{CLUSTER, Hubs, copy},
    waiting::{LONG, until},
};

use super::untouched;

async fn authority(hubs: &Hubs, hub: usize) -> anyhow::Result<v1::Authority> {
    let mut client = hubs.hubs[hub].api()?.hubs();
    let answer = client.get_authority(v1::GetAuthorityRequest {}).await?;
    answer.into_inner().authority.context("an authority")
}

async fn until_authority(
    hubs: &Hubs,
    hub: usize,
    what: &str,
    is_so: impl Fn(&v1::Authority) -> bool,
) -> anyhow::Result<v1::Authority> {
    until(LONG, what, || async {
        let found = authority(hubs, hub).await?;
        Ok(is_so(&found).then_some(found))
    })
    .await
    .with_context(|| hubs.logs())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_is_rolled_over_under_several_hubs_and_the_agent_follows_to_each() {
    let mut hubs = Hubs::start(3, 1).await.unwrap();
    hubs.join().await.unwrap();
    hubs.create("kept").await.unwrap();
    hubs.ready("kept").await.unwrap();
    let kube = hubs.kube().unwrap();
    let before = untouched(&kube).await.unwrap();
    let first = hubs.leader().await.unwrap();
    let (second, forgotten) = ((first + 1) % 3, (first + 2) % 3);
    let cli = Cli::new(&hubs.programs, &hubs.hubs[first].context());
    cli.fine(&["fleet", "rotate-authority"]).await.unwrap();
    let announced = until_authority(&hubs, first, "the agent trusts the next authority", |found| {
        found.stage == "announced" && found.trusting == 1
    })
    .await
    .unwrap();
    // The others have to have it first.
    let refused = cli
        .call(&["fleet", "rotate-authority", "--finish"])
        .await
        .unwrap();
    assert_eq!(refused.code, 5, "{refused:?}");
    assert!(refused.err.contains("copy ca/"), "{refused:?}");
    let ca = hubs.hubs[first].data().join("ca");
    let to = hubs.hubs[second].data().join("ca");
    copy(&ca, &to).unwrap();
    hubs.hubs[second].process().stop().await.unwrap();
    hubs.hubs[second].start_again().await.unwrap();
    cli.fine(&["fleet", "rotate-authority", "--finish", "--force"])
        .await
        .unwrap();
    until_authority(&hubs, first, "the agent has a certificate of it", |found| {
        found.stage == "switched" && found.pin == announced.next_pin && found.using_current == 1
    })
    .await
    .unwrap();

    // One that was forgotten ends when it would lead or starts, and says what is missing.
    hubs.hubs[forgotten].process().stop().await.unwrap();
    hubs.hubs[forgotten].launch(&[]).unwrap();
    let ended = hubs.hubs[forgotten].process().ended(LONG).await.unwrap();
    let log = hubs.hubs[forgotten].log_end(10);
    assert_eq!(ended.code(), Some(78), "{log}");
    assert!(log.contains("copy ca/"), "{log}");

    // The one with the next authority's key goes over as it takes the lead, and the agent comes to it.
    hubs.hubs[first].process().kill().await.unwrap();
    assert_eq!(hubs.leader_but(Some(first)).await.unwrap(), second);
    hubs.hubs[second].api().unwrap().connected(CLUSTER).await.unwrap();
    until_authority(&hubs, second, "the second hub has gone over", |found| {
        found.stage == "switched" && found.pin == announced.next_pin && found.using_current == 1
    })
    .await
    .unwrap();
    hubs.create("made").await.unwrap();
    hubs.ready("made").await.unwrap();

    // What is retired is retired at one hub; the others get its ca/ in place of theirs.
    let cli = Cli::new(&hubs.programs, &hubs.hubs[second].context());
    cli.fine(&["fleet", "rotate-authority", "--retire"])
        .await
        .unwrap();
    for other in [first, forgotten] {
        let mine = hubs.hubs[other].data().join("ca");
        std::fs::remove_dir_all(&mine).unwrap();
        copy(&hubs.hubs[second].data().join("ca"), &mine).unwrap();
        hubs.hubs[other].start_again().await.unwrap();
    }
    hubs.hubs[second].process().stop().await.unwrap();
    let third = hubs.leader_but(Some(second)).await.unwrap();
    hubs.hubs[third].api().unwrap().connected(CLUSTER).await.unwrap();
    until_authority(&hubs, third, "nobody trusts the old one", |found| {
        found.stage == "single" && found.pin == announced.next_pin && found.trusting == 1
    })
    .await
    .unwrap();
    hubs.ready("kept").await.unwrap();
    let after = untouched(&kube).await.unwrap();
    assert_eq!(super::of(&after, "kept"), super::of(&before, "kept"));
    hubs.stop().await;
}
