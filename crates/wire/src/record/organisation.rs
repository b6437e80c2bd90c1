//! An organisation at rest.

use berth_model::{Organisation, Revision};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::{
    api::{self, organisation_spec_from_proto, organisation_to_proto},
    names,
};

/// The organisation as bytes. Its revision is not among them.
#[must_use]
pub fn encode_organisation(organisation: &Organisation) -> Vec<u8> {
    let mut organisation = organisation_to_proto(organisation, 0, Vec::new());
    organisation.etag.clear();
    proto::OrganisationRecord {
        organisation: Some(organisation),
    }
    .encode_to_vec()
}

/// Reads an organisation that was last written at `revision`.
///
/// # Errors
/// [`RecordError`].
pub fn decode_organisation(bytes: &[u8], revision: Revision) -> Result<Organisation, RecordError> {
    let reading = Reading("organisation");
    let organisation = reading
        .message::<proto::OrganisationRecord>(bytes)?
        .organisation
        .ok_or_else(|| reading.missing("organisation"))?;
    let spec = organisation
        .spec
        .as_ref()
        .ok_or_else(|| reading.missing("spec"))?;
    Ok(Organisation {
        name: reading.resource(names::parse_organisation("name", &organisation.name))?,
        uid: reading.name(&organisation.uid)?,
        generation: api::generation(organisation.generation),
        revision,
        spec: reading.spec(organisation_spec_from_proto(spec))?,
    })
}

#[cfg(test)]
mod tests {
    use berth_model::{Generation, OrganisationName, Uid};
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn an_organisation_survives(
            spec in testing::organisation_spec(),
            generation in 1_u64..1000,
            revision in any::<u64>(),
        ) {
            let organisation = Organisation {
                name: OrganisationName::new("acme").unwrap(),
                uid: Uid::new("u-1").unwrap(),
                generation: Generation(generation),
                revision: Revision(revision),
                spec,
            };
            prop_assert_eq!(
                decode_organisation(&encode_organisation(&organisation), organisation.revision).unwrap(),
                organisation
            );
        }
    }
}
