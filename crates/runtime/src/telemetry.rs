//! Logs: structured, to standard error, filtered by a given string.
//!
//! Where the filter and the format come from (flag, file, environment) is configuration, and not known here.

use std::{
    fs::OpenOptions,
    io::IsTerminal,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Mutex,
};

use serde::Deserialize;
use tracing_subscriber::{EnvFilter, Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

/// How a log line is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

impl FromStr for Format {
    type Err = TelemetryError;

    fn from_str(text: &str) -> Result<Self, TelemetryError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(TelemetryError::Format(other.to_owned())),
        }
    }
}

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The format has another name.
    #[error("log format {0:?} is unknown, use \"text\" or \"json\"")]
    Format(String),
    /// The filter cannot be read.
    #[error("log filter {filter:?} cannot be read, write it like \"info,berth_hub=debug\"")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: tracing_subscriber::filter::ParseError,
    },
    /// The file cannot be written.
    #[error("write the log to {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Somebody set up logging before.
    #[error("logging is set up already")]
    Twice(#[source] tracing_subscriber::util::TryInitError),
}

/// Sends the process's log lines to standard error: those that `filter` (as in `info,berth_hub=debug`) lets through.
/// Colours are written only to a terminal.
///
/// # Errors
/// See [`TelemetryError`].
pub fn init(format: Format, filter: &str) -> Result<(), TelemetryError> {
    let filter = parse(filter)?;
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match format {
        Format::Text => tracing_subscriber::fmt::layer()
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .boxed(),
        Format::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(std::io::stderr)
            .boxed(),
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(TelemetryError::Twice)
}

/// Sends lines for people into the file at `path`, after what is there, instead of to standard error.
///
/// # Errors
/// As [`init`], and when the file cannot be written.
pub fn init_file(path: &Path, filter: &str) -> Result<(), TelemetryError> {
    let filter = parse(filter)?;
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|source| TelemetryError::File {
            path: path.to_owned(),
            source,
        })?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(Mutex::new(file))
        .with_ansi(false);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(TelemetryError::Twice)
}

fn parse(filter: &str) -> Result<EnvFilter, TelemetryError> {
    EnvFilter::builder()
        .parse(filter)
        .map_err(|source| TelemetryError::Filter {
            filter: filter.to_owned(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_has_one_of_two_names() {
        assert_eq!("json".parse::<Format>().unwrap(), Format::Json);
        assert_eq!("text".parse::<Format>().unwrap(), Format::Text);
        assert!(
            "JSON5"
                .parse::<Format>()
                .unwrap_err()
                .to_string()
                .contains("\"text\" or \"json\"")
        );
    }

    #[test]
    fn a_faulty_filter_is_an_error_and_a_second_set_up_too() {
        assert!(matches!(
            init(Format::Text, "berth=loud"),
            Err(TelemetryError::Filter { .. })
        ));
        init(Format::Json, "off").unwrap();
        assert!(matches!(
            init(Format::Json, "info"),
            Err(TelemetryError::Twice(_))
        ));
    }
}
