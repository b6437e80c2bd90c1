//! Tables as kubectl prints them: columns three spaces apart, no lines, nothing cut off.

use berth_model::visible;

use crate::terminal::{Terminal, Tone};

/// A column.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    /// Its first line.
    pub title: &'static str,
    /// Shown only with `-o wide`.
    pub wide: bool,
}

impl Column {
    /// Always shown.
    pub(crate) const fn new(title: &'static str) -> Self {
        Self { title, wide: false }
    }

    /// Shown with `-o wide`.
    pub(crate) const fn wide(title: &'static str) -> Self {
        Self { title, wide: true }
    }
}

/// A cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A plain text; an empty one shows as `<none>`.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::toned(text, Tone::Plain)
    }

    /// A text in a tone.
    pub(crate) fn toned(text: impl Into<String>, tone: Tone) -> Self {
        let text = text.into();
        // A newline or an escape in somebody's text must not break the table or the terminal.
        let text = visible::line(&text).into_owned();
        Self {
            text: if text.is_empty() { "<none>".into() } else { text },
            tone,
        }
    }

    /// The status of a condition: True is good, False bad.
    pub(crate) fn truth(status: &str) -> Self {
        let tone = match status {
            "True" => Tone::Good,
            "False" => Tone::Bad,
            _ => Tone::Unsure,
        };
        Self::toned(if status.is_empty() { "Unknown" } else { status }, tone)
    }
}

/// A table. Its columns are as wide as the widest cell so far.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(usize, &'static str)>,
    widths: Vec<usize>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// An empty table.
    pub(crate) fn new(columns: &[Column], wide: bool) -> Self {
        let columns: Vec<(usize, &'static str)> = columns
            .iter()
            .enumerate()
            .filter(|(_, column)| wide || !column.wide)
            .map(|(at, column)| (at, column.title))
            .collect();
        let widths = columns.iter().map(|(_, title)| title.len()).collect();
        Self {
            columns,
            widths,
            rows: Vec::new(),
        }
    }

    /// Adds a row with a cell for every column, shown or not.
    pub(crate) fn push(&mut self, row: Vec<Cell>) {
        let row: Vec<Cell> = self
            .columns
            .iter()
            .filter_map(|(at, _)| row.get(*at).cloned())
            .collect();
        for (width, cell) in self.widths.iter_mut().zip(&row) {
            *width = (*width).max(cell.text.chars().count());
        }
        self.rows.push(row);
    }

    /// The rows added since the last time, below the titles if `headers`.
    pub(crate) fn render(&mut self, terminal: &Terminal, headers: bool) -> String {
        let mut text = String::new();
        if headers {
            let titles: Vec<Cell> = self.columns.iter().map(|(_, title)| Cell::new(*title)).collect();
            self.line(terminal, &titles, &mut text);
        }
        for row in std::mem::take(&mut self.rows) {
            self.line(terminal, &row, &mut text);
        }
        text
    }

    fn line(&self, terminal: &Terminal, cells: &[Cell], text: &mut String) {
        for (at, (cell, width)) in cells.iter().zip(&self.widths).enumerate() {
            text.push_str(&terminal.paint(cell.tone, &cell.text));
            if at + 1 < cells.len() {
                let pad = width.saturating_sub(cell.text.chars().count()) + 3;
                text.extend(std::iter::repeat_n(' ', pad));
            }
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[Column::new("NAME"), Column::wide("SIZE"), Column::new("AGE")];

    #[test]
    fn columns_are_three_spaces_apart_and_wide_ones_only_when_asked_for() {
        let row = || vec![Cell::new("acme-corp"), Cell::new("large"), Cell::new("5m")];
        for (wide, expected) in [
            (false, "NAME        AGE\nacme-corp   5m\n"),
            (true, "NAME        SIZE    AGE\nacme-corp   large   5m\n"),
        ] {
            let mut table = Table::new(COLUMNS, wide);
            table.push(row());
            assert_eq!(table.render(&Terminal::new(true), true), expected);
        }
    }

    #[test]
    fn nobodys_text_breaks_the_table_or_the_terminal() {
        let mut table = Table::new(COLUMNS, false);
        table.push(vec![Cell::new("a\n\u{1b}[31mb"), Cell::new(""), Cell::new("")]);
        assert_eq!(
            table.render(&Terminal::new(true), false),
            "a\\n\\u{1b}[31mb   <none>\n"
        );
    }
}
