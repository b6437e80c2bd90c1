//! Collecting faults while something is decoded, so that all of them are reported at once.

use std::{collections::BTreeMap, str::FromStr};

use berth_model::{InvalidId, Quantity, Violation};

/// The faults found so far, each with the line that was being read.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    found: Vec<(Violation, u64)>,
    /// The line being read, 0 when there are none.
    pub(crate) line: u64,
}

impl Faults {
    pub(crate) fn add(&mut self, path: &str, problem: impl Into<String>, hint: impl Into<String>) {
        self.push(Violation::new(path, problem, hint));
    }

    pub(crate) fn push(&mut self, violation: Violation) {
        self.found.push((violation, self.line));
    }

    /// The faults with their lines.
    pub(crate) fn into_found(self) -> Vec<(Violation, u64)> {
        self.found
    }

    /// Reads a name or an identifier; an empty one counts as missing.
    pub(crate) fn name<T: FromStr<Err = InvalidId>>(&mut self, path: &str, text: &str) -> Option<T> {
        if text.is_empty() {
            self.add(path, "is required", "");
            return None;
        }
        match text.parse() {
            Ok(name) => Some(name),
            Err(InvalidId { value, problem, .. }) => {
                self.add(path, format!("{value:?} {problem}"), "");
                None
            }
        }
    }

    /// Reads one of a fixed set of words.
    pub(crate) fn choice<T: Copy>(&mut self, path: &str, text: &str, choices: &[(&str, T)]) -> Option<T> {
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return Some(*choice);
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let problem = if text.is_empty() {
            "is required".to_owned()
        } else {
            format!("{text:?} is not known")
        };
        self.add(path, problem, one_of(text, &words));
        None
    }

    /// As [`Faults::choice`], with what an empty text stands for.
    pub(crate) fn choice_or<T: Copy>(
        &mut self,
        path: &str,
        text: &str,
        choices: &[(&str, T)],
        empty: T,
    ) -> Option<T> {
        if text.is_empty() {
            Some(empty)
        } else {
            self.choice(path, text, choices)
        }
    }

    pub(crate) fn quantity(&mut self, path: &str, text: &str) -> Option<Quantity> {
        let quantity = text.parse().ok();
        if quantity.is_none() {
            self.add(
                path,
                format!("{text:?} is no Kubernetes quantity"),
                "write amounts as 500m, 2, 16Gi",
            );
        }
        quantity
    }

    /// Amounts by name.
    pub(crate) fn quantities(
        &mut self,
        path: &str,
        amounts: &BTreeMap<String, String>,
    ) -> BTreeMap<String, Quantity> {
        amounts
            .iter()
            .filter_map(|(name, amount)| Some((name.clone(), self.quantity(&quoted(path, name), amount)?)))
            .collect()
    }

    /// What could be decoded, and every fault on the way.
    pub(crate) fn partly<T>(self, decoded: Option<T>) -> (Option<T>, Vec<Violation>) {
        (
            decoded,
            self.found.into_iter().map(|(violation, _)| violation).collect(),
        )
    }

    /// What was decoded, or every fault on the way.
    pub(crate) fn finish<T>(mut self, decoded: Option<T>) -> Result<T, Vec<Violation>> {
        match decoded {
            Some(decoded) if self.found.is_empty() => return Ok(decoded),
            None if self.found.is_empty() => self.add("", "cannot be read", ""),
            Some(_) | None => {}
        }
        Err(self.found.into_iter().map(|(violation, _)| violation).collect())
    }
}

/// The path of an entry of a map with free keys, which may have dots: `spec.quota["requests.cpu"]`.
pub(crate) fn quoted(path: &str, key: &str) -> String {
    format!("{path}[{key:?}]")
}

/// The path of a field of a JSON value: `parameters.replicas`; quoted where a dot would read as another level.
pub(crate) fn entry(path: &str, key: &str) -> String {
    let plain = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if plain {
        format!("{path}.{key}")
    } else {
        quoted(path, key)
    }
}

fn one_of(text: &str, words: &[&str]) -> String {
    let all = words.join(", ");
    match closest(text, words.iter().copied()) {
        Some(word) => format!("did you mean {word:?}? Known are {all}"),
        None => format!("use one of {all}"),
    }
}

/// The word that `text` was probably meant to be.
#[must_use]
pub fn closest<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if text.is_empty() || text.len() > 256 {
        return None;
    }
    let lower = text.to_lowercase();
    words
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&lower, &word.to_lowercase()), word))
        .filter(|(distance, word)| *distance <= 1 + word.len().max(text.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_miss_is_suggested_and_a_far_one_is_not() {
        for (text, expected) in [
            ("displayname", Some("displayName")),
            ("dispalyName", Some("displayName")),
            ("teir", Some("tier")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(text, ["displayName", "tier", "size"]), expected, "{text}");
        }
    }

    #[test]
    fn an_entry_whose_key_has_a_dot_is_not_mistaken_for_two_levels() {
        assert_eq!(entry("spec.labels", "team"), "spec.labels.team");
        assert_eq!(
            entry("spec.quota", "requests.cpu"),
            "spec.quota[\"requests.cpu\"]"
        );
    }

    #[test]
    fn a_wrong_word_names_the_right_ones() {
        let mut faults = Faults::default();
        assert_eq!(
            faults.choice("spec.environment", "prod", &[("dev", 1), ("production", 2)]),
            None
        );
        let violations = faults.finish(Some(())).unwrap_err();
        assert_eq!(violations[0].problem, "\"prod\" is not known");
        assert_eq!(violations[0].hint, "use one of dev, production");
    }
}
