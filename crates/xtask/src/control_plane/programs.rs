//! The programs of a control plane, their versions, and where their makers publish them.

use std::path::Path;

/// The version of the Kubernetes programs.
pub(crate) const KUBERNETES_VERSION: &str = "v1.36.3";
pub(crate) const ETCD_VERSION: &str = "v3.7.3";
pub(crate) const KWOK_VERSION: &str = "v0.8.0";

/// One program of a control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    Etcd,
    Etcdutl,
    Apiserver,
    ControllerManager,
    Scheduler,
    Kubectl,
    Kwok,
}

/// An operating system and a processor, as Go names them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Platform {
    pub(crate) system: &'static str,
    pub(crate) processor: &'static str,
}

/// Where a program is published.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) url: String,
    /// A file with the SHA-256 of the download, alone or in lines of `checksum  file`.
    pub(crate) checksum_url: String,
    /// The program's path inside the download, where that is a `.tar.gz`.
    pub(crate) member: Option<String>,
}

impl Program {
    pub(crate) const ALL: [Self; 7] = [
        Self::Etcd,
        Self::Etcdutl,
        Self::Apiserver,
        Self::ControllerManager,
        Self::Scheduler,
        Self::Kubectl,
        Self::Kwok,
    ];
    /// Without these two there is no control plane.
    pub(crate) const REQUIRED: [Self; 2] = [Self::Etcd, Self::Apiserver];

    /// The name of its file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::Etcdutl => "etcdutl",
            Self::Apiserver => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
            Self::Kwok => "kwok",
        }
    }

    pub(crate) fn is_in(self, directory: &Path) -> bool {
        directory.join(self.name()).is_file()
    }

    /// Where its makers publish it, or where `mirror` has it.
    pub(crate) fn source(self, platform: Platform, mirror: Option<&str>) -> Source {
        let Platform { system, processor } = platform;
        let mirror = mirror.map(|url| url.trim_end_matches('/'));
        let base = |path: &str, official: &str| match mirror {
            Some(mirror) => format!("{mirror}{path}"),
            None => official.to_owned(),
        };
        match self {
            Self::Etcd | Self::Etcdutl => {
                let base = base("/etcd", "https://github.com/etcd-io/etcd/releases/download");
                let package = format!("etcd-{ETCD_VERSION}-{system}-{processor}");
                Source {
                    url: format!("{base}/{ETCD_VERSION}/{package}.tar.gz"),
                    checksum_url: format!("{base}/{ETCD_VERSION}/SHA256SUMS"),
                    member: Some(format!("{package}/{}", self.name())),
                }
            }
            Self::Kwok => {
                let base = base(
                    "/kwok",
                    "https://github.com/kubernetes-sigs/kwok/releases/download",
                );
                let url = format!("{base}/{KWOK_VERSION}/kwok-{system}-{processor}");
                Source {
                    checksum_url: format!("{url}.sha256"),
                    url,
                    member: None,
                }
            }
            Self::Apiserver | Self::ControllerManager | Self::Scheduler | Self::Kubectl => {
                let base = base("", "https://dl.k8s.io");
                let url = format!(
                    "{base}/{KUBERNETES_VERSION}/bin/{system}/{processor}/{}",
                    self.name()
                );
                Source {
                    checksum_url: format!("{url}.sha256"),
                    url,
                    member: None,
                }
            }
        }
    }
}

impl Platform {
    /// The one this program runs on.
    pub(crate) fn own() -> Self {
        let system = match std::env::consts::OS {
            "macos" => "darwin",
            other => other,
        };
        let processor = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        Self { system, processor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_replaces_every_official_address() {
        let platform = Platform {
            system: "linux",
            processor: "arm64",
        };
        for program in Program::ALL {
            let official = program.source(platform, None);
            assert!(official.url.starts_with("https://"), "{official:?}");
            let mirrored = program.source(platform, Some("http://mirror.example/k/"));
            assert!(
                mirrored.url.starts_with("http://mirror.example/k/"),
                "{mirrored:?}"
            );
            assert!(
                mirrored.checksum_url.starts_with("http://mirror.example/k/"),
                "{mirrored:?}"
            );
        }
        assert_eq!(
            Program::Apiserver
                .source(platform, Some("http://mirror.example/k/"))
                .url,
            "http://mirror.example/k/v1.36.3/bin/linux/arm64/kube-apiserver"
        );
    }
}
