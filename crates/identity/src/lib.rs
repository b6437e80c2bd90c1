//! Who is who: the fleet's certificate authority, the identities in its certificates, join tokens, API keys, ID tokens of OpenID
//! providers, and the TLS that carries them.
//!
//! An agent's identity is the SPIFFE URI in a certificate which the hub filled in itself; nothing in a message or in a signing
//! request changes it. This crate does not know gRPC, the store or Kubernetes, and it reads no clock: whoever issues says what time it is.

pub mod api_key;
pub mod audit;
pub mod ca;
pub mod caller;
pub mod certificate;
pub mod doorkeeper;
pub mod incoming;
pub mod key;
pub mod key_backup;
pub mod oidc;
pub mod peer;
pub mod pin;
pub mod recovery;
pub mod seal;
pub mod tls;
pub mod token;

mod private;

pub use api_key::ApiKey;
pub use ca::{AGENT_LIFETIME, Authority, CaError, Credential, Issued, Stage, Trust};
pub use caller::{Caller, Principal};
pub use doorkeeper::{Doorkeeper, Place};
pub use incoming::{Connection, Incoming, IncomingOptions, PeerInfo};
pub use peer::Peer;
pub use pin::{CaPin, CaPins};
pub use private::{ReadableByOthers, private};
pub use token::JoinToken;
