//! Refusals as gRPC statuses with `google.rpc.ErrorInfo` and `google.rpc.BadRequest` (AIP-193).

use std::collections::HashMap;

use berth_control::RegistryError;
use berth_model::Violation;
use berth_store::StoreError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tracing::error;

const DOMAIN: &str = "berth.dev";

/// INVALID_ARGUMENT with every violation.
pub(crate) fn invalid(violations: Vec<Violation>) -> Status {
    berth_wire::status::invalid_argument(&violations)
}

/// A status with a reason for machines.
pub(crate) fn refused(code: Code, reason: &str, message: impl Into<String>) -> Status {
    let details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    Status::with_error_details(code, message, details)
}

/// What a refusal of the registry is in gRPC.
pub(crate) fn status(error: RegistryError) -> Status {
    match error {
        RegistryError::Invalid(violations) => invalid(violations),
        RegistryError::NotFound { .. } => refused(Code::NotFound, "NOT_FOUND", error.to_string()),
        RegistryError::AlreadyExists { .. } => {
            refused(Code::AlreadyExists, "ALREADY_EXISTS", error.to_string())
        }
        RegistryError::Stale { .. } => refused(Code::Aborted, "STALE_ETAG", error.to_string()),
        RegistryError::Precondition {
            reason: "CONTENDED",
            message,
        } => refused(Code::Aborted, "CONTENDED", message),
        RegistryError::Precondition { reason, message } => refused(Code::FailedPrecondition, reason, message),
        RegistryError::Forbidden { message } => refused(Code::PermissionDenied, "NOT_ALLOWED", message),
        RegistryError::Refused { reason, message } => refused(Code::Unauthenticated, reason, message),
        RegistryError::Store(problem) => store(&problem),
        RegistryError::Record(problem) => {
            error!(error = %problem, "a record cannot be read");
            refused(Code::DataLoss, "RECORD_UNREADABLE", problem.to_string())
        }
    }
}

/// What a store that did not do as asked is in gRPC.
pub(crate) fn store(problem: &StoreError) -> Status {
    let (code, reason) = match problem {
        StoreError::Invalid { .. } => (Code::Internal, "STORE"),
        StoreError::Full { .. } => (Code::ResourceExhausted, "STORE_FULL"),
        StoreError::NotLeader => (Code::Unavailable, "NOT_LEADER"),
        _ => (Code::Unavailable, "STORE"),
    };
    error!(error = %problem, "the store did not do what the API asked");
    refused(code, reason, problem.to_string())
}
