//! Downloads from a local server that behaves, lies, refuses or falls silent.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::*;

const PLATFORM: Platform = Platform {
    system: "linux",
    processor: "amd64",
};
const APISERVER: &str = "/v1.36.3/bin/linux/amd64/kube-apiserver";

/// What the server says to a path.
#[derive(Clone)]
enum Answer {
    Body(Vec<u8>),
    /// Promises more than it sends, then keeps the connection open.
    StallAfter(Vec<u8>),
}

/// Path and `Range` header of every request.
type Asked = Mutex<Vec<(String, Option<String>)>>;

struct Server {
    url: String,
    asked: Arc<Asked>,
}

impl Server {
    fn start(answers: BTreeMap<String, Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, log) = (answers.clone(), Arc::clone(&log));
                std::thread::spawn(move || serve(stream.expect("a connection"), &answers, &log));
            }
        });
        Self { url, asked }
    }

    fn downloader(&self) -> Downloader {
        Downloader {
            stalled_after: Duration::from_millis(300),
            ..Downloader::new(Some(&self.url), PLATFORM)
        }
    }
}

fn serve(mut stream: TcpStream, answers: &BTreeMap<String, Answer>, log: &Asked) {
    let mut lines = BufReader::new(stream.try_clone().expect("a stream"))
        .lines()
        .map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let path = first.split(' ').nth(1).expect("a path").to_owned();
    let range = lines.take_while(|line| !line.is_empty()).find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("range").then(|| value.to_owned())
    });
    log.lock()
        .expect("not poisoned")
        .push((path.clone(), range.clone()));
    let mut answer = |status: &str, length: usize, body: &[u8]| {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
        let _ = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body));
    };
    match answers.get(&path) {
        None => answer("404 Not Found", 0, b""),
        Some(Answer::Body(body)) => {
            match range.and_then(|range| range[6..range.len() - 1].parse::<usize>().ok()) {
                Some(from) => answer("206 Partial Content", body.len() - from, &body[from..]),
                None => answer("200 OK", body.len(), body),
            }
        }
        Some(Answer::StallAfter(body)) => {
            answer("200 OK", body.len() + 1, body);
            // Until the client goes away.
            let _ = stream.read(&mut [0]);
        }
    }
}

fn sum(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

fn with(answers: impl IntoIterator<Item = (String, Answer)>) -> Server {
    Server::start(answers.into_iter().collect())
}

fn apiserver(body: Answer, checksum: &str) -> Server {
    let checksum = Answer::Body(checksum.as_bytes().to_vec());
    with([
        (APISERVER.to_owned(), body),
        (format!("{APISERVER}.sha256"), checksum),
    ])
}

/// A mirror with everything, each program being its own name.
fn mirror() -> Server {
    let mut answers = BTreeMap::new();
    for program in Program::ALL {
        let source = program.source(Platform::own(), Some(""));
        let body = match &source.member {
            // Programs of one maker come in one archive.
            Some(_) => {
                let beside = Program::ALL.map(|one| (one.source(Platform::own(), Some("")), one.name()));
                let members: Vec<_> = beside
                    .iter()
                    .filter(|(other, _)| other.url == source.url)
                    .filter_map(|(other, name)| Some((other.member.as_deref()?, *name)))
                    .collect();
                archive(&members)
            }
            None => program.name().as_bytes().to_vec(),
        };
        let file = source.url.rsplit('/').next().expect("a file");
        answers.insert(
            source.checksum_url,
            Answer::Body(format!("{}  {file}\n", sum(&body)).into_bytes()),
        );
        answers.insert(source.url, Answer::Body(body));
    }
    Server::start(answers)
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, path, content.as_bytes())
            .expect("packed");
    }
    archive
        .into_inner()
        .and_then(flate2::write::GzEncoder::finish)
        .expect("packed")
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn content(directory: &tempfile::TempDir) -> Vec<String> {
    let entries = std::fs::read_dir(directory.path()).expect("a listing");
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect()
}

#[test]
fn a_program_with_the_right_checksum_is_installed_executable() {
    use std::os::unix::fs::PermissionsExt as _;
    let program = vec![7; 200_000];
    let server = apiserver(Answer::Body(program.clone()), &sum(&program));
    let target = directory();
    server
        .downloader()
        .install(Program::Apiserver, target.path())
        .expect("installed");
    assert_eq!(content(&target), ["kube-apiserver"]);
    let path = target.path().join("kube-apiserver");
    assert_eq!(std::fs::read(&path).expect("the program"), program);
    assert_eq!(
        std::fs::metadata(&path).expect("its mode").permissions().mode() & 0o777,
        0o755
    );
}

#[test]
fn a_program_with_another_checksum_is_refused_and_nothing_stays() {
    let server = apiserver(Answer::Body(b"something else".to_vec()), &sum(b"the program"));
    let target = directory();
    let error = server
        .downloader()
        .install(Program::Apiserver, target.path())
        .expect_err("refused");
    assert!(matches!(error, Error::WrongChecksum { .. }), "{error}");
    assert!(content(&target).is_empty());
}

#[test]
fn a_program_without_a_checksum_is_not_even_asked_for() {
    let server = with([(APISERVER.to_owned(), Answer::Body(b"the program".to_vec()))]);
    let target = directory();
    let error = server
        .downloader()
        .install(Program::Apiserver, target.path())
        .expect_err("refused");
    assert!(
        matches!(
            error,
            Error::Refused {
                status: StatusCode::NOT_FOUND,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(server.asked.lock().expect("not poisoned").len(), 1);
    assert!(content(&target).is_empty());
}

#[test]
fn a_checksum_that_is_a_page_of_something_else_is_refused() {
    let server = apiserver(Answer::Body(b"the program".to_vec()), "<html>welcome</html>");
    let error = server
        .downloader()
        .install(Program::Apiserver, directory().path())
        .expect_err("refused");
    assert!(matches!(error, Error::NoChecksum { .. }), "{error}");
}

#[test]
fn a_program_that_is_not_published_is_reported_with_its_address() {
    let server = with([(
        format!("{APISERVER}.sha256"),
        Answer::Body(sum(b"x").into_bytes()),
    )]);
    let error = server
        .downloader()
        .install(Program::Apiserver, directory().path())
        .expect_err("refused");
    assert_eq!(
        error.to_string(),
        format!("{}{APISERVER} answers 404 Not Found", server.url)
    );
}

#[test]
fn a_server_that_falls_silent_is_given_up_and_the_next_attempt_continues() {
    let program = b"first half, second half".to_vec();
    let (half, _) = program.split_at(11);
    let target = directory();
    let silent = apiserver(Answer::StallAfter(half.to_vec()), &sum(&program));
    let error = silent
        .downloader()
        .install(Program::Apiserver, target.path())
        .expect_err("given up");
    assert!(matches!(error, Error::Stalled { .. }), "{error}");
    assert!(!target.path().join("kube-apiserver").exists());

    let server = apiserver(Answer::Body(program.clone()), &sum(&program));
    server
        .downloader()
        .install(Program::Apiserver, target.path())
        .expect("installed");
    assert_eq!(
        std::fs::read(target.path().join("kube-apiserver")).expect("the program"),
        program
    );
    let asked = server.asked.lock().expect("not poisoned");
    assert!(
        asked.contains(&(APISERVER.to_owned(), Some("bytes=11-".to_owned()))),
        "{asked:?}"
    );
}

#[test]
fn a_server_that_nobody_runs_is_noticed_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let error = Downloader::new(Some(&url), PLATFORM)
        .install(Program::Kwok, directory().path())
        .expect_err("nobody");
    assert!(matches!(error, Error::Request { .. }), "{error}");
}

#[test]
fn etcd_is_taken_out_of_its_archive() {
    let archive = archive(&[
        ("etcd-v3.7.3-linux-amd64/README.md", "read me"),
        ("etcd-v3.7.3-linux-amd64/etcdctl", "control"),
        ("etcd-v3.7.3-linux-amd64/etcd", "the program"),
    ]);
    let sums = format!(
        "{}  other.tar.gz\n{}  etcd-v3.7.3-linux-amd64.tar.gz\n",
        sum(b"other"),
        sum(&archive)
    );
    let base = "/etcd/v3.7.3";
    let server = with([
        (
            format!("{base}/etcd-v3.7.3-linux-amd64.tar.gz"),
            Answer::Body(archive),
        ),
        (format!("{base}/SHA256SUMS"), Answer::Body(sums.into_bytes())),
    ]);
    let target = directory();
    server
        .downloader()
        .install(Program::Etcd, target.path())
        .expect("installed");
    assert_eq!(content(&target), ["etcd"]);
    assert_eq!(
        std::fs::read(target.path().join("etcd")).expect("the program"),
        b"the program"
    );
}

#[test]
fn a_mirror_with_everything_is_all_that_is_needed() {
    let (server, target) = (mirror(), directory());
    let options = crate::ControlPlane {
        dir: Some(target.path().join("programs")),
        download_base: Some(server.url.clone()),
    };
    let installed = super::super::obtain(&options)
        .expect("everything is there")
        .expect("a directory");
    assert_eq!(installed, target.path().join("programs"));
    for program in Program::ALL {
        assert_eq!(
            std::fs::read_to_string(installed.join(program.name())).expect("a program"),
            program.name()
        );
    }
    let asked = server.asked.lock().expect("not poisoned").len();
    super::super::obtain(&options).expect("nothing to do");
    assert_eq!(server.asked.lock().expect("not poisoned").len(), asked);
}
