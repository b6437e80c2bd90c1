//! What Kubernetes takes as label keys and values, and how free text becomes one.

use berth_model::id::is_dns_subdomain;

/// The longest label value and the longest name part of a label key.
const LONGEST: usize = 63;

/// Whether `value` is a label value: empty, or 1 to 63 of letters, digits, `-`, `_`, `.`, alphanumeric at both ends.
pub(crate) fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_name_part(value)
}

/// Whether `key` is a label or annotation key: a name part, with a DNS subdomain and `/` before it or not.
pub(crate) fn is_qualified_name(key: &str) -> bool {
    match key.split_once('/') {
        None => is_name_part(key),
        Some((domain, name)) => is_dns_subdomain(domain) && is_name_part(name),
    }
}

fn is_name_part(text: &str) -> bool {
    text.len() <= LONGEST
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// `text` as a label value: what a label cannot hold becomes `-`. The exact text belongs into an annotation.
pub(crate) fn label_value(text: &str) -> String {
    let kept: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c
            } else {
                '-'
            }
        })
        .take(LONGEST)
        .collect();
    kept.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// Whether a label or annotation key is in a domain that Berth keeps for itself.
pub(crate) fn is_berths(key: &str) -> bool {
    key.split_once('/')
        .is_some_and(|(domain, _)| in_domain(domain, "berth.dev"))
}

/// Whether a label key is in a domain that Kubernetes keeps for itself (pod security levels are such labels).
pub(crate) fn is_kubernetes(key: &str) -> bool {
    key.split_once('/')
        .is_some_and(|(domain, _)| in_domain(domain, "kubernetes.io") || in_domain(domain, "k8s.io"))
}

fn in_domain(domain: &str, parent: &str) -> bool {
    domain == parent
        || domain
            .strip_suffix(parent)
            .is_some_and(|rest| rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn domains_are_kept_with_their_subdomains_and_without_lookalikes() {
        for kept in ["berth.dev/x", "a.berth.dev/x"] {
            assert!(is_berths(kept), "{kept}");
        }
        for free in [
            "berth.dev",
            "xberth.dev/x",
            "example.com/berth.dev",
            "berth.dev.example.com/x",
        ] {
            assert!(!is_berths(free), "{free}");
        }
        assert!(is_kubernetes("pod-security.kubernetes.io/enforce") && is_kubernetes("x.k8s.io/y"));
        assert!(!is_kubernetes("app"));
    }

    #[test]
    fn label_keys_are_told_from_other_text() {
        for fine in ["a", "a.b_c-d", "example.com/Name", &"k".repeat(63)] {
            assert!(is_qualified_name(fine), "{fine}");
        }
        for wrong in [
            "",
            "/a",
            "a/",
            "a/b/c",
            "-a",
            "a b",
            "UPPER.example/x",
            &"k".repeat(64),
        ] {
            assert!(!is_qualified_name(wrong), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_label_value(text in "\\PC{0,100}") {
            let value = label_value(&text);
            prop_assert!(is_label_value(&value), "{}", value);
        }

        #[test]
        fn a_label_value_stays_as_it_is(text in "[a-zA-Z0-9]([a-zA-Z0-9._-]{0,61}[a-zA-Z0-9])?") {
            prop_assert_eq!(label_value(&text), text);
        }
    }
}
