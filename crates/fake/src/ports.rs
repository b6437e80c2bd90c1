//! Ports for processes that are told where to listen, and find it again when they start anew.

use std::{
    collections::BTreeSet,
    io,
    net::TcpListener,
    sync::{Mutex, PoisonError},
};

/// Below what systems give to connections (`ip_local_port_range`): no connection takes such a port between the look and the bind, or
/// while the process that listens there is away.
const PORTS: std::ops::Range<u16> = 20_000..32_000;
const TRIES: usize = 64;
/// Those that this process was given, who may not listen there yet.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port of 127.0.0.1 that nobody listens on, another one each time.
///
/// # Errors
/// There is none, or no loopback.
pub fn free_port() -> io::Result<u16> {
    let listens = |port| TcpListener::bind(("127.0.0.1", port));
    for _ in 0..TRIES {
        let port = rand::random_range(PORTS);
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        if listens(port).is_ok() && given.insert(port) {
            return Ok(port);
        }
    }
    Ok(listens(0)?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_free_and_not_those_of_connections() {
        let port = free_port().unwrap();
        assert!(PORTS.contains(&port), "{port}");
        assert!(TcpListener::bind(("127.0.0.1", port)).is_ok(), "{port}");
    }
}
