//! Rolling the authority over: where it stands is in the files, whoever dies when.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

use std::path::Path;

use berth_identity::{AGENT_LIFETIME, Authority, CaPins, Credential, Stage, certificate, key};
use berth_model::{ClusterName, FleetId, Timestamp, Uid};

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn authority() -> (tempfile::TempDir, Authority) {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::load_or_create(dir.path(), now()).unwrap();
    (dir, authority)
}

fn again(dir: &Path) -> Authority {
    Authority::load_or_create(dir, now()).unwrap()
}

fn leaf(authority: &Authority) -> Vec<u8> {
    let (fleet, cluster) = (FleetId::new("f1").unwrap(), ClusterName::new("eu-1").unwrap());
    let csr = key::signing_request(&key::generate().unwrap()).unwrap();
    let issued = authority
        .issue_agent(
            &fleet,
            (&cluster, &Uid::new("u-1").unwrap()),
            &csr,
            now(),
            AGENT_LIFETIME,
        )
        .unwrap();
    certificate::first(&issued.certificate_pem).unwrap().to_vec()
}

fn server(authority: &Authority) -> Credential {
    authority
        .issue_server(&["localhost".to_owned()], now(), AGENT_LIFETIME)
        .unwrap()
}

#[test]
fn the_next_authority_is_trusted_before_it_signs_and_the_old_one_after_it_signs_no_more() {
    let (dir, authority) = authority();
    let first = authority.pin();
    let of_first = leaf(&authority);
    assert_eq!(authority.stage(), Stage::Single);
    assert_eq!(authority.pins(), CaPins::from(first));

    authority.begin_rotation(now()).unwrap();
    let Stage::Announced { next } = authority.stage() else {
        panic!("{:?}", authority.stage());
    };
    assert_eq!(authority.pin(), first);
    assert_eq!(authority.pins(), CaPins::new(first, [next]));
    assert_eq!(authority.trust().pins, CaPins::new(first, [next]));
    assert_eq!(authority.issuer_of(&leaf(&authority)), Some(first));
    assert!(authority.begin_rotation(now()).is_err() && authority.retire_old(now()).is_err());

    authority.finish_rotation(now()).unwrap();
    assert_eq!(authority.stage(), Stage::Switched { old: first });
    assert_eq!(authority.pin(), next);
    assert_eq!(authority.pins(), CaPins::from(next));
    assert_eq!(authority.trust().pins, CaPins::new(next, [first]));
    assert_eq!(authority.issuer_of(&leaf(&authority)), Some(next));
    assert_eq!(authority.issuer_of(&of_first), Some(first));
    assert!(
        server(&authority)
            .certificate_pem
            .ends_with(&authority.certificate_pem())
    );
    assert!(authority.abort_rotation(now()).is_err() && authority.begin_rotation(now()).is_err());

    authority.retire_old(now()).unwrap();
    assert_eq!(authority.stage(), Stage::Single);
    assert_eq!(authority.trust().pins, CaPins::from(next));
    assert_eq!(authority.issuer_of(&of_first), None);
    assert_eq!(again(dir.path()).trust(), authority.trust());
    assert_eq!(files(dir.path()), ["ca.crt", "ca.key"]);
}

#[test]
fn a_next_authority_that_is_given_up_leaves_everything_as_it_was() {
    let (dir, authority) = authority();
    let before = authority.trust();
    assert!(authority.abort_rotation(now()).is_err());
    authority.begin_rotation(now()).unwrap();
    authority.abort_rotation(now()).unwrap();
    assert_eq!((authority.trust(), authority.stage()), (before, Stage::Single));
    assert_eq!(files(dir.path()), ["ca.crt", "ca.key"]);
}

#[test]
fn wherever_the_step_to_the_next_authority_is_cut_short_it_has_happened_or_not() {
    let (dir, authority) = authority();
    let first = authority.pin();
    authority.begin_rotation(now()).unwrap();
    let Stage::Announced { next } = authority.stage() else {
        panic!("{:?}", authority.stage());
    };
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let (ca_crt, ca_key) = (read("ca.crt"), read("ca.key"));
    let (next_crt, next_key) = (read("next.crt"), read("next.key"));
    // What is there after each write of the step, in their order.
    let mut states = vec![vec![
        ("ca.crt", &ca_crt),
        ("ca.key", &ca_key),
        ("next.crt", &next_crt),
        ("next.key", &next_key),
        ("old.crt", &ca_crt),
    ]];
    for (name, content) in [("ca.key", &next_key), ("ca.crt", &next_crt)] {
        let mut state = states.last().unwrap().clone();
        state.iter_mut().find(|(file, _)| *file == name).unwrap().1 = content;
        states.push(state);
    }
    for gone in ["next.key", "next.crt"] {
        let mut state = states.last().unwrap().clone();
        state.retain(|(file, _)| *file != gone);
        states.push(state);
    }
    for state in states {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in &state {
            std::fs::write(dir.path().join(name), content).unwrap();
        }
        let names: Vec<_> = state.iter().map(|(name, _)| *name).collect();
        let found = again(dir.path());
        assert_eq!(found.pin(), next, "{names:?}");
        assert_eq!(found.stage(), Stage::Switched { old: first }, "{names:?}");
        assert_eq!(files(dir.path()), ["ca.crt", "ca.key", "old.crt"], "{names:?}");
    }
}

fn files(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
