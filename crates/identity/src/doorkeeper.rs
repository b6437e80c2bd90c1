//! Who gets as far as a handshake. Nothing here knows how many are too many: that is whoever implements it.

use std::{fmt::Debug, net::IpAddr};

/// Asked before a client's handshake begins.
pub trait Doorkeeper: Debug + Send + Sync {
    /// A place for a client from there; none when it must go, and then it is closed at once.
    fn admit(&self, address: IpAddr) -> Option<Box<dyn Place>>;
}

/// A client's place, given back by dropping it when its connection has ended.
pub trait Place: Debug + Send + Sync {
    /// Its handshake is done.
    fn greeted(&mut self);
}
