//! A tier at rest.

use berth_model::{Revision, Tier};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::{
    api::{self, tier_spec_from_proto, tier_to_proto},
    names,
};

/// The tier as bytes. Its revision is not among them.
#[must_use]
pub fn encode_tier(tier: &Tier) -> Vec<u8> {
    let mut tier = tier_to_proto(tier, 0);
    tier.etag.clear();
    proto::TierRecord { tier: Some(tier) }.encode_to_vec()
}

/// Reads a tier that was last written at `revision`.
///
/// # Errors
/// [`RecordError`].
pub fn decode_tier(bytes: &[u8], revision: Revision) -> Result<Tier, RecordError> {
    let reading = Reading("tier");
    let tier = reading
        .message::<proto::TierRecord>(bytes)?
        .tier
        .ok_or_else(|| reading.missing("tier"))?;
    let spec = tier.spec.as_ref().ok_or_else(|| reading.missing("spec"))?;
    Ok(Tier {
        name: reading.resource(names::parse_tier("name", &tier.name))?,
        uid: reading.name(&tier.uid)?,
        generation: api::generation(tier.generation),
        revision,
        spec: reading.spec(tier_spec_from_proto(spec))?,
    })
}

#[cfg(test)]
mod tests {
    use berth_model::{Generation, TierName, Uid};
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_tier_survives(spec in testing::tier_spec(), generation in 1_u64..1000, revision in any::<u64>()) {
            let tier = Tier {
                name: TierName::new("gold").unwrap(),
                uid: Uid::new("u-1").unwrap(),
                generation: Generation(generation),
                revision: Revision(revision),
                spec,
            };
            prop_assert_eq!(decode_tier(&encode_tier(&tier), tier.revision).unwrap(), tier);
        }
    }
}
