//! Page sizes and tokens (AIP-158).

use berth_model::Violation;

use super::error::invalid;

/// Most items of one page.
const MOST: usize = 1000;

/// The page size in force.
pub(super) fn size(asked: i32) -> Result<usize, tonic::Status> {
    match usize::try_from(asked) {
        Ok(0) => Ok(MOST),
        Ok(size) => Ok(size.min(MOST)),
        Err(_) => Err(invalid(vec![Violation::new(
            "page_size",
            "is negative",
            "0 takes the default of 1000",
        )])),
    }
}

/// The key to go on after.
pub(super) fn after(token: &str) -> Option<&str> {
    (!token.is_empty()).then_some(token)
}
