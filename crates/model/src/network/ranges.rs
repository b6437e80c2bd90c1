//! Ranges of addresses that are no tenant's to name, and what is left of a range without them.
//!
//! After the special-purpose registries of IANA (RFC 6890). Documentation ranges are not among them: nothing answers there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Cidr;

/// Kept from tenants unless their tier names them or a part of them: pods, Services, nodes and data centres are there.
const PRIVATE: [(Cidr, &str); 11] = [
    (v4([10, 0, 0, 0], 8), "private (RFC 1918)"),
    (v4([172, 16, 0, 0], 12), "private (RFC 1918)"),
    (v4([192, 168, 0, 0], 16), "private (RFC 1918)"),
    (v4([100, 64, 0, 0], 10), "shared address space (RFC 6598)"),
    (v4([192, 0, 0, 0], 24), "protocol assignments (RFC 6890)"),
    (v4([198, 18, 0, 0], 15), "benchmarking (RFC 2544)"),
    // IPv4 in IPv6's clothes is in these three, which would be a way around everything that is said of IPv4.
    (
        v6([0, 0, 0, 0, 0, 0, 0, 0], 3),
        "loopback, IPv4-mapped and translated (RFC 4291, RFC 6052)",
    ),
    (v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32), "Teredo (RFC 4380)"),
    (v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16), "6to4 (RFC 3056)"),
    (v6([0x4000, 0, 0, 0, 0, 0, 0, 0], 2), "unassigned"),
    (
        v6([0x8000, 0, 0, 0, 0, 0, 0, 0], 1),
        "unique local, link-local and multicast (RFC 4193, RFC 4291)",
    ),
];

/// Kept from tenants whatever their tier says: a node's own, and where clouds hand out credentials.
const NEVER: [(Cidr, &str); 11] = [
    (v4([0, 0, 0, 0], 8), "this network (RFC 1122)"),
    (v4([127, 0, 0, 0], 8), "loopback (RFC 1122)"),
    (
        v4([169, 254, 0, 0], 16),
        "link-local, with the cloud's metadata service (RFC 3927)",
    ),
    (v4([168, 63, 129, 16], 32), "the cloud's metadata service (Azure)"),
    (
        v4([100, 100, 100, 200], 32),
        "the cloud's metadata service (Alibaba)",
    ),
    (v4([192, 0, 0, 192], 32), "the cloud's metadata service (Oracle)"),
    (v4([224, 0, 0, 0], 4), "multicast (RFC 5771)"),
    (v4([240, 0, 0, 0], 4), "reserved (RFC 1112)"),
    (
        v6([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0], 32),
        "the cloud's metadata service (AWS)",
    ),
    (v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10), "link-local (RFC 4291)"),
    (v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8), "multicast (RFC 4291)"),
];

const fn v4([a, b, c, d]: [u8; 4], bits: u8) -> Cidr {
    Cidr {
        address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
        bits,
    }
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], bits: u8) -> Cidr {
    Cidr {
        address: IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h)),
        bits,
    }
}

/// A range without some ranges inside it, as a NetworkPolicy's `ipBlock` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// The range.
    pub cidr: Cidr,
    /// What it is without: each smaller than it and inside it, none inside another.
    pub except: Vec<Cidr>,
}

/// What of `cidr` a tenant may name when its tier names `named`; nothing when all of it is kept from tenants.
#[must_use]
pub fn left_of(cidr: Cidr, named: &[Cidr]) -> Vec<Block> {
    let mut blocks = Vec::new();
    if private(&cidr).is_none() && never(&cidr).is_none() {
        let kept = PRIVATE.iter().chain(&NEVER).map(|(range, _)| *range);
        blocks.push(without(cidr, kept));
    }
    // Two ranges are either apart or one inside the other, so what they share is the smaller.
    let shared = named.iter().filter_map(|named| {
        if cidr.contains(named) {
            Some(*named)
        } else {
            named.contains(&cidr).then_some(cidr)
        }
    });
    let shared = widest(shared.filter(|range| never(range).is_none()));
    blocks.extend(
        shared
            .into_iter()
            .map(|range| without(range, NEVER.iter().map(|(range, _)| *range))),
    );
    blocks
}

/// Which private range, with its name, all of `cidr` is in.
#[must_use]
pub fn private(cidr: &Cidr) -> Option<(Cidr, &'static str)> {
    PRIVATE.into_iter().find(|(range, _)| range.contains(cidr))
}

/// Which range that is kept from tenants whatever their tier says, with its name, all of `cidr` is in.
#[must_use]
pub fn never(cidr: &Cidr) -> Option<(Cidr, &'static str)> {
    NEVER.into_iter().find(|(range, _)| range.contains(cidr))
}

fn without(cidr: Cidr, kept: impl Iterator<Item = Cidr>) -> Block {
    Block {
        cidr,
        except: widest(kept.filter(|range| cidr.contains(range))),
    }
}

/// Those that are not inside another, in order.
fn widest(ranges: impl Iterator<Item = Cidr>) -> Vec<Cidr> {
    let mut all: Vec<Cidr> = ranges.collect();
    all.sort_unstable();
    all.dedup();
    all.iter()
        .filter(|range| !all.iter().any(|other| other != *range && other.contains(range)))
        .copied()
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cidr(text: &str) -> Cidr {
        text.parse().unwrap()
    }

    fn holds(blocks: &[Block], address: IpAddr) -> bool {
        blocks
            .iter()
            .any(|block| block.cidr.holds(address) && !block.except.iter().any(|range| range.holds(address)))
    }

    #[test]
    fn the_internet_is_what_is_nobodys_own() {
        let internet = [left_of(cidr("0.0.0.0/0"), &[]), left_of(cidr("::/0"), &[])].concat();
        for open in ["8.8.8.8", "203.0.113.7", "2600:1f18::1", "2001:4860:4860::8888"] {
            assert!(holds(&internet, open.parse().unwrap()), "{open}");
        }
        for kept in [
            "0.0.0.0",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "168.63.129.16",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:10.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::a9fe:a9fe",
            "2002:a9fe:a9fe::1",
            "fd00:ec2::254",
            "fd12::1",
            "fe80::1",
            "ff02::1",
        ] {
            assert!(!holds(&internet, kept.parse().unwrap()), "{kept}");
        }
    }

    #[test]
    fn a_tier_opens_private_ranges_by_naming_them_and_never_a_metadata_service() {
        let named = [cidr("10.20.0.0/16"), cidr("169.254.0.0/16"), cidr("fd00::/8")];
        let left = |text: &str| left_of(cidr(text), &named);
        assert!(holds(&left("0.0.0.0/0"), "10.20.0.1".parse().unwrap()));
        assert!(!holds(&left("0.0.0.0/0"), "10.21.0.1".parse().unwrap()));
        assert!(holds(&left("10.20.3.0/24"), "10.20.3.1".parse().unwrap()));
        assert!(left("10.21.0.0/16").is_empty());
        assert!(left("169.254.169.254/32").is_empty());
        assert!(holds(&left("::/0"), "fd00::1".parse().unwrap()));
        assert!(!holds(&left("::/0"), "fd00:ec2::254".parse().unwrap()));
        assert!(left("fd00:ec2::254/128").is_empty());
    }

    fn any_cidr() -> impl Strategy<Value = Cidr> {
        let interesting = prop::sample::select(
            PRIVATE
                .iter()
                .chain(&NEVER)
                .map(|(range, _)| range.address())
                .collect::<Vec<_>>(),
        );
        let address = prop_oneof![
            any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
            any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
            interesting,
        ];
        (address, 0_u8..=128).prop_map(|(address, bits)| match address {
            IpAddr::V4(address) => {
                let bits = bits % 33;
                let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
                let address = IpAddr::V4((u32::from(address) & mask).into());
                Cidr { address, bits }
            }
            IpAddr::V6(address) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
                let address = IpAddr::V6((u128::from(address) & mask).into());
                Cidr { address, bits }
            }
        })
    }

    proptest! {
        /// What is left is decided address by address in the plainest words, and the blocks say the same.
        #[test]
        fn what_is_left_of_a_range_is_what_is_not_kept(
            range in any_cidr(),
            named in prop::collection::vec(any_cidr(), 0..4),
            probe in any_cidr(),
        ) {
            let blocks = left_of(range, &named);
            for probe in [probe.address(), range.address()] {
                let one = Cidr { address: probe, bits: super::super::width(probe) };
                let expected = range.holds(probe)
                    && never(&one).is_none()
                    && (private(&one).is_none() || named.iter().any(|named| named.holds(probe)));
                prop_assert_eq!(holds(&blocks, probe), expected, "{} of {:?}", probe, &blocks);
            }
            for block in &blocks {
                for except in &block.except {
                    prop_assert!(block.cidr.contains(except) && block.cidr != *except);
                }
            }
        }
    }
}
