//! Calls about what the whole fleet shares.

use berth_proto::v1;

use super::{Call, Target, all, change, of, one, read};

pub(super) const CALLS: &[Call] = &[
    change("/berth.v1.TierService/CreateTier", "tiers.create", |m| {
        of(m, |r: v1::CreateTierRequest| one("tier", "tiers", &r.tier_id))
    }),
    read("/berth.v1.TierService/GetTier", "tiers.get", |m| {
        of(m, |r: v1::GetTierRequest| one("tier", "tiers", &r.name))
    }),
    read("/berth.v1.TierService/ListTiers", "tiers.list", |m| {
        of(m, |_: v1::ListTiersRequest| all("tier"))
    }),
    change("/berth.v1.TierService/UpdateTier", "tiers.update", |m| {
        of(m, |r: v1::UpdateTierRequest| {
            one("tier", "tiers", r.tier.as_ref().map_or("", |tier| &tier.name))
        })
    }),
    change("/berth.v1.TierService/DeleteTier", "tiers.delete", |m| {
        of(m, |r: v1::DeleteTierRequest| one("tier", "tiers", &r.name))
    }),
    change(
        "/berth.v1.OrganisationService/CreateOrganisation",
        "organisations.create",
        |m| {
            of(m, |r: v1::CreateOrganisationRequest| {
                one("organisation", "organisations", &r.organisation_id)
            })
        },
    ),
    read(
        "/berth.v1.OrganisationService/GetOrganisation",
        "organisations.get",
        |m| {
            of(m, |r: v1::GetOrganisationRequest| {
                one("organisation", "organisations", &r.name)
            })
        },
    ),
    read(
        "/berth.v1.OrganisationService/ListOrganisations",
        "organisations.list",
        |m| of(m, |_: v1::ListOrganisationsRequest| all("organisation")),
    ),
    change(
        "/berth.v1.OrganisationService/UpdateOrganisation",
        "organisations.update",
        |m| {
            of(m, |r: v1::UpdateOrganisationRequest| {
                one(
                    "organisation",
                    "organisations",
                    r.organisation.as_ref().map_or("", |it| &it.name),
                )
            })
        },
    ),
    change(
        "/berth.v1.OrganisationService/DeleteOrganisation",
        "organisations.delete",
        |m| {
            of(m, |r: v1::DeleteOrganisationRequest| {
                one("organisation", "organisations", &r.name)
            })
        },
    ),
    change("/berth.v1.BundleService/CreateBundle", "bundles.create", |m| {
        of(m, |r: v1::CreateBundleRequest| {
            one(
                "bundle",
                "bundles",
                &format!("{}/versions/{}", r.bundle_id, r.version),
            )
        })
    }),
    read("/berth.v1.BundleService/GetBundle", "bundles.get", |m| {
        of(m, |r: v1::GetBundleRequest| one("bundle", "bundles", &r.name))
    }),
    read("/berth.v1.BundleService/ListBundles", "bundles.list", |m| {
        of(m, |_: v1::ListBundlesRequest| all("bundle"))
    }),
    change("/berth.v1.BundleService/DeleteBundle", "bundles.delete", |m| {
        of(m, |r: v1::DeleteBundleRequest| one("bundle", "bundles", &r.name))
    }),
    read("/berth.v1.ClusterService/GetCluster", "clusters.get", |m| {
        of(m, |r: v1::GetClusterRequest| one("cluster", "clusters", &r.name))
    }),
    read("/berth.v1.ClusterService/ListClusters", "clusters.list", |m| {
        of(m, |_: v1::ListClustersRequest| all("cluster"))
    }),
    change("/berth.v1.ClusterService/UpdateCluster", "clusters.update", |m| {
        of(m, |r: v1::UpdateClusterRequest| {
            one(
                "cluster",
                "clusters",
                r.cluster.as_ref().map_or("", |it| &it.name),
            )
        })
    }),
    change("/berth.v1.ClusterService/DeleteCluster", "clusters.delete", |m| {
        of(m, |r: v1::DeleteClusterRequest| {
            one("cluster", "clusters", &r.name)
        })
    }),
    change("/berth.v1.ClusterService/CordonCluster", "clusters.cordon", |m| {
        of(m, |r: v1::CordonClusterRequest| {
            one("cluster", "clusters", &r.name)
        })
    }),
    change(
        "/berth.v1.ClusterService/UncordonCluster",
        "clusters.cordon",
        |m| {
            of(m, |r: v1::UncordonClusterRequest| {
                one("cluster", "clusters", &r.name)
            })
        },
    ),
    change(
        "/berth.v1.ClusterService/ReleaseBreaker",
        "clusters.releaseBreaker",
        |m| {
            of(m, |r: v1::ReleaseBreakerRequest| {
                one("cluster", "clusters", &r.name)
            })
        },
    ),
    change(
        "/berth.v1.ClusterService/AcceptClusterGap",
        "clusters.acceptGap",
        |m| {
            of(m, |r: v1::AcceptClusterGapRequest| {
                one("cluster", "clusters", &r.name)
            })
        },
    ),
    change("/berth.v1.ClusterService/AcceptCluster", "clusters.accept", |m| {
        of(m, |r: v1::AcceptClusterRequest| {
            one("cluster", "clusters", &r.name)
        })
    }),
    change("/berth.v1.ClusterService/RevokeCluster", "clusters.revoke", |m| {
        of(m, |r: v1::RevokeClusterRequest| {
            one("cluster", "clusters", &r.name)
        })
    }),
    change(
        "/berth.v1.JoinTokenService/CreateJoinToken",
        "joinTokens.create",
        |m| {
            of(m, |r: v1::CreateJoinTokenRequest| {
                one("joinToken", "clusters", &r.cluster)
            })
        },
    ),
    read(
        "/berth.v1.JoinTokenService/ListJoinTokens",
        "joinTokens.list",
        |m| of(m, |_: v1::ListJoinTokensRequest| all("joinToken")),
    ),
    change(
        "/berth.v1.JoinTokenService/DeleteJoinToken",
        "joinTokens.delete",
        |m| {
            of(m, |r: v1::DeleteJoinTokenRequest| {
                one("joinToken", "joinTokens", &r.name)
            })
        },
    ),
    read("/berth.v1.HubService/GetHub", "fleet.get", |m| {
        of(m, |_: v1::GetHubRequest| all("fleet"))
    }),
    read("/berth.v1.HubService/GetDifference", "fleet.difference", |m| {
        of(m, |_: v1::GetDifferenceRequest| all("fleet"))
    }),
    change("/berth.v1.HubService/TakeCommand", "fleet.takeCommand", |m| {
        of(m, |_: v1::TakeCommandRequest| all("fleet"))
    }),
    read("/berth.v1.AuditService/ListAuditEvents", "audit.list", |m| {
        of(m, |r: v1::ListAuditEventsRequest| match r.tenant.as_str() {
            "" => all("audit"),
            name => Target {
                kind: "audit",
                permission: Some("audit.get"),
                ..super::tenant(name)
            },
        })
    }),
    read("/berth.v1.HubService/GetAuthority", "authority.get", |m| {
        of(m, |_: v1::GetAuthorityRequest| all("authority"))
    }),
    change("/berth.v1.HubService/RotateAuthority", "authority.rotate", |m| {
        of(m, |_: v1::RotateAuthorityRequest| all("authority"))
    }),
    read("/berth.v1.HubService/Backup", "fleet.backup", |m| {
        of(m, |_: v1::BackupRequest| all("fleet"))
    }),
];
