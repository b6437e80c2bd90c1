//! Texts of a pod template: references to variables, paths that are elsewhere here, errors with their causes.

use std::collections::BTreeMap;

/// Kubernetes' own expansion: `$(NAME)` of a known variable; `$$` is a dollar; anything else stays.
pub(super) fn expand(text: &str, env: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        let known = tail.strip_prefix('(').and_then(|inner| {
            let end = inner.find(')')?;
            Some((env.get(&inner[..end])?, &inner[end + 1..]))
        });
        if let Some(after) = tail.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((value, after)) = known {
            out.push_str(value);
            rest = after;
        } else {
            out.push('$');
            rest = tail;
        }
    }
    out.push_str(rest);
    out
}

/// Replaces container paths by the paths they have here. `places` maps mount paths; deeper ones win.
pub(super) fn relocate(text: &str, places: &BTreeMap<String, String>) -> String {
    let mut deepest_first: Vec<_> = places.iter().collect();
    deepest_first.sort_by_key(|(mount, _)| std::cmp::Reverse(mount.len()));
    let mut out = String::new();
    let mut rest = text;
    'text: while !rest.is_empty() {
        let starts_path = out.chars().next_back().is_none_or(|c| !is_path(c));
        for (mount, place) in &deepest_first {
            if let Some(after) = rest.strip_prefix(mount.as_str())
                && starts_path
                && after.chars().next().is_none_or(|c| c == '/' || !is_path(c))
            {
                out.push_str(place);
                rest = after;
                continue 'text;
            }
        }
        let mut chars = rest.chars();
        out.extend(chars.next());
        rest = chars.as_str();
    }
    out
}

fn is_path(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '/' | '-' | '_' | '.')
}

/// An error with its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn variables_are_expanded_as_kubernetes_does() {
        let env = map(&[("HUB", "https://hub")]);
        let cases = [
            ("--hub=$(HUB)", "--hub=https://hub"),
            ("$(MISSING) $HUB", "$(MISSING) $HUB"),
            ("$$(HUB)", "$(HUB)"),
            ("cost: 5$", "cost: 5$"),
            ("$(HUB", "$(HUB"),
        ];
        for (text, expected) in cases {
            assert_eq!(expand(text, &env), expected, "{text}");
        }
    }

    #[test]
    fn only_whole_paths_are_moved_and_the_deepest_mount_wins() {
        let places = map(&[("/var/run", "/tmp/a"), ("/var/run/token", "/tmp/b")]);
        let cases = [
            ("/var/run/x", "/tmp/a/x"),
            ("--token-file=/var/run/token/value", "--token-file=/tmp/b/value"),
            ("/var/running", "/var/running"),
            ("/opt/var/run", "/opt/var/run"),
            ("/var/run,/var/run/token", "/tmp/a,/tmp/b"),
        ];
        for (text, expected) in cases {
            assert_eq!(relocate(text, &places), expected, "{text}");
        }
    }
}
