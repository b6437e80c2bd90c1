//! A role binding at rest.

use berth_model::{Revision, RoleBinding};
use berth_proto::record as proto;
use prost::Message as _;

use super::{Reading, RecordError};
use crate::{
    api::{self, role_binding_spec_from_proto, role_binding_to_proto},
    names,
};

/// The role binding as bytes. Its revision is not among them.
#[must_use]
pub fn encode_role_binding(binding: &RoleBinding) -> Vec<u8> {
    let mut binding = role_binding_to_proto(binding);
    binding.etag.clear();
    proto::RoleBindingRecord {
        role_binding: Some(binding),
    }
    .encode_to_vec()
}

/// Reads a role binding that was last written at `revision`.
///
/// # Errors
/// [`RecordError`].
pub fn decode_role_binding(bytes: &[u8], revision: Revision) -> Result<RoleBinding, RecordError> {
    let reading = Reading("role binding");
    let binding = reading
        .message::<proto::RoleBindingRecord>(bytes)?
        .role_binding
        .ok_or_else(|| reading.missing("role_binding"))?;
    let spec = binding.spec.as_ref().ok_or_else(|| reading.missing("spec"))?;
    Ok(RoleBinding {
        name: reading.resource(names::parse_role_binding("name", &binding.name))?,
        uid: reading.name(&binding.uid)?,
        generation: api::generation(binding.generation),
        revision,
        spec: reading.spec(role_binding_spec_from_proto(spec))?,
    })
}

#[cfg(test)]
mod tests {
    use berth_model::{Generation, Uid};
    use proptest::prelude::*;

    use super::*;
    use crate::testing;

    proptest! {
        #[test]
        fn a_role_binding_survives(spec in testing::role_binding_spec(), revision in any::<u64>()) {
            let binding = RoleBinding {
                name: "ops".parse().unwrap(),
                uid: Uid::new("u-1").unwrap(),
                generation: Generation(2),
                revision: Revision(revision),
                spec,
            };
            prop_assert_eq!(
                decode_role_binding(&encode_role_binding(&binding), binding.revision).unwrap(),
                binding
            );
        }
    }
}
