//! Texts of others, made safe to show: nothing in them moves a cursor, starts a line, colours, rings or turns the order of what is read.
//!
//! Control characters (C0, DEL and C1, in which U+009B begins an escape sequence as ESC does), line and paragraph separators, and the
//! marks that turn the direction of text (Trojan Source, CVE-2021-42574) or cannot be seen.

use std::{borrow::Cow, fmt::Write as _};

/// Whether a character is shown by its number instead.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
        )
}

/// `text` in one line, with every unsafe character as `\\n`, `\\t`, `\\r` or `\\u{9b}`.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_unsafe)
}

/// The same for a text of several lines: line ends and tabs stay.
#[must_use]
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_unsafe(c) && c != '\n' && c != '\t')
}

fn escaped(text: &str, unsafe_here: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&unsafe_here) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !unsafe_here(c) => safe.push(c),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            // Writing to a string cannot fail.
            c => _ = write!(safe, "\\u{{{:x}}}", u32::from(c)),
        }
    }
    Cow::Owned(safe)
}

/// A JSON text whose strings hold no unsafe character as itself: JSON has `\\u009b` for that, and means the same.
#[must_use]
pub fn json(text: &str) -> Cow<'_, str> {
    let unsafe_here = |c: char| is_unsafe(c) && !matches!(c, '\n' | '\r' | '\t');
    if !text.contains(unsafe_here) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if unsafe_here(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVIL: &str = "a\u{1b}[31mb\u{9b}2Jc\u{7}d\re\nf\u{202e}g\u{2066}h\u{7f}\u{e0041}";

    #[test]
    fn nothing_unsafe_is_left_and_one_line_stays_one() {
        assert!(!line(EVIL).contains(is_unsafe));
        assert_eq!(line("a\u{1b}[1m\n\u{202e}"), "a\\u{1b}[1m\\n\\u{202e}");
        assert_eq!(lines("a\n\tb\r\u{9b}"), "a\n\tb\\r\\u{9b}");
    }

    #[test]
    fn ordinary_texts_of_all_languages_are_left_alone() {
        for text in [
            "",
            "acme",
            "Grüße",
            "日本語",
            "العربية",
            "עברית",
            "a\u{301}",
            "🦀",
        ] {
            assert!(
                matches!(line(text), Cow::Borrowed(same) if same == text),
                "{text}"
            );
        }
    }

    #[test]
    fn json_means_the_same_and_holds_nothing_unsafe() {
        let text = serde_json::to_string(EVIL).unwrap();
        let safe = json(&text);
        assert!(!safe.contains(is_unsafe), "{safe}");
        assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), EVIL);
    }
}
