//! `cargo xtask control-plane`: the programs of a Kubernetes control plane, from wherever this machine can get them.
//!
//! Each program appears in the cache under its name only when it is complete and checked. How they are started is not
//! known here: `berth_fake::control_plane` does that, and looks in the same places.

mod build;
mod download;
mod programs;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};

use crate::ControlPlane;
use crate::run::{say, variable};
use download::Downloader;
use programs::{KUBERNETES_VERSION, Platform, Program};

/// Where Berth keeps what can be had again.
pub(crate) fn cache() -> anyhow::Result<PathBuf> {
    let user_cache = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .context("find the cache: neither XDG_CACHE_HOME nor HOME is set")?;
    Ok(user_cache.join("berth"))
}

/// The directory inside the cache; the version is part of its name.
fn cached(cache: &Path) -> PathBuf {
    cache.join("control-plane").join(KUBERNETES_VERSION)
}

/// Makes sure that every program is there. Answers with the directory to export as `BERTH_CONTROL_PLANE`, or nothing when
/// the environment already says where they are.
pub(crate) fn obtain(options: &ControlPlane) -> anyhow::Result<Option<PathBuf>> {
    let cache = cache()?;
    let target = options.dir.clone().unwrap_or_else(|| cached(&cache));
    let target = std::path::absolute(&target).with_context(|| format!("resolve `{}`", target.display()))?;
    let configured: Vec<PathBuf> = match options.dir {
        Some(_) => Vec::new(),
        None => ["BERTH_CONTROL_PLANE", "KUBEBUILDER_ASSETS"]
            .into_iter()
            .filter_map(variable)
            .map(Into::into)
            .collect(),
    };
    let mut places = configured.clone();
    places.push(target.clone());
    if !missing(&places).is_empty() {
        fill(&target, &places, options, &cache)?;
    }
    for program in Program::ALL {
        if let Some(place) = places.iter().find(|place| program.is_in(place)) {
            say(format!(
                "{}: {}",
                program.name(),
                place.join(program.name()).display()
            ));
        }
    }
    let environment_suffices = configured
        .iter()
        .any(|place| Program::REQUIRED.iter().all(|one| one.is_in(place)));
    Ok((!environment_suffices).then_some(target))
}

fn missing(places: &[PathBuf]) -> Vec<Program> {
    Program::ALL
        .into_iter()
        .filter(|program| !places.iter().any(|place| program.is_in(place)))
        .collect()
}

/// Downloads or builds into `target` what none of the places has.
fn fill(target: &Path, places: &[PathBuf], options: &ControlPlane, cache: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(target)
        .with_context(|| format!("create the directory `{}`", target.display()))?;
    let _lock = lock(target)?;
    // Another process may have done it while this one waited.
    let names = |programs: &[Program]| {
        programs
            .iter()
            .map(|one| one.name())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let wanted = missing(places);
    if wanted.is_empty() {
        return Ok(());
    }
    say(format!("missing: {}", names(&wanted)));

    let refused = download(&wanted, target, options.download_base.as_deref());
    let left = missing(places);
    if left.is_empty() {
        return Ok(());
    }
    for error in &refused {
        say(format!("{error:#}"));
    }
    say(format!("building from source by Go: {}", names(&left)));
    build::install(&left, target, &cache.join("control-plane").join("build")).with_context(|| {
        format!(
            "there is no way to get {}: neither a download nor a build has worked. Install Go 1.26 or newer, or set \
             KUBEBUILDER_ASSETS to a directory with official programs, or BERTH_DOWNLOAD_BASE to a mirror",
            names(&missing(places))
        )
    })
}

/// Downloads what can be had; answers with what went wrong.
fn download(wanted: &[Program], target: &Path, mirror: Option<&str>) -> Vec<anyhow::Error> {
    let platform = Platform::own();
    let downloader = Downloader::new(mirror, platform);
    let (mut refused, mut unreachable) = (Vec::new(), Vec::new());
    for program in wanted {
        let url = program.source(platform, mirror).url;
        let host = url.split('/').nth(2).unwrap_or_default().to_owned();
        if unreachable.contains(&host) {
            continue;
        }
        if let Err(error) = downloader.install(*program, target) {
            if matches!(error, download::Error::Request { .. }) {
                unreachable.push(host);
            }
            refused.push(anyhow!(error).context(format!("download {}", program.name())));
        }
    }
    refused
}

/// Lets one process at a time fill a directory.
fn lock(directory: &Path) -> anyhow::Result<File> {
    let path = directory.join(".lock");
    let file = File::create(&path).with_context(|| format!("create `{}`", path.display()))?;
    if file.try_lock().is_err() {
        say(format!(
            "waiting for another process that fills `{}`",
            directory.display()
        ));
        file.lock()
            .with_context(|| format!("lock `{}`", path.display()))?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_fake::control_plane::{Binary, VERSION, cache_in};

    #[test]
    fn what_is_obtained_lies_where_control_planes_are_started_from() {
        let user_cache = Path::new("/home/user/.cache");
        assert_eq!(KUBERNETES_VERSION, VERSION);
        assert_eq!(cached(&user_cache.join("berth")), cache_in(user_cache));
        let (mut own, mut started) = (
            Program::ALL.map(Program::name),
            Binary::ALL.map(Binary::file_name),
        );
        own.sort_unstable();
        started.sort_unstable();
        assert_eq!(own, started);
        for binary in Binary::ALL {
            let required = Program::REQUIRED
                .iter()
                .any(|program| program.name() == binary.file_name());
            assert_eq!(binary.is_required(), required, "{binary}");
        }
    }

    #[test]
    fn nothing_is_obtained_twice() {
        let full = tempfile::tempdir().expect("a temporary directory");
        for program in Program::ALL {
            std::fs::write(full.path().join(program.name()), "").expect("a file");
        }
        // A mirror nobody listens on: any attempt to download would fail.
        let options = ControlPlane {
            dir: Some(full.path().to_owned()),
            download_base: Some("http://127.0.0.1:1".to_owned()),
        };
        assert_eq!(obtain(&options).expect("all there"), Some(full.path().to_owned()));
    }
}
