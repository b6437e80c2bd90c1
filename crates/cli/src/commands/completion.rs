//! `berth completion`.

use clap::CommandFactory as _;

use crate::{
    args::{Cli, Completion},
    exit::Failure,
    terminal::Terminal,
};

pub(super) fn run(args: &Completion, terminal: &Terminal) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "berth", &mut script);
    terminal.print(&String::from_utf8_lossy(&script))
}
