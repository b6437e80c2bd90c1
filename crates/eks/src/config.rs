//! What a hub must be told of its AWS account.

use std::{collections::BTreeMap, fmt};

use serde::Deserialize;

/// The part of the hub's configuration that says where and with which roles EKS clusters are made.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EksConfig {
    /// The region of requests that name none, such as `eu-central-1`.
    pub default_region: String,
    /// Where clusters and nodes live, by region. A region that is not here cannot be used.
    pub regions: BTreeMap<String, Network>,
    /// IAM role of control planes (`AmazonEKSClusterPolicy`).
    pub cluster_role_arn: String,
    /// IAM role of nodes (`AmazonEKSWorkerNodePolicy`, `AmazonEC2ContainerRegistryPullOnly`, a CNI policy).
    pub node_role_arn: String,
    /// The IAM principal the hub reaches clusters as, where that is not the one that makes them: it gets an access entry
    /// with `AmazonEKSClusterAdminPolicy`.
    #[serde(default)]
    pub hub_principal_arn: Option<String>,
    /// Addresses the hub comes from, as CIDRs: who may reach an endpoint that is public for the bootstrap only.
    #[serde(default)]
    pub bootstrap_cidrs: Vec<String>,
    /// Machine image of nodes, as EKS names it.
    #[serde(default = "ami_type")]
    pub ami_type: String,
    /// Another address of the EKS API, such as a VPC endpoint or a stand-in.
    #[serde(default)]
    pub endpoint_url: Option<String>,
    /// Profile of the shared AWS configuration files; none takes the usual chain.
    #[serde(default)]
    pub profile: Option<String>,
    /// Fixed credentials; none, as it should be, takes the usual chain (pod identity, web identity, instance role...).
    #[serde(default)]
    pub credentials: Option<StaticCredentials>,
}

fn ami_type() -> String {
    "AL2023_x86_64_STANDARD".to_owned()
}

/// Where clusters and nodes of one region live.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Network {
    /// Subnets in at least two availability zones.
    pub subnet_ids: Vec<String>,
    /// Further security groups of the control plane's network interfaces.
    #[serde(default)]
    pub security_group_ids: Vec<String>,
}

/// An access key.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StaticCredentials {
    /// Access key id.
    pub access_key_id: String,
    /// Secret access key.
    pub secret_access_key: String,
    /// Session token of temporary credentials.
    #[serde(default)]
    pub session_token: Option<String>,
}

impl fmt::Debug for StaticCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticCredentials({}, ..)", self.access_key_id)
    }
}

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("eks configuration: {field} {problem}")]
pub struct InvalidConfig {
    /// Path of the field.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

impl EksConfig {
    /// Checks what can be checked without asking AWS.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        let wrong = |field: &str, problem: &str| {
            Err(InvalidConfig {
                field: field.to_owned(),
                problem: problem.to_owned(),
            })
        };
        if !self.regions.contains_key(&self.default_region) {
            return wrong("defaultRegion", "is not one of regions");
        }
        for (region, network) in &self.regions {
            if network.subnet_ids.len() < 2 {
                return wrong(
                    &format!("regions.{region}.subnetIds"),
                    "needs subnets in at least two availability zones",
                );
            }
        }
        let roles = [
            ("clusterRoleArn", Some(&self.cluster_role_arn)),
            ("nodeRoleArn", Some(&self.node_role_arn)),
        ];
        for (field, arn) in roles
            .into_iter()
            .chain([("hubPrincipalArn", self.hub_principal_arn.as_ref())])
        {
            if arn.is_some_and(|arn| !arn.starts_with("arn:")) {
                return wrong(field, "is not an ARN");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A configuration as a file has it.
    pub(crate) const FILE: &str = r#"{
        "defaultRegion": "eu-central-1",
        "regions": {"eu-central-1": {"subnetIds": ["subnet-1", "subnet-2"], "securityGroupIds": ["sg-1"]}},
        "clusterRoleArn": "arn:aws:iam::111122223333:role/cluster",
        "nodeRoleArn": "arn:aws:iam::111122223333:role/node",
        "credentials": {"accessKeyId": "AKID", "secretAccessKey": "very-secret"}
    }"#;

    #[test]
    fn a_minimal_file_is_enough_and_its_secret_is_never_printed() {
        let config: EksConfig = serde_json::from_str(FILE).unwrap();
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.ami_type, "AL2023_x86_64_STANDARD");
        assert!(!format!("{config:?}").contains("very-secret"));
    }

    #[test]
    fn an_unknown_field_is_an_error() {
        let misspelt = FILE.replace("nodeRoleArn", "nodeRolArn");
        assert!(serde_json::from_str::<EksConfig>(&misspelt).is_err());
    }

    #[test]
    fn what_eks_would_refuse_later_is_refused_at_the_start() {
        let cases = [
            (
                FILE.replace(
                    "\"defaultRegion\": \"eu-central-1\"",
                    "\"defaultRegion\": \"eu-west-1\"",
                ),
                "defaultRegion",
            ),
            (
                FILE.replace(", \"subnet-2\"", ""),
                "regions.eu-central-1.subnetIds",
            ),
            (
                FILE.replace("arn:aws:iam::111122223333:role/node", "node"),
                "nodeRoleArn",
            ),
        ];
        for (file, field) in cases {
            let config: EksConfig = serde_json::from_str(&file).unwrap();
            assert_eq!(config.check().map_err(|wrong| wrong.field), Err(field.to_owned()));
        }
    }
}
