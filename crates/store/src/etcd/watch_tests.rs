//! What a watch makes of etcd's answers, one by one.

use etcd_client::proto::{PbEvent, PbKeyValue, PbResponseHeader};

use super::*;
use crate::{etcd::EtcdOptions, etcd::election::Office, key::Key};

fn watch() -> State {
    let options = EtcdOptions::new(vec!["http://127.0.0.1:1".into()]);
    let link = Arc::new(Link::new(&options).unwrap());
    let clock = Arc::new(berth_runtime::clock::SystemClock::new());
    let keys = Keys::under(&options.prefix);
    let count = Arc::new(Count::new(Arc::new(Office::new(options.lease_ttl))));
    State::new(link, keys, clock, count, Revision(10))
}

fn answer(fragment: bool, changes: &[(i64, &str)]) -> PbWatchResponse {
    let event = |(revision, key): &(i64, &str)| PbEvent {
        kv: Some(PbKeyValue {
            key: format!("/berth/data/{key}").into(),
            mod_revision: *revision,
            ..PbKeyValue::default()
        }),
        ..PbEvent::default()
    };
    PbWatchResponse {
        header: Some(PbResponseHeader {
            revision: 20,
            cluster_id: 7,
            ..PbResponseHeader::default()
        }),
        fragment,
        events: changes.iter().map(event).collect(),
        ..PbWatchResponse::default()
    }
}

fn ready(watch: &mut State) -> Vec<(u64, String, bool)> {
    let all = watch.ready.drain(..);
    all.map(|change| (change.revision.0, change.key.to_string(), change.last))
        .collect()
}

fn change(revision: u64, key: &str, last: bool) -> (u64, String, bool) {
    (revision, key.to_owned(), last)
}

#[tokio::test]
async fn a_transaction_is_given_out_when_it_is_whole() {
    let mut watch = watch();
    watch.take(answer(true, &[(11, "a"), (12, "b")])).unwrap();
    assert_eq!(ready(&mut watch), [change(11, "a", true)]);
    watch.take(answer(true, &[(12, "c")])).unwrap();
    assert_eq!((ready(&mut watch), watch.seen), (vec![], Revision(11)));
    watch.take(answer(false, &[(12, "d"), (13, "e")])).unwrap();
    let whole = [
        change(12, "b", false),
        change(12, "c", false),
        change(12, "d", true),
        change(13, "e", true),
    ];
    assert_eq!(ready(&mut watch), whole);
    assert_eq!(watch.seen, Revision(13));
}

#[tokio::test]
async fn a_transaction_that_broke_in_the_middle_comes_once() {
    let mut watch = watch();
    watch.take(answer(true, &[(11, "a"), (12, "b")])).unwrap();
    watch.forget();
    assert_eq!(watch.seen, Revision(11));
    watch
        .take(answer(false, &[(11, "a"), (12, "b"), (12, "c")]))
        .unwrap();
    let once = [
        change(11, "a", true),
        change(12, "b", false),
        change(12, "c", true),
    ];
    assert_eq!(ready(&mut watch), once);
}

#[tokio::test]
async fn silence_moves_on_and_the_answer_to_the_question_does_not() {
    let mut watch = watch();
    let created = PbWatchResponse {
        created: true,
        ..answer(false, &[])
    };
    watch.take(created).unwrap();
    assert_eq!(watch.seen, Revision(10), "what is between is still to come");
    watch.take(answer(false, &[])).unwrap();
    assert_eq!(watch.seen, Revision(20));
}

#[tokio::test]
async fn another_etcd_behind_the_same_address_is_another_history() {
    let mut watch = watch();
    watch.take(answer(false, &[(11, "a")])).unwrap();
    let mut restored = answer(false, &[(12, "b")]);
    if let Some(header) = &mut restored.header {
        header.cluster_id = 8;
    }
    let told = watch.take(restored).unwrap_err();
    assert!(
        matches!(
            told,
            StoreError::Compacted {
                asked: Revision(11),
                ..
            }
        ),
        "{told}"
    );
}

#[tokio::test]
async fn strangers_keys_do_not_end_a_transaction() {
    let mut watch = watch();
    let mut mixed = answer(false, &[(11, "a"), (11, "not a key"), (12, "b")]);
    mixed.events.push(PbEvent::default());
    watch.take(mixed).unwrap();
    assert_eq!(ready(&mut watch), [change(11, "a", true), change(12, "b", true)]);
    assert!(Key::new("not a key").is_err());
}
