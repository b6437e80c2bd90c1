//! Control planes in EKS.

use std::collections::BTreeMap;

use aws_sdk_eks::{
    Client,
    error::SdkError,
    types::{
        AccessScope, AccessScopeType, AuthenticationMode, Cluster, CreateAccessConfigRequest, LogSetup,
        LogType, Logging, VpcConfigRequest,
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_model::{infra::TroubleClass, tier::Bootstrap};
use berth_provision::{ClusterRequest, Failure};

use crate::{
    classes,
    config::{EksConfig, Network},
    failure,
    names::step,
};

const ADMIN_POLICY: &str = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy";

/// Who may reach a control plane from outside its network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PublicAccess {
    /// Nobody.
    No,
    /// These; none named means everybody.
    From(Vec<String>),
}

/// Who may reach the control plane of `want` from outside its network as things stand.
pub(crate) fn public_access(want: &ClusterRequest, config: &EksConfig) -> Result<PublicAccess, Failure> {
    let template = &want.template;
    if !template.private_endpoint {
        return Ok(PublicAccess::From(template.public_access_cidrs.clone()));
    }
    if template.bootstrap == Bootstrap::Direct || want.agent_connected {
        return Ok(PublicAccess::No);
    }
    let cidrs = if template.public_access_cidrs.is_empty() {
        &config.bootstrap_cidrs
    } else {
        &template.public_access_cidrs
    };
    if cidrs.is_empty() {
        return Err(Failure::new(
            TroubleClass::Operator,
            "NoBootstrapCidrs",
            format!(
                "cluster {} is to be public until its agent has dialled in, but nothing says for whom; \
                 set bootstrapCidrs in the hub's configuration or publicAccessCidrs in the tier",
                want.cluster
            ),
        ));
    }
    Ok(PublicAccess::From(cidrs.clone()))
}

/// The cluster called `name`, if there is one.
pub(crate) async fn find(eks: &Client, name: &str) -> Result<Option<Cluster>, Failure> {
    match eks.describe_cluster().name(name).send().await {
        Ok(answer) => Ok(answer.cluster),
        Err(SdkError::ServiceError(answer)) if answer.err().is_resource_not_found_exception() => Ok(None),
        Err(error) => Err(failure::of_call(&format!("describe cluster {name}"), error)),
    }
}

/// Starts making it.
pub(crate) async fn create(
    eks: &Client,
    want: &ClusterRequest,
    name: &str,
    config: &EksConfig,
    network: &Network,
) -> Result<(), Failure> {
    let doing = format!("create cluster {name}");
    let template = &want.template;
    let mut vpc = VpcConfigRequest::builder()
        .set_subnet_ids(Some(network.subnet_ids.clone()))
        .set_security_group_ids(Some(network.security_group_ids.clone()))
        .endpoint_private_access(true);
    vpc = match public_access(want, config)? {
        PublicAccess::No => vpc.endpoint_public_access(false),
        PublicAccess::From(cidrs) if cidrs.is_empty() => vpc.endpoint_public_access(true),
        PublicAccess::From(cidrs) => vpc
            .endpoint_public_access(true)
            .set_public_access_cidrs(Some(cidrs)),
    };
    let mut call = eks
        .create_cluster()
        .name(name)
        .client_request_token(want.origin.token(step::CLUSTER))
        .version(&template.kubernetes_version)
        .role_arn(&config.cluster_role_arn)
        .resources_vpc_config(vpc.build())
        .access_config(
            CreateAccessConfigRequest::builder()
                .authentication_mode(AuthenticationMode::ApiAndConfigMap)
                .bootstrap_cluster_creator_admin_permissions(true)
                .build(),
        )
        .set_tags(Some(tags(want).into_iter().collect()));
    if !template.logging.is_empty() {
        let kinds = template
            .logging
            .iter()
            .map(|kind| LogType::from(kind.as_str()))
            .collect();
        let on = LogSetup::builder().set_types(Some(kinds)).enabled(true).build();
        call = call.logging(Logging::builder().cluster_logging(on).build());
    }
    call.send()
        .await
        .map(drop)
        .map_err(|error| failure::of_call(&doing, error))
}

/// All tags of what is made for a cluster; nobody's may stand in for ownership's.
pub(crate) fn tags(want: &ClusterRequest) -> BTreeMap<String, String> {
    let mut tags = want.template.tags.clone();
    tags.extend(want.tags.clone());
    tags.extend(want.origin.tags(&want.cluster));
    tags
}

/// That it is ours.
pub(crate) fn own(want: &ClusterRequest, cluster: &Cluster) -> Result<(), Failure> {
    let tags = cluster.tags();
    match want
        .origin
        .disowned_by(|key| tags.and_then(|tags| tags.get(key)).map(String::as_str))
    {
        None => Ok(()),
        Some(found) => Err(Failure::not_ours(
            &format!("cluster {}", cluster.name().unwrap_or_default()),
            &found,
        )),
    }
}

/// What a cluster in status FAILED ails from.
pub(crate) fn trouble(cluster: &Cluster) -> Failure {
    let object = format!("cluster {} could not be made", cluster.name().unwrap_or_default());
    let issues = cluster.health().map(|health| health.issues()).unwrap_or_default();
    let issues = issues
        .iter()
        .map(|issue| (issue.code().map(|code| code.as_str()), issue.message()));
    failure::of_issues(&object, issues, classes::of_making)
}

/// Gives `principal` the rights of an administrator. Finds both halves done or does them.
pub(crate) async fn admit(
    eks: &Client,
    want: &ClusterRequest,
    name: &str,
    principal: &str,
) -> Result<(), Failure> {
    let entry = eks
        .create_access_entry()
        .cluster_name(name)
        .principal_arn(principal)
        .client_request_token(want.origin.token(step::ADMIT_HUB))
        .send()
        .await;
    match entry {
        Ok(_) => {}
        Err(SdkError::ServiceError(answer)) if answer.err().is_resource_in_use_exception() => {}
        Err(error) => {
            return Err(failure::of_call(
                &format!("admit {principal} to cluster {name}"),
                error,
            ));
        }
    }
    eks.associate_access_policy()
        .cluster_name(name)
        .principal_arn(principal)
        .policy_arn(ADMIN_POLICY)
        .access_scope(AccessScope::builder().r#type(AccessScopeType::Cluster).build())
        .send()
        .await
        .map(drop)
        .map_err(|error| {
            failure::of_call(
                &format!("make {principal} an administrator of cluster {name}"),
                error,
            )
        })
}

/// Whether its endpoint is public although nobody needs that any more.
pub(crate) fn to_be_closed(want: &ClusterRequest, cluster: &Cluster) -> bool {
    want.template.private_endpoint
        && want.agent_connected
        && cluster
            .resources_vpc_config()
            .is_some_and(|vpc| vpc.endpoint_public_access())
}

/// Starts closing its public endpoint. A change that is under way already goes first: the next look comes back.
pub(crate) async fn close(eks: &Client, want: &ClusterRequest, name: &str) -> Result<(), Failure> {
    let private = VpcConfigRequest::builder()
        .endpoint_public_access(false)
        .endpoint_private_access(true)
        .build();
    let outcome = eks
        .update_cluster_config()
        .name(name)
        .client_request_token(want.origin.token(step::CLOSE_ENDPOINT))
        .resources_vpc_config(private)
        .send()
        .await;
    match outcome {
        Ok(_) => Ok(()),
        Err(SdkError::ServiceError(answer)) if answer.err().is_resource_in_use_exception() => Ok(()),
        Err(error) => Err(failure::of_call(
            &format!("close the public endpoint of cluster {name}"),
            error,
        )),
    }
}

/// How far a removal is.
pub(crate) enum Removal {
    /// Started, or gone.
    Started,
    /// EKS will not yet, for its own reason.
    Later,
}

/// Starts removing it, if EKS lets.
pub(crate) async fn delete(eks: &Client, name: &str) -> Result<Removal, Failure> {
    match eks.delete_cluster().name(name).send().await {
        Ok(_) => Ok(Removal::Started),
        Err(SdkError::ServiceError(answer)) if answer.err().is_resource_not_found_exception() => {
            Ok(Removal::Started)
        }
        Err(SdkError::ServiceError(answer)) if answer.err().is_resource_in_use_exception() => {
            Ok(Removal::Later)
        }
        Err(error) => Err(failure::of_call(&format!("delete cluster {name}"), error)),
    }
}

/// Its certificate authority, PEM.
pub(crate) fn ca_pem(cluster: &Cluster) -> Result<String, Failure> {
    let name = cluster.name().unwrap_or_default();
    let unreadable = |what: &str| {
        Failure::new(
            TroubleClass::Retry,
            classes::UNREADABLE,
            format!("describe cluster {name}: {what}"),
        )
    };
    let data = cluster.certificate_authority().and_then(|ca| ca.data());
    let pem = STANDARD
        .decode(data.ok_or_else(|| unreadable("an active cluster without a certificate authority"))?)
        .map_err(|_| unreadable("a certificate authority that is not base64"))?;
    String::from_utf8(pem).map_err(|_| unreadable("a certificate authority that is not PEM"))
}

#[cfg(test)]
mod tests {
    use berth_provision::{tag, testing::cluster_request};

    use super::*;
    use crate::config::tests::FILE;

    fn config(cidrs: &[&str]) -> EksConfig {
        let mut config: EksConfig = serde_json::from_str(FILE).unwrap();
        config.bootstrap_cidrs = cidrs.iter().map(|&cidr| cidr.to_owned()).collect();
        config
    }

    #[test]
    fn a_private_endpoint_is_public_for_the_hub_only_and_only_until_the_agent_is_there() {
        let mut want = cluster_request("acme", 1);
        let hub = config(&["192.0.2.1/32"]);
        assert_eq!(public_access(&want, &hub), Ok(PublicAccess::No));
        want.template.bootstrap = Bootstrap::PublicThenPrivate;
        assert_eq!(
            public_access(&want, &hub),
            Ok(PublicAccess::From(vec!["192.0.2.1/32".into()]))
        );
        want.agent_connected = true;
        assert_eq!(public_access(&want, &hub), Ok(PublicAccess::No));
    }

    #[test]
    fn an_endpoint_is_never_opened_to_everybody_for_a_bootstrap() {
        let mut want = cluster_request("acme", 1);
        want.template.bootstrap = Bootstrap::PublicThenPrivate;
        let refused = public_access(&want, &config(&[])).unwrap_err();
        assert_eq!(
            (refused.class(), refused.trouble.code.as_str()),
            (TroubleClass::Operator, "NoBootstrapCidrs")
        );
    }

    #[test]
    fn a_tiers_tags_cannot_stand_in_for_ownership() {
        let mut want = cluster_request("acme", 1);
        want.template.tags.insert(tag::FLEET.into(), "another".into());
        want.tags.insert(tag::TENANT_UID.into(), "another".into());
        let tags = tags(&want);
        assert_eq!(tags[tag::FLEET], want.origin.fleet.as_str());
        assert_eq!(tags[tag::TENANT_UID], want.origin.uid.as_str());
        assert_eq!(tags["team"], "data");
    }
}
