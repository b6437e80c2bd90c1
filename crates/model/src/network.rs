//! Who may talk to whom: a small vocabulary that renders to NetworkPolicies and cannot say "everybody".
//!
//! Traffic between two tenants takes both: one lets it out to the other, the other lets it in from the one.

pub mod ranges;

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::id::TenantId;

/// What a tenant adds to the walls of its network.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Network {
    /// How far the tenant's own namespaces reach each other; none takes the tier's word.
    pub within: Option<Within>,
    /// Who gets in.
    pub ingress: Vec<Rule>,
    /// Who is reached.
    pub egress: Vec<Rule>,
}

/// What all tenants of a tier get, and where the platform's own parts are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TierNetwork {
    /// How far a tenant's namespaces reach each other.
    pub within: Within,
    /// Namespaces of the ingress controllers.
    pub ingress_controllers: Vec<String>,
    /// Namespaces of monitoring, logging and telemetry.
    pub monitoring: Vec<String>,
    /// Private ranges that tenants may name, such as a data centre's databases. Every other private range is kept from them.
    pub private_cidrs: Vec<Cidr>,
    /// Who gets in, besides what a tenant says.
    pub ingress: Vec<Rule>,
    /// Who is reached, besides what a tenant says.
    pub egress: Vec<Rule>,
}

impl Default for TierNetwork {
    fn default() -> Self {
        Self {
            within: Within::Tenant,
            ingress_controllers: vec!["ingress-nginx".into()],
            monitoring: vec!["monitoring".into(), "logging".into()],
            private_cidrs: Vec::new(),
            ingress: Vec::new(),
            egress: Vec::new(),
        }
    }
}

/// How far a tenant's own namespaces reach each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Within {
    /// All of them, whatever the environment.
    #[default]
    Tenant,
    /// Those of the same environment.
    Environment,
}

/// One way in or out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The other side.
    pub peer: Peer,
    /// On which ports; at least one.
    pub ports: Vec<Port>,
}

/// The other side of a way in or out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Peer {
    /// The platform's ingress controllers, where the tier says they are.
    IngressController,
    /// Monitoring, logging and telemetry, where the tier says they are.
    Monitoring,
    /// A shared service in a namespace that is no tenant's.
    Service {
        /// Its namespace.
        namespace: String,
        /// Labels of its pods; empty means every pod of that namespace.
        labels: BTreeMap<String, String>,
    },
    /// Addresses outside the cluster. Private ranges inside it are left out, but for those that the tier names to be
    /// reached; nobody is let in from a private range, where other tenants' pods are.
    Cidr {
        /// Which.
        cidr: Cidr,
    },
    /// Another tenant in the same cluster, which must say the same of this one.
    Tenant {
        /// Which.
        tenant: TenantId,
    },
}

/// A transport protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// `TCP` or `UDP`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }
}

/// A port, or a range of them. Written `443`, `53/UDP` or `8000-8010`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Port {
    /// The protocol.
    pub protocol: Protocol,
    /// The first, never 0.
    pub first: u16,
    /// The last, not below the first.
    pub last: u16,
}

/// A text that is no port or no CIDR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {problem}")]
pub struct InvalidNetwork {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl FromStr for Port {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let wrong = |problem| InvalidNetwork {
            text: text.to_owned(),
            problem,
        };
        let (ports, protocol) = match text.split_once('/') {
            None | Some((_, "TCP")) => (text.split('/').next().unwrap_or(text), Protocol::Tcp),
            Some((ports, "UDP")) => (ports, Protocol::Udp),
            Some(_) => return Err(wrong("has a protocol other than TCP and UDP")),
        };
        let number = |text: &str| match text.parse::<u16>() {
            Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
            _ => Err(wrong("is no port: write 443, 53/UDP or 8000-8010")),
        };
        let (first, last) = match ports.split_once('-') {
            None => (number(ports)?, number(ports)?),
            Some((first, last)) => (number(first)?, number(last)?),
        };
        if first > last {
            return Err(wrong("ends before it begins"));
        }
        Ok(Self {
            protocol,
            first,
            last,
        })
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        match self.protocol {
            Protocol::Tcp => Ok(()),
            Protocol::Udp => f.write_str("/UDP"),
        }
    }
}

impl TryFrom<String> for Port {
    type Error = InvalidNetwork;
    fn try_from(text: String) -> Result<Self, InvalidNetwork> {
        text.parse()
    }
}

impl From<Port> for String {
    fn from(port: Port) -> Self {
        port.to_string()
    }
}

/// A range of addresses, with no bit set behind its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// The first address.
    #[must_use]
    pub const fn address(&self) -> IpAddr {
        self.address
    }

    /// Whether every address of `other` is one of these.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        self.address.is_ipv4() == other.address.is_ipv4()
            && other.bits >= self.bits
            && masked(number(other.address), width(other.address), self.bits)
                == masked(number(self.address), width(self.address), self.bits)
    }

    /// Whether `address` is one of these.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let bits = width(address);
        self.contains(&Self { address, bits })
    }
}

const fn width(address: IpAddr) -> u8 {
    match address {
        IpAddr::V4(_) => 32,
        IpAddr::V6(_) => 128,
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The first `bits` of a number that is `width` bits wide.
const fn masked(number: u128, width: u8, bits: u8) -> u128 {
    if bits == 0 { 0 } else { number >> (width - bits) }
}

impl FromStr for Cidr {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let wrong = |problem| InvalidNetwork {
            text: text.to_owned(),
            problem,
        };
        let (address, bits) = text
            .split_once('/')
            .ok_or_else(|| wrong("is no CIDR: write 203.0.113.0/24"))?;
        let address: IpAddr = address
            .parse()
            .map_err(|_| wrong("is no CIDR: write 203.0.113.0/24"))?;
        if let IpAddr::V6(address) = address
            && address.to_ipv4_mapped().is_some()
        {
            return Err(wrong("is an IPv4 address in IPv6's clothes"));
        }
        let plain = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = bits
            .parse::<u8>()
            .ok()
            .filter(|bits| plain && *bits <= width(address))
            .ok_or_else(|| wrong("has a prefix length that is none"))?;
        let rest = width(address) - bits;
        let behind = number(address) & (1_u128.checked_shl(rest.into()).unwrap_or(0).wrapping_sub(1));
        if behind != 0 {
            return Err(wrong("has bits set behind its prefix"));
        }
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl TryFrom<String> for Cidr {
    type Error = InvalidNetwork;
    fn try_from(text: String) -> Result<Self, InvalidNetwork> {
        text.parse()
    }
}

impl From<Cidr> for String {
    fn from(cidr: Cidr) -> Self {
        cidr.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ports_are_read_as_they_are_written() {
        for text in ["443", "53/UDP", "8000-8010", "1-65535/UDP"] {
            assert_eq!(text.parse::<Port>().unwrap().to_string(), text);
        }
        assert_eq!("443/TCP".parse::<Port>().unwrap().to_string(), "443");
        for wrong in ["", "0", "65536", "+1", "5-4", "443/SCTP", "443/", "-", "1-", "a"] {
            assert!(wrong.parse::<Port>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ranges_are_exact_and_nothing_is_hidden_behind_the_prefix() {
        for text in [
            "0.0.0.0/0",
            "203.0.113.0/24",
            "203.0.113.7/32",
            "::/0",
            "2001:db8::/32",
        ] {
            assert_eq!(text.parse::<Cidr>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "10.0.0.1",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "::1/64",
            "::ffff:10.0.0.0/104",
            "010.0.0.0/8",
        ] {
            assert!(wrong.parse::<Cidr>().is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn a_range_holds_what_begins_like_it(address in any::<u32>(), bits in 0_u8..=32, other in any::<u32>()) {
            let kept = u32::try_from((u64::from(address) >> (32 - bits)) << (32 - bits)).unwrap();
            let range = Cidr { address: IpAddr::V4(kept.into()), bits };
            prop_assert!(range.holds(IpAddr::V4(address.into())));
            let same = (u64::from(other) >> (32 - bits)) == (u64::from(address) >> (32 - bits));
            prop_assert_eq!(range.holds(IpAddr::V4(other.into())), same);
            prop_assert_eq!(range.to_string().parse::<Cidr>(), Ok(range));
        }
    }
}
