//! Kubernetes versions as far as placement asks: major and minor.

use std::fmt;

/// `1.33` of `v1.33.4-eks-1234`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Minor {
    major: u32,
    minor: u32,
}

impl Minor {
    /// The leading `<major>.<minor>` of `text`, with or without `v`. EKS writes minors such as `33+`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix('v').unwrap_or(text).splitn(3, '.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next()?;
        let digits = minor.find(|c: char| !c.is_ascii_digit()).unwrap_or(minor.len());
        Some(Self {
            major,
            minor: minor[..digits].parse().ok()?,
        })
    }

    /// Exactly `<major>.<minor>` and nothing else, as people write it.
    pub(crate) fn parse_exact(text: &str) -> Option<Self> {
        Self::parse(text).filter(|minor| minor.to_string() == text)
    }
}

impl fmt::Display for Minor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number_whatever_follows_the_minor() {
        for (text, shown) in [
            ("v1.33.4-eks-1234", Some("1.33")),
            ("1.9", Some("1.9")),
            ("v1.33+", Some("1.33")),
            ("v1", None),
            ("", None),
            ("one.two", None),
        ] {
            assert_eq!(
                Minor::parse(text).map(|m| m.to_string()).as_deref(),
                shown,
                "{text}"
            );
        }
        assert!(Minor::parse("1.9") < Minor::parse("1.10"));
        assert!(Minor::parse_exact("1.33").is_some());
        assert!(Minor::parse_exact("v1.33").is_none() && Minor::parse_exact("1.33.1").is_none());
    }
}
