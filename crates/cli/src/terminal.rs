//! The terminal: where output goes, whether it may have colours, and progress that is only for people who watch.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
    time::Duration,
};

use berth_model::visible;
use indicatif::{ProgressBar, ProgressStyle};

use crate::exit::{Exit, Failure};

/// What begins and ends a colour.
const COLOURS: [&str; 4] = ["\u{1b}[32m", "\u{1b}[31m", "\u{1b}[33m", "\u{1b}[0m"];

/// What kind of news a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Nothing special.
    Plain,
    /// Good.
    Good,
    /// Bad.
    Bad,
    /// Not sure.
    Unsure,
}

/// Where output goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    colours: bool,
    watched: bool,
}

impl Terminal {
    /// Colours only where standard output is a terminal and nobody minds; progress only where standard error is one.
    #[expect(
        clippy::disallowed_methods,
        reason = "NO_COLOR and TERM are the terminal's configuration"
    )]
    pub(crate) fn new(no_color: bool) -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            colours: io::stdout().is_terminal() && !no_color && !set("NO_COLOR") && !dumb,
            watched: io::stderr().is_terminal() && !dumb,
        }
    }

    /// `text` in the colour of `tone`.
    pub(crate) fn paint(&self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Good => "32",
            Tone::Bad => "31",
            Tone::Unsure => "33",
            Tone::Plain => return text.to_owned(),
        };
        if self.colours {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// Writes to standard output, with everything unsafe in it by its number. Nobody reading any more (a closed pipe) ends the program quietly.
    pub(crate) fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(self.safe(text).as_bytes())
            .and_then(|()| out.flush())
            .map_err(|error| {
                if error.kind() == io::ErrorKind::BrokenPipe {
                    Failure::told(Exit::Failure)
                } else {
                    Failure::new(Exit::Failure, format!("write to standard output: {error}"))
                }
            })
    }

    /// Whatever was not made safe where it was written is made safe here; the colours of [`paint`](Self::paint) stay.
    fn safe(self, text: &str) -> String {
        if !self.colours {
            return visible::lines(text).into_owned();
        }
        let mut safe = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((at, colour)) = COLOURS
            .iter()
            .filter_map(|colour| Some((rest.find(colour)?, colour)))
            .min()
        {
            let (before, after) = rest.split_at(at);
            safe.push_str(&visible::lines(before));
            safe.push_str(colour);
            rest = &after[colour.len()..];
        }
        safe.push_str(&visible::lines(rest));
        safe
    }

    /// Asks a person and tells whether the answer was yes.
    pub(crate) fn confirm(&self, question: &str) -> Result<bool, Failure> {
        let mut err = io::stderr().lock();
        let mut answer = String::new();
        err.write_all(visible::lines(question).as_bytes())
            .and_then(|()| err.flush())
            .and_then(|()| io::stdin().read_line(&mut answer))
            .map_err(|error| Failure::new(Exit::Failure, format!("ask for confirmation: {error}")))?;
        Ok(answer.trim() == "yes")
    }

    /// Writes a line to standard error, where news that is no result goes.
    pub(crate) fn note(&self, line: &str) {
        // When standard error is gone there is nobody to tell.
        let _ = writeln!(io::stderr().lock(), "{}", visible::lines(line));
    }

    /// A line that says what is waited for, while somebody watches.
    pub(crate) fn progress(&self) -> Progress {
        if !self.watched {
            return Progress(ProgressBar::hidden());
        }
        let bar = ProgressBar::new_spinner();
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        Progress(bar)
    }
}

/// What is waited for. Gone when dropped.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Says what is waited for now.
    pub(crate) fn say(&self, what: &str) {
        self.0.set_message(visible::line(what).into_owned());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
