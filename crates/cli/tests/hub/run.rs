//! Runs the real program against the hub.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
};

use super::Hub;

/// No command here should take longer; the machine may be busy.
const LONGEST: Duration = Duration::from_secs(60);

/// What a run of the program came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    /// The output of a run that went well.
    #[track_caller]
    pub(crate) fn well(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.out
    }

    /// The errors of a run that ended with `code`.
    #[track_caller]
    pub(crate) fn failed(self, code: i32) -> String {
        assert_eq!(self.code, code, "{self:?}");
        self.err
    }
}

/// The program with nothing of the caller's environment.
pub(crate) fn berth(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_berth"));
    command
        .args(arguments)
        .env_clear()
        .env("HOME", "/nonexistent")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

pub(crate) async fn run(mut command: Command, input: &str) -> Ran {
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = tokio::time::timeout(LONGEST, child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Hub {
    /// Runs `berth ARGUMENTS` against this hub.
    pub(crate) async fn berth(&self, arguments: &str) -> Ran {
        self.berth_with(arguments, "").await
    }

    /// The same, with something on standard input.
    pub(crate) async fn berth_with(&self, arguments: &str, input: &str) -> Ran {
        run(self.command(arguments), input).await
    }

    fn command(&self, arguments: &str) -> Command {
        let arguments: Vec<&str> = arguments.split_whitespace().collect();
        let mut command = berth(&arguments);
        command.env("BERTH_CONTEXT", self.context());
        command
    }

    /// Starts `berth ARGUMENTS` and reads what it prints line by line.
    pub(crate) fn follow(&self, arguments: &str) -> Following {
        let mut child = self.command(arguments).stdin(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Following { _child: child, lines }
    }
}

/// A program that goes on. Killed when dropped.
pub(crate) struct Following {
    _child: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Following {
    pub(crate) async fn line(&mut self) -> String {
        tokio::time::timeout(LONGEST, self.lines.next_line())
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    }
}
