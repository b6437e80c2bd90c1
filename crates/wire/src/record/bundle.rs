//! A bundle version at rest.
//!
//! Manifests can be larger than a value of the store may be. Whoever keeps them apart clears them before encoding and writes
//! [`crate::objects::encode_manifests`] in parts beside it.

use berth_model::{Bundle, Revision};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::{
    api::{bundle_spec_from_proto, bundle_to_proto},
    names,
};

/// The bundle as bytes. Its revision is not among them.
#[must_use]
pub fn encode_bundle(bundle: &Bundle) -> Vec<u8> {
    let mut bundle = bundle_to_proto(bundle, 0, true);
    bundle.etag.clear();
    proto::BundleRecord { bundle: Some(bundle) }.encode_to_vec()
}

/// Reads a bundle that was last written at `revision`.
///
/// # Errors
/// [`RecordError`].
pub fn decode_bundle(bytes: &[u8], revision: Revision) -> Result<Bundle, RecordError> {
    let reading = Reading("bundle");
    let bundle = reading
        .message::<proto::BundleRecord>(bytes)?
        .bundle
        .ok_or_else(|| reading.missing("bundle"))?;
    let spec = bundle.spec.as_ref().ok_or_else(|| reading.missing("spec"))?;
    let (name, version) = reading.resource(names::parse_bundle("name", &bundle.name))?;
    Ok(Bundle {
        name,
        version,
        uid: reading.name(&bundle.uid)?,
        revision,
        created_at: reading.time("create_time", bundle.create_time.as_ref())?,
        spec: reading.spec(bundle_spec_from_proto(spec))?,
    })
}

#[cfg(test)]
mod tests {
    use berth_model::{BundleName, BundleVersion, Timestamp, Uid};
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_bundle_survives(spec in testing::bundle_spec(), revision in any::<u64>()) {
            let bundle = Bundle {
                name: BundleName::new("web").unwrap(),
                version: BundleVersion::new("1.0.0").unwrap(),
                uid: Uid::new("u-1").unwrap(),
                revision: Revision(revision),
                created_at: Timestamp::UNIX_EPOCH,
                spec,
            };
            prop_assert_eq!(decode_bundle(&encode_bundle(&bundle), bundle.revision).unwrap(), bundle);
        }
    }
}
