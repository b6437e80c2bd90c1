//! `berth audit verify` and `berth get audit`: whether an audit log is as it was written, and what is in a hub's.

mod list;
mod verify;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::store::Format;
use crate::{exit::Failure, terminal::Terminal};

pub(super) use list::{is_audit, list, newest};

/// Check audit logs.
#[derive(Subcommand, Debug)]
pub(crate) enum Audit {
    /// Check offline whether an audit log is as it was written, and name where it is not; exit code 78 when something is wrong
    Verify(Verify),
}

/// Check whether an audit log is as it was written. Finds lines that were changed, taken out, put in, moved or repeated, and an end that was
/// cut off, and names file and line. Needs no hub. A whole log is a directory with its file `head`; of single segments nothing can be said
/// about what is before and after them.
#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// The log's directory (DATA_DIR/audit), a data directory, or some segments of a log
    #[arg(value_name = "DIR|FILE", required = true)]
    paths: Vec<PathBuf>,
    /// The public key that signs it (DATA_DIR/audit-key/audit.pub), kept where nobody can exchange it with the log; repeatable
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// The key's pin, sha256:..., in place of the key; repeatable
    #[arg(long, value_name = "PIN")]
    pin: Vec<String>,
    /// How to show the result
    #[arg(short, long, default_value = "text", value_name = "FORMAT")]
    output: Format,
}

/// Which events.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Options of berth get audit")]
pub(crate) struct Filter {
    /// Only events about that tenant
    #[arg(long, value_name = "TENANT")]
    tenant: Option<String>,
    /// Only by that caller, such as user:alice@example.com
    #[arg(long, value_name = "SUBJECT")]
    caller: Option<String>,
    /// Only of that call, such as CreateTenant or SavePlacement
    #[arg(long, value_name = "CALL")]
    call: Option<String>,
    /// Only with that outcome, such as OK or PERMISSION_DENIED
    #[arg(long, value_name = "CODE")]
    outcome: Option<String>,
    /// Only of that kind: call, denial, login, agent, decision, hub or audit
    #[arg(long, value_name = "KIND", value_parser = ["call", "denial", "login", "agent", "decision", "hub", "audit"])]
    kind: Option<String>,
    /// Only those of the last while, such as 1h
    #[arg(long, value_name = "DURATION", value_parser = crate::args::duration)]
    since: Option<Duration>,
    /// At most that many, the newest
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u32>,
}

impl Filter {
    /// Whether anything was asked for that only events have.
    pub(super) const fn is_empty(&self) -> bool {
        let Self {
            tenant,
            caller,
            call,
            outcome,
            kind,
            since,
            limit,
        } = self;
        tenant.is_none()
            && caller.is_none()
            && call.is_none()
            && outcome.is_none()
            && kind.is_none()
            && since.is_none()
            && limit.is_none()
    }
}

/// Does what was asked for.
pub(super) fn run(command: Audit, terminal: &Terminal) -> Result<(), Failure> {
    match command {
        Audit::Verify(args) => verify::run(args, terminal),
    }
}
