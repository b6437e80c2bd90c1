//! The audit log: what was done to it is found, and where; what befalls its writer leaves one chain.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use berth_identity::audit::{
    AuditKey, Event, Finding, Kind, Log, LogOptions, Problem, PublicKey, Report, Subject, Trust,
    newest_first, segments, verify_dir, verify_files,
};
use berth_model::Timestamp;
use proptest::prelude::*;
use tempfile::TempDir;

fn now() -> Timestamp {
    "2026-11-28T10:00:00Z".parse().unwrap()
}

fn options(segment_bytes: u64, seal_events: u64) -> LogOptions {
    LogOptions {
        segment_bytes,
        seal_events,
        ..LogOptions::new("log-1", "hub-1")
    }
}

fn event(number: usize) -> Event {
    Event {
        caller: "user:alice@example.com".into(),
        target: Some(Subject {
            kind: "tenant".into(),
            name: format!("t{number}"),
            tenant: format!("t{number}"),
        }),
        ..Event::new(Kind::Call, "TenantService/CreateTenant")
    }
}

struct Written {
    place: TempDir,
    key: Arc<AuditKey>,
}

impl Written {
    fn empty() -> Self {
        let place = tempfile::tempdir().unwrap();
        let key = Arc::new(AuditKey::load_or_create(&place.path().join("key")).unwrap());
        Self { place, key }
    }

    /// `events` events, closed.
    fn of(events: usize, options: LogOptions) -> Self {
        let written = Self::empty();
        let (mut log, opened) = written.open(options);
        assert!(opened.is_empty(), "{opened:?}");
        // Each write is waited for: a few at a time keep the tests short.
        let events: Vec<Event> = (0..events).map(event).collect();
        for some in events.chunks(4) {
            log.append(now(), some.to_vec()).unwrap();
        }
        log.seal(now()).unwrap();
        written
    }

    fn dir(&self) -> PathBuf {
        self.place.path().join("audit")
    }

    fn open(&self, options: LogOptions) -> (Log, Vec<String>) {
        let (log, opened) = Log::open(&self.dir(), self.key.clone(), options).unwrap();
        (log, opened.wrong)
    }

    fn verify(&self) -> Report {
        let trust = Trust {
            pins: vec![self.key.public().pin()],
            ..Trust::default()
        };
        verify_dir(&self.dir(), &trust).unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        segments(&self.dir())
            .unwrap()
            .into_iter()
            .map(|segment| segment.path)
            .collect()
    }

    /// All lines with where they stand.
    fn lines(&self) -> Vec<(PathBuf, String)> {
        let lines = |file: PathBuf| {
            let text = fs::read_to_string(&file).unwrap();
            text.lines()
                .map(|line| (file.clone(), line.to_owned()))
                .collect::<Vec<_>>()
        };
        self.files().into_iter().flat_map(lines).collect()
    }

    fn put(&self, lines: &[(PathBuf, String)]) {
        for file in self.files() {
            let text: String = lines
                .iter()
                .filter(|(of, _)| *of == file)
                .map(|(_, line)| format!("{line}\n"))
                .collect();
            fs::write(&file, text).unwrap();
        }
    }
}

/// Where line `index` of `lines` stands in its file, from 1.
fn place(lines: &[(PathBuf, String)], index: usize) -> (PathBuf, u64) {
    let file = lines[index].0.clone();
    let before = lines[..index].iter().filter(|(of, _)| *of == file).count();
    (file, before as u64 + 1)
}

fn names(report: &Report, at: &(PathBuf, u64)) -> bool {
    report
        .findings
        .iter()
        .any(|finding| finding.file == at.0 && finding.line == Some(at.1))
}

#[test]
fn a_log_that_nobody_touched_is_whole_across_segments_and_restarts() {
    let written = Written::of(20, options(1000, 3));
    for restart in 0..3 {
        let (mut log, wrong) = written.open(options(1000, 3));
        assert!(wrong.is_empty(), "{wrong:?}");
        log.append(now(), vec![event(restart), event(restart)]).unwrap();
    }
    let report = written.verify();
    assert_eq!(report.findings, []);
    assert!(report.segments > 3, "{report:?}");
    assert!(report.ends_with_head);
    assert_eq!(report.log.as_deref(), Some("log-1"));
    assert_eq!(report.keys, [written.key.public().clone()]);
    assert_eq!(report.last.unwrap().0, report.lines);
    let files = written.files();
    assert_eq!(
        verify_files(&files[1..3], &Trust::default()).unwrap().findings,
        []
    );
}

#[test]
fn every_bit_that_is_turned_is_found_and_its_line_named() {
    let written = Written::of(1, options(1 << 20, 2));
    let file = written.files().remove(0);
    let whole = fs::read(&file).unwrap();
    for at in 0..whole.len() {
        let line = whole[..at].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        for bit in 0..8 {
            let mut turned = whole.clone();
            turned[at] ^= 1 << bit;
            fs::write(&file, &turned).unwrap();
            let report = written.verify();
            assert!(
                names(&report, &(file.clone(), line)),
                "byte {at} bit {bit} of line {line}: {:?}",
                report.findings
            );
        }
    }
}

#[test]
fn every_bit_of_the_head_that_is_turned_is_found() {
    let written = Written::of(1, options(1 << 20, 2));
    let head = written.dir().join("head");
    let whole = fs::read(&head).unwrap();
    for at in 0..whole.len() {
        for bit in 0..8 {
            let mut turned = whole.clone();
            turned[at] ^= 1 << bit;
            fs::write(&head, &turned).unwrap();
            assert!(!written.verify().findings.is_empty(), "byte {at} bit {bit}");
        }
    }
    fs::remove_file(&head).unwrap();
    assert_eq!(written.verify().findings[0].problem, Problem::NoHead);
}

#[test]
fn every_line_that_is_taken_out_or_repeated_is_found_and_its_place_named() {
    let written = Written::of(12, options(1500, 4));
    let lines = written.lines();
    for index in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(index);
        written.put(&without);
        let report = written.verify();
        // What follows it shows that it is not there; behind the last one only the head does.
        let follows = if index < without.len() { index } else { index - 1 };
        assert!(
            names(&report, &place(&without, follows)),
            "without {index}: {:?}",
            report.findings
        );

        let mut twice = lines.clone();
        twice.insert(index, lines[index].clone());
        written.put(&twice);
        let report = written.verify();
        assert!(
            names(&report, &place(&twice, index + 1)),
            "twice {index}: {:?}",
            report.findings
        );
    }
}

#[test]
fn every_end_that_is_cut_off_is_found() {
    let written = Written::of(6, options(1 << 20, 2));
    let file = written.files().remove(0);
    let whole = fs::read(&file).unwrap();
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let report = written.verify();
        assert!(!report.findings.is_empty(), "cut to {length}");
    }
}

#[test]
fn every_segment_that_is_taken_away_is_found() {
    let written = Written::of(20, options(1000, 3));
    let files = written.files();
    for file in &files {
        let content = fs::read(file).unwrap();
        fs::remove_file(file).unwrap();
        assert!(!written.verify().findings.is_empty(), "{}", file.display());
        fs::write(file, content).unwrap();
    }
    assert_eq!(written.verify().findings, []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn lines_that_change_places_are_found_and_named(a in 0_usize..16, b in 0_usize..16) {
        let written = Written::of(12, options(1500, 4));
        let lines = written.lines();
        let (a, b) = (a.min(b), a.max(b));
        prop_assume!(a != b && b < lines.len());
        let mut swapped = lines.clone();
        swapped.swap(a, b);
        let (first, second) = (swapped[a].1.clone(), swapped[b].1.clone());
        swapped[a] = (lines[a].0.clone(), first);
        swapped[b] = (lines[b].0.clone(), second);
        written.put(&swapped);
        let report = written.verify();
        prop_assert!(names(&report, &place(&swapped, a)), "{:?}", report.findings);
    }

    #[test]
    fn a_bit_that_is_turned_anywhere_in_a_longer_log_is_found_and_its_line_named(at in any::<prop::sample::Index>(), within in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let written = Written::of(12, options(1500, 4));
        let lines = written.lines();
        let line = at.index(lines.len());
        let at = place(&lines, line);
        let mut whole = fs::read(&at.0).unwrap();
        let before: usize = lines[..line].iter().filter(|(of, _)| *of == at.0).map(|(_, line)| line.len() + 1).sum();
        whole[before + within.index(lines[line].1.len() + 1)] ^= 1 << bit;
        fs::write(&at.0, whole).unwrap();
        let report = written.verify();
        prop_assert!(names(&report, &at), "{:?}", report.findings);
    }

    #[test]
    fn a_line_that_is_written_anew_is_found_and_named(index in 0_usize..14, text in "[ -~]{0,40}") {
        let written = Written::of(12, options(1500, 4));
        let mut lines = written.lines();
        prop_assume!(lines[index].1.contains("alice") && text != "alice@example.com");
        let text = text.replace(['\\', '"'], "");
        lines[index].1 = lines[index].1.replace("alice@example.com", &text);
        written.put(&lines);
        let report = written.verify();
        prop_assert!(names(&report, &place(&lines, index)), "{:?}", report.findings);
        prop_assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    }

    #[test]
    fn nobodys_text_leaves_its_field_or_reaches_a_terminal(text in any::<String>()) {
        let written = Written::empty();
        let (mut log, _) = written.open(options(1 << 20, 10));
        let said = Event { reason: text.clone(), ..event(0) }.with("more", text.clone());
        log.append(now(), vec![said.clone()]).unwrap();
        let file = fs::read_to_string(written.files().remove(0)).unwrap();
        prop_assert_eq!(file.lines().count(), 2);
        prop_assert!(file.chars().all(|c| c == '\n' || !c.is_control()));
        let mut read = Vec::new();
        newest_first(&written.dir(), u64::MAX, |found| { read.push(found); true }).unwrap();
        let berth_identity::audit::Body::Event(back) = &read[0].line.body else { panic!("no event") };
        prop_assert_eq!(back.as_ref(), &said);
    }
}

#[test]
fn a_log_written_anew_with_another_key_is_not_believed() {
    let (ours, theirs) = (
        Written::of(4, options(1 << 20, 2)),
        Written::of(4, options(1 << 20, 2)),
    );
    let trust = Trust {
        keys: vec![ours.key.public().clone()],
        ..Trust::default()
    };
    assert_eq!(verify_dir(&ours.dir(), &trust).unwrap().findings, []);
    let found = verify_dir(&theirs.dir(), &trust).unwrap().findings;
    assert!(matches!(found[0].problem, Problem::Key(_)), "{found:?}");
    // By its own word it is whole: that is what a pin is for.
    assert_eq!(verify_dir(&theirs.dir(), &Trust::default()).unwrap().findings, []);
}

#[test]
fn a_hub_that_finds_its_log_cut_off_goes_on_behind_what_was_there() {
    let written = Written::of(6, options(1 << 20, 2));
    let file = written.files().remove(0);
    let whole = fs::read_to_string(&file).unwrap();
    let kept: String = whole.lines().take(4).map(|line| format!("{line}\n")).collect();
    fs::write(&file, kept).unwrap();
    let (mut log, wrong) = written.open(options(1 << 20, 2));
    assert!(wrong[0].contains("cut off"), "{wrong:?}");
    log.append(now(), vec![event(9)]).unwrap();
    log.seal(now()).unwrap();
    // The gap stays visible for ever.
    let found = written.verify().findings;
    assert!(
        found
            .iter()
            .any(|finding| matches!(finding.problem, Problem::Missing { from: 5, to: 10 })),
        "{found:?}"
    );
}

#[test]
fn half_a_line_that_a_crash_left_is_cut_off_and_the_chain_goes_on() {
    let written = Written::of(3, options(1 << 20, 2));
    let file = written.files().remove(0);
    let mut torn = fs::read(&file).unwrap();
    torn.extend_from_slice(b"{\"seq\":9,\"ti");
    fs::write(&file, torn).unwrap();
    let half = |finding: &Finding| finding.problem == Problem::Half;
    assert!(written.verify().findings.iter().any(half));
    let (mut log, wrong) = written.open(options(1 << 20, 2));
    assert!(wrong.is_empty(), "{wrong:?}");
    log.append(now(), vec![event(4)]).unwrap();
    assert_eq!(written.verify().findings, []);
}

#[test]
fn a_head_that_a_power_cut_set_back_is_brought_forward() {
    let written = Written::empty();
    let (mut log, _) = written.open(options(1 << 20, 100));
    log.append(now(), vec![event(0)]).unwrap();
    let head = fs::read(written.dir().join("head")).unwrap();
    log.append(now(), vec![event(1)]).unwrap();
    drop(log);
    fs::write(written.dir().join("head"), head).unwrap();
    assert_eq!(written.verify().findings, []);
    let (mut log, wrong) = written.open(options(1 << 20, 100));
    assert!(wrong.is_empty(), "{wrong:?}");
    log.append(now(), vec![event(2)]).unwrap();
    assert_eq!(written.verify().findings, []);
    assert_eq!(written.verify().lines, 4);
}

#[test]
fn a_directory_that_is_taken_away_is_noticed_and_the_log_goes_on_in_a_new_one() {
    let written = Written::of(2, options(1 << 20, 100));
    let (mut log, _) = written.open(options(1 << 20, 100));
    log.append(now(), vec![event(0)]).unwrap();
    fs::remove_dir_all(written.dir()).unwrap();
    assert!(log.append(now(), vec![event(1)]).is_err(), "it is nowhere");
    log.append(now(), vec![event(2)]).unwrap();
    let report = written.verify();
    assert!(
        matches!(report.findings[0].problem, Problem::Missing { from: 1, .. }),
        "{:?}",
        report.findings
    );
}

#[test]
fn what_was_not_acknowledged_is_not_in_a_directory_that_is_put_back() {
    let written = Written::of(2, options(1 << 20, 100));
    let (mut log, _) = written.open(options(1 << 20, 100));
    log.append(now(), vec![event(0)]).unwrap();
    let kept = written.place.path().join("kept");
    fs::rename(written.dir(), &kept).unwrap();
    assert!(log.append(now(), vec![event(1)]).is_err());
    fs::rename(&kept, written.dir()).unwrap();
    log.append(now(), vec![event(2)]).unwrap();
    assert_eq!(written.verify().findings, []);
}

#[test]
fn a_log_that_cannot_be_written_says_so_and_recovers() {
    let written = Written::of(2, options(1 << 20, 100));
    let (mut log, _) = written.open(options(1, 100));
    let kept = written.place.path().join("kept");
    fs::rename(written.dir(), &kept).unwrap();
    fs::write(written.dir(), "in the way").unwrap();
    assert!(log.append(now(), vec![event(1)]).is_err());
    fs::remove_file(written.dir()).unwrap();
    fs::rename(&kept, written.dir()).unwrap();
    log.append(now(), vec![event(2)]).unwrap();
    log.seal(now()).unwrap();
    assert_eq!(written.verify().findings, []);
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_command_that_helps() {
    use std::os::unix::fs::PermissionsExt as _;
    let written = Written::empty();
    let dir = written.place.path().join("key");
    let key = dir.join("audit.key");
    for mode in [0o644, 0o640, 0o604] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let refused = AuditKey::load_or_create(&dir).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("chmod 600 {}", key.display())),
            "{refused}"
        );
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        assert!(AuditKey::load_or_create(&dir).is_ok());
    }
}

#[test]
fn the_public_key_is_read_as_it_is_written() {
    let written = Written::empty();
    let public = |path: &Path| PublicKey::parse(&fs::read_to_string(path).unwrap());
    let read = public(&written.place.path().join("key/audit.pub")).unwrap();
    assert_eq!(&read, written.key.public());
    assert_eq!(read.pin().to_string().parse(), Ok(read.pin()));
    assert!(PublicKey::parse("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----").is_err());
}
