//! The fake's state as one file, replaced atomically.

use std::{fs, io, path::Path};

use super::{Error, Inner, state::State};

const FILE: &str = "fake-eks.json";

pub(super) fn load(dir: Option<&Path>) -> Result<State, Error> {
    let Some(dir) = dir else {
        return Ok(State::default());
    };
    fs::create_dir_all(dir).map_err(|source| Error::Io {
        doing: format!("make {}", dir.display()),
        source,
    })?;
    let path = dir.join(FILE);
    match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|source| Error::State { path, source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(State::default()),
        Err(source) => Err(Error::Io {
            doing: format!("read {}", path.display()),
            source,
        }),
    }
}

/// Writes the state down. A fake that cannot goes on: the loss shows at its next start, and the log says why.
pub(super) fn save(inner: &Inner) {
    let Some(dir) = &inner.data_dir else { return };
    // The lock is held while writing, so that an older state never replaces a newer one.
    let state = inner.state();
    let path = dir.join(FILE);
    let fresh = dir.join(format!("{FILE}.new"));
    let outcome = serde_json::to_vec_pretty(&*state)
        .map_err(io::Error::from)
        .and_then(|bytes| fs::write(&fresh, bytes))
        .and_then(|()| fs::rename(&fresh, &path));
    if let Err(error) = outcome {
        tracing::error!(%error, path = %path.display(), "the fake EKS's state was not saved");
    }
}
