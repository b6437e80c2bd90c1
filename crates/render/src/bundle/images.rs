//! Where an image comes from, read as container runtimes read references: without a registry it is Docker Hub's.

/// Whether `image` comes from one of `registries`; a prefix ends where a part of the path, a tag or a digest begins.
pub(super) fn within(image: &str, registries: &[String]) -> bool {
    let image = if image.is_empty() {
        String::new()
    } else {
        normal(image)
    };
    registries.iter().any(|prefix| {
        let Some(rest) = image.strip_prefix(prefix.trim_end_matches('/')) else {
            return false;
        };
        // A registry alone has no tag: what follows `:` there is a port.
        rest.is_empty() || rest.starts_with('/') || (prefix.contains('/') && rest.starts_with([':', '@']))
    })
}

fn normal(image: &str) -> String {
    let Some((host, path)) = image.split_once('/') else {
        return format!("docker.io/library/{image}");
    };
    match host {
        "index.docker.io" => format!("docker.io/{path}"),
        "docker.io" if !path.contains('/') => format!("docker.io/library/{path}"),
        "localhost" => image.to_owned(),
        _ if host.contains(['.', ':']) || host.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            image.to_owned()
        }
        _ => format!("docker.io/{image}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_is_within_a_registry_only_at_a_boundary() {
        let registries =
            ["registry.example.com/team", "docker.io/library", "r.example.com"].map(String::from);
        for fine in [
            "registry.example.com/team/web:1",
            "registry.example.com/team@sha256:0",
            "registry.example.com/team:1",
            "busybox",
            "docker.io/busybox:1",
            "index.docker.io/library/busybox",
            "r.example.com/any/thing",
        ] {
            assert!(within(fine, &registries), "{fine}");
        }
        for foreign in [
            "",
            "registry.example.com/team-of-others/web",
            "registry.example.com/web",
            "evil/registry.example.com/team/web",
            "someone/busybox",
            "r.example.com.evil.example/x",
            "r.example.com:5000/x",
        ] {
            assert!(!within(foreign, &registries), "{foreign}");
        }
    }
}
