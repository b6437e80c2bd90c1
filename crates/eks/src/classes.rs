//! Whose turn it is, by the code AWS gives. One table for answers of the API, one for what ails a node group or cluster.
//!
//! Nothing here reads a message: words are for people.

use berth_model::infra::TroubleClass::{self, Operator, Replace, Retry};

/// Codes of failed calls: the EKS model's own errors, the ones common to all AWS services, and our names for failures
/// that never reached one.
const CALLS: &[(&str, TroubleClass)] = &[
    // EKS.
    ("BadRequestException", Operator),
    ("ClientException", Operator),
    ("InvalidParameterException", Operator),
    ("InvalidRequestException", Operator),
    ("NotFoundException", Operator),
    ("ResourceInUseException", Retry),
    ("ResourceLimitExceededException", Operator),
    ("ResourceNotFoundException", Operator),
    ("ResourcePropagationDelayException", Retry),
    ("ServerException", Retry),
    ("ServiceUnavailableException", Retry),
    ("ThrottlingException", Retry),
    ("UnsupportedAvailabilityZoneException", Operator),
    // Every AWS service. Credentials that expired are renewed by their provider; a request is too old when clocks differ.
    ("AccessDenied", Operator),
    ("AccessDeniedException", Operator),
    ("ExpiredToken", Retry),
    ("ExpiredTokenException", Retry),
    ("IncompleteSignature", Operator),
    ("InternalFailure", Retry),
    ("InternalServerError", Retry),
    ("InternalServerException", Retry),
    ("InvalidClientTokenId", Operator),
    ("InvalidSignatureException", Operator),
    ("MissingAuthenticationTokenException", Operator),
    ("NotAuthorized", Operator),
    ("OptInRequired", Operator),
    ("RequestExpired", Retry),
    ("RequestLimitExceeded", Retry),
    ("RequestThrottled", Retry),
    ("RequestTimeout", Retry),
    ("ServiceUnavailable", Retry),
    ("SignatureDoesNotMatch", Operator),
    ("SlowDown", Retry),
    ("Throttling", Retry),
    ("TooManyRequestsException", Retry),
    ("UnrecognizedClientException", Operator),
    ("ValidationError", Operator),
    ("ValidationException", Operator),
    // Ours.
    (NO_ANSWER, Retry),
    (NO_CONNECTION, Retry),
    (NO_CREDENTIALS, Operator),
    (TIMEOUT, Retry),
    (UNREADABLE, Retry),
];

/// The connection ended before an answer came; what was asked may have been done.
pub(crate) const NO_ANSWER: &str = "NoAnswer";
/// AWS could not be reached.
pub(crate) const NO_CONNECTION: &str = "NoConnection";
/// The hub has no usable AWS credentials.
pub(crate) const NO_CREDENTIALS: &str = "NoCredentials";
/// No answer within the time limit.
pub(crate) const TIMEOUT: &str = "Timeout";
/// An answer nobody understands.
pub(crate) const UNREADABLE: &str = "UnreadableAnswer";

/// What ails something that could not be made: making it anew helps where the cause was in itself or of the moment.
const MAKING: &[(&str, TroubleClass)] = &[
    ("AccessDenied", Operator),
    ("AmiIdNotFound", Operator),
    ("AsgInstanceLaunchFailures", Replace),
    ("AutoScalingGroupInstanceRefreshActive", Replace),
    ("AutoScalingGroupInvalidConfiguration", Replace),
    ("AutoScalingGroupNotFound", Replace),
    ("AutoScalingGroupOptInRequired", Operator),
    ("AutoScalingGroupRateLimitExceeded", Replace),
    ("ClusterUnreachable", Replace),
    ("ConfigurationConflict", Operator),
    ("Ec2InstanceTypeDoesNotExist", Operator),
    ("Ec2LaunchTemplateDeletionFailure", Replace),
    ("Ec2LaunchTemplateInvalidConfiguration", Operator),
    ("Ec2LaunchTemplateMaxLimitExceeded", Operator),
    ("Ec2LaunchTemplateNotFound", Replace),
    ("Ec2LaunchTemplateVersionMaxLimitExceeded", Operator),
    ("Ec2LaunchTemplateVersionMismatch", Replace),
    ("Ec2SecurityGroupDeletionFailure", Replace),
    ("Ec2SecurityGroupNotFound", Operator),
    ("Ec2ServiceNotSubscribed", Operator),
    ("Ec2SubnetInvalidConfiguration", Operator),
    ("Ec2SubnetListTooLong", Operator),
    ("Ec2SubnetMissingIpv6Assignment", Operator),
    ("Ec2SubnetNotFound", Operator),
    ("IamInstanceProfileNotFound", Replace),
    ("IamLimitExceeded", Operator),
    ("IamNodeRoleNotFound", Operator),
    ("IamRoleNotFound", Operator),
    ("IamThrottling", Replace),
    ("InstanceLimitExceeded", Operator),
    ("InsufficientFreeAddresses", Operator),
    ("InternalFailure", Replace),
    ("KmsGrantRevoked", Operator),
    ("KmsKeyDisabled", Operator),
    ("KmsKeyMarkedForDeletion", Operator),
    ("KmsKeyNotFound", Operator),
    ("KubernetesLabelInvalid", Operator),
    ("LimitExceeded", Operator),
    ("NodeCreationFailure", Replace),
    ("NodeTerminationFailure", Replace),
    ("Other", Replace),
    ("PodEvictionFailure", Replace),
    ("ResourceLimitExceeded", Operator),
    ("ResourceNotFound", Operator),
    ("SourceEc2LaunchTemplateNotFound", Operator),
    ("StsRegionalEndpointDisabled", Operator),
    ("Unknown", Replace),
    ("UnsupportedVersion", Operator),
    ("VpcNotFound", Operator),
];

fn look_up(table: &[(&str, TroubleClass)], code: &str) -> Option<TroubleClass> {
    table
        .iter()
        .find(|(known, _)| *known == code)
        .map(|(_, class)| *class)
}

/// The class of a failed call. A code AWS has invented since is judged by its HTTP status, as AWS means 4xx for the
/// caller and 5xx for itself.
pub(crate) fn of_call(code: &str, http_status: Option<u16>) -> TroubleClass {
    look_up(CALLS, code).unwrap_or(match http_status {
        Some(429) | Some(500..) | None => Retry,
        Some(_) => Operator,
    })
}

/// The class of what keeps something from being made.
pub(crate) fn of_making(code: &str) -> TroubleClass {
    look_up(MAKING, code).unwrap_or(Operator)
}

/// The class of what ails something that is in use: it is never replaced by itself, since somebody's pods run there.
pub(crate) fn of_running(code: &str) -> TroubleClass {
    match of_making(code) {
        Replace => Retry,
        class => class,
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_eks::types::{ClusterIssueCode, NodegroupIssueCode};

    use super::*;

    #[test]
    fn every_ailment_the_eks_model_knows_has_a_class_of_its_own() {
        for code in NodegroupIssueCode::values()
            .iter()
            .chain(ClusterIssueCode::values())
        {
            assert!(look_up(MAKING, code).is_some(), "{code} is missing");
        }
    }

    #[test]
    fn every_error_has_one_class() {
        for table in [CALLS, MAKING] {
            for (at, (code, _)) in table.iter().enumerate() {
                assert!(
                    !table[at + 1..].iter().any(|(other, _)| other == code),
                    "{code} is there twice"
                );
            }
        }
    }

    #[test]
    fn time_mends_throttling_and_broken_servers_people_mend_quotas_and_rights() {
        let cases = [
            ("ThrottlingException", Retry),
            ("ServerException", Retry),
            ("ServiceUnavailableException", Retry),
            ("ResourceInUseException", Retry),
            ("ExpiredTokenException", Retry),
            (TIMEOUT, Retry),
            (NO_CONNECTION, Retry),
            ("ResourceLimitExceededException", Operator),
            ("InvalidParameterException", Operator),
            ("InvalidRequestException", Operator),
            ("ClientException", Operator),
            ("UnsupportedAvailabilityZoneException", Operator),
            ("AccessDeniedException", Operator),
        ];
        for (code, class) in cases {
            assert_eq!(of_call(code, Some(400)), class, "{code}");
        }
    }

    #[test]
    fn a_code_of_the_future_is_judged_by_its_status() {
        let cases = [
            (Some(400), Operator),
            (Some(403), Operator),
            (Some(429), Retry),
            (Some(503), Retry),
            (None, Retry),
        ];
        for (status, class) in cases {
            assert_eq!(of_call("NobodyKnowsException", status), class);
        }
        assert_eq!(of_making("NobodyKnows"), Operator);
    }

    #[test]
    fn what_is_in_use_is_never_replaced_by_itself() {
        for (code, _) in MAKING {
            assert_ne!(of_running(code), Replace, "{code}");
        }
    }
}
