//! "Did you mean", and the shapes that Kubernetes gives to labels.

use std::fmt::Display;

use berth_model::id::is_dns_subdomain;

/// The nearest of `known` to what was written, or all of them when they are few and nothing is near.
pub(super) fn nearest<T: Display>(written: &str, known: impl IntoIterator<Item = T>) -> String {
    let known: Vec<String> = known.into_iter().map(|name| name.to_string()).collect();
    let best = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(written, name), name))
        .min();
    match best {
        Some((distance, name)) if distance <= 1 + name.chars().count() / 4 => {
            format!("did you mean {name:?}?")
        }
        _ if (1..=20).contains(&known.len()) => format!("there are {}", known.join(", ")),
        _ => String::new(),
    }
}

/// What is wrong with a label key that a person chose.
pub(super) fn label_key_problem(key: &str) -> Option<String> {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    if !is_label_word(name) || name.is_empty() {
        return Some("is no label key: its name must be 1 to 63 letters, digits, '-', '_' or '.', a letter or digit at both ends".into());
    }
    let prefix = prefix?;
    if !is_dns_subdomain(prefix) {
        return Some("is no label key: what stands before '/' must be a DNS subdomain".into());
    }
    let reserved = ["berth.dev", "kubernetes.io", "k8s.io"];
    let taken = reserved.iter().find(|owner| {
        prefix == **owner
            || prefix
                .strip_suffix(*owner)
                .is_some_and(|head| head.ends_with('.'))
    });
    taken.map(|owner| format!("is reserved: {owner} labels are not for tenants"))
}

/// What is wrong with a label value.
pub(super) fn label_value_problem(value: &str) -> Option<String> {
    (!is_label_word(value))
        .then(|| "must be at most 63 letters, digits, '-', '_' or '.', a letter or digit at both ends".into())
}

fn is_label_word(text: &str) -> bool {
    let edge = |c: Option<char>| c.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        && edge(text.chars().next())
        && edge(text.chars().last())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_keyboard_is_recognised_and_something_else_lists_what_there_is() {
        assert_eq!(
            nearest("premum", ["free", "premium"]),
            "did you mean \"premium\"?"
        );
        assert_eq!(nearest("gold", ["free", "premium"]), "there are free, premium");
        assert_eq!(nearest::<&str>("gold", []), "");
    }

    #[test]
    fn labels_of_kubernetes_and_berth_are_not_for_tenants() {
        for fine in ["team", "example.com/team", "notkubernetes.io/x"] {
            assert_eq!(label_key_problem(fine), None, "{fine}");
        }
        for wrong in [
            "",
            "/x",
            "a/b/c",
            "berth.dev/tenant",
            "x.berth.dev/y",
            "app.kubernetes.io/name",
            "-a",
            "A B",
        ] {
            assert!(label_key_problem(wrong).is_some(), "{wrong}");
        }
    }
}
