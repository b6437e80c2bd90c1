//! Logs: structured, to standard error, filtered by a given string.
//!
//! Where the filter and the format come from (flag, file, environment) is configuration, and not known here.

use std::{
    fs::OpenOptions,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Mutex,
};

use berth_model::visible;
use serde::Deserialize;
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    field::MakeExt as _,
    fmt::{FormatFields, format},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

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
            .fmt_fields(fields())
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .boxed(),
        Format::Json => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(true)
            .with_span_list(false)
            .with_writer(|| Escaping(std::io::stderr()))
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
        .fmt_fields(fields())
        .with_writer(Mutex::new(file))
        .with_ansi(false);
    tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .try_init()
        .map_err(TelemetryError::Twice)
}

/// Fields as text, each in one line and with nothing in it that a terminal would obey.
fn fields() -> impl for<'writer> FormatFields<'writer> + Send + Sync + 'static {
    format::debug_fn(|writer, field, value| {
        let text = format!("{value:?}");
        match field.name() {
            "message" => write!(writer, "{}", visible::line(&text)),
            name => write!(writer, "{name}={}", visible::line(&text)),
        }
    })
    .delimited(" ")
}

/// Writes JSON lines, whose strings JSON itself does not keep free of everything that a terminal would obey.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A line comes whole.
        match std::str::from_utf8(bytes) {
            Ok(text) => self.0.write_all(visible::json(text).as_bytes())?,
            Err(_) => self.0.write_all(
                String::from_utf8_lossy(bytes)
                    .escape_debug()
                    .to_string()
                    .as_bytes(),
            )?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
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

    #[derive(Clone, Default)]
    struct Lines(std::sync::Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Lines {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn said() {
        let evil = "a\u{1b}[31m\u{9b}2J\u{7}\r\n2026 INFO forged\u{202e}";
        tracing::info!(name = %evil, ?evil, other = evil, "message {evil}");
        let _in = tracing::info_span!("span", of = %evil).entered();
        tracing::warn!("{evil}");
    }

    #[test]
    fn nobodys_text_starts_a_line_or_reaches_a_terminal_as_itself() {
        let lines = Lines::default();
        let writer = lines.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(fields())
            .with_ansi(false);
        let text = layer.with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(text), said);
        let written = lines.text();
        assert_eq!(written.lines().count(), 2, "{written}");
        assert!(
            !written.trim_end().replace('\n', "").contains(visible::is_unsafe),
            "{written:?}"
        );
        assert!(written.contains("name=a\\u{1b}[31m"), "{written}");

        let lines = Lines::default();
        let writer = lines.clone();
        let json = tracing_subscriber::fmt::layer().json().flatten_event(true);
        let json = json.with_writer(move || Escaping(writer.clone()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(json), said);
        let written = lines.text();
        assert_eq!(written.lines().count(), 2, "{written}");
        assert!(
            !written.replace('\n', "").contains(visible::is_unsafe),
            "{written:?}"
        );
        assert!(
            written
                .lines()
                .all(|line| line.starts_with('{') && line.ends_with('}')),
            "{written}"
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
