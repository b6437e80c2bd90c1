//! `berth`: the command line, in kubectl's habits. Speaks to a hub by its public API and knows nothing of what is behind it.

mod args;
mod client;
mod commands;
mod context;
mod dev;
mod exit;
mod files;
mod kinds;
mod login;
mod output;
mod terminal;

use std::process::ExitCode;

use clap::Parser as _;

use args::{Cli, Command};
use terminal::Terminal;

fn main() -> ExitCode {
    // More than one TLS provider may be linked in; the first line settles which one is used.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        // Help is Berth's own; an error repeats what was given.
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            Terminal::new(true).note(error.render().to_string().trim_end());
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    if let Command::Hub(options) = cli.command {
        return berth_hub::start(*options);
    }
    let terminal = Terminal::new(cli.common.no_color);
    match commands::run(cli, &terminal) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in &failure.lines {
                terminal.note(&format!("error: {line}"));
            }
            failure.exit.into()
        }
    }
}
