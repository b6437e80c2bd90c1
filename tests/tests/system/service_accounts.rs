//! Programs that call the hub as ServiceAccounts of a cluster of the fleet.

use anyhow::{Context as _, ensure};
use berth_tests::signing_in::Machine;
use berth_tests::world::World;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams};

use crate::CLUSTER;

const NAMESPACE: &str = "programs";

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.to_owned()),
        ..ObjectMeta::default()
    }
}

async fn token(accounts: &Api<ServiceAccount>, name: &str, audience: &str) -> anyhow::Result<String> {
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec![audience.to_owned()],
            expiration_seconds: Some(600),
            bound_object_ref: None,
        },
        ..TokenRequest::default()
    };
    let issued = accounts
        .create_token_request(name, &PostParams::default(), &request)
        .await?;
    Ok(issued.status.context("no token")?.token)
}

pub(crate) async fn a_program_is_the_service_account_that_its_own_cluster_vouches_for(
    world: &World,
) -> anyhow::Result<()> {
    let kube = world.kube(CLUSTER)?;
    let params = PostParams::default();
    let namespace = Namespace {
        metadata: named(NAMESPACE),
        ..Namespace::default()
    };
    Api::<Namespace>::all(kube.clone())
        .create(&params, &namespace)
        .await?;
    let accounts = Api::<ServiceAccount>::namespaced(kube, NAMESPACE);
    for name in ["deployer", "leaver"] {
        let account = ServiceAccount {
            metadata: named(name),
            ..ServiceAccount::default()
        };
        accounts.create(&params, &account).await?;
    }
    let audience = format!("{}.berth.dev", world.api()?.hub().await?.fleet);

    let directory = world.directory("service-accounts")?;
    let machine = Machine::new(&world.programs, &directory);
    let (file, ca) = (directory.join("token"), world.hub.data().join("ca/ca.crt"));
    let (file_text, ca, server) = (
        file.display().to_string(),
        ca.display().to_string(),
        world.hub.api_url(),
    );
    let login = [
        "login",
        "--server",
        &server,
        "--ca-file",
        &ca,
        "--token-file",
        &file_text,
        "--cluster",
        CLUSTER,
    ];
    let good = token(&accounts, "deployer", &audience).await?;
    std::fs::write(&file, &good)?;
    let signed_in = machine.call(&login).await?;
    ensure!(signed_in.code == 0, "{}\n{}", signed_in.err, world.logs());
    let subject = format!("serviceaccount:{CLUSTER}/{NAMESPACE}/deployer");
    ensure!(signed_in.err.contains(&subject), "{}", signed_in.err);
    let whoami = ["auth", "whoami"];
    let said = machine.call(&whoami).await?.success(&whoami)?;
    ensure!(said.contains(&subject), "{said}");

    // For the cluster's own API server, or for another fleet.
    for other in ["https://kubernetes.default.svc", "other.berth.dev"] {
        std::fs::write(&file, token(&accounts, "deployer", other).await?)?;
        let refused = machine.call(&whoami).await?;
        ensure!(
            refused.code != 0 && refused.err.contains(&audience),
            "{}",
            refused.err
        );
    }
    // Changed on the way.
    let (unsigned, _) = good.rsplit_once('.').context("the token's form")?;
    std::fs::write(&file, format!("{unsigned}.AAAA"))?;
    let refused = machine.call(&whoami).await?;
    ensure!(
        refused.code != 0 && refused.err.contains("does not vouch"),
        "{}",
        refused.err
    );
    // Of an account that is gone.
    let gone = token(&accounts, "leaver", &audience).await?;
    accounts.delete("leaver", &DeleteParams::default()).await?;
    std::fs::write(&file, &gone)?;
    let refused = machine.call(&whoami).await?;
    ensure!(
        refused.code != 0 && refused.err.contains("does not vouch"),
        "{}",
        refused.err
    );

    let log = std::fs::read_to_string(world.hub.log())?;
    for secret in [&good, &gone] {
        ensure!(!log.contains(secret.as_str()), "the hub's log has a token");
        ensure!(!refused.err.contains(secret.as_str()), "the error has a token");
    }
    Ok(())
}
