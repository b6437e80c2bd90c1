//! Tokens of a tenant's access accounts: who gets one, who does not, and what of it is left behind.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

#[path = "support/faults.rs"]
mod faults;
mod support;

use std::time::Duration;

use berth_model::{
    AccessRole, AccessToken, NoToken, TokenRefused, TokenWanted, Uid,
    assignment::{AppliedAs, ApplyPhase},
    report::ApplyState,
};
use faults::{Bad, Fault, pass};
use serde_json::json;
use support::{Running, Tenant};

const HOUR: Duration = Duration::from_secs(3_600);

fn with_accounts(name: &str) -> Tenant {
    AccessRole::ALL.into_iter().fold(Tenant::new(name), |tenant, role| {
        let account = json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": role.account() } });
        tenant.with(ApplyPhase::Access, AppliedAs::Agent, account)
    })
}

fn wanted(tenant: &Tenant, role: AccessRole) -> TokenWanted {
    TokenWanted {
        tenant: tenant.id(),
        uid: Uid::new(tenant.uid.clone()).unwrap(),
        role,
        lifetime: HOUR,
    }
}

async fn asked(engine: &Running, wanted: &TokenWanted) -> Result<AccessToken, TokenRefused> {
    engine.engine.mint_token(wanted).await
}

async fn refused(engine: &Running, wanted: &TokenWanted) -> NoToken {
    asked(engine, wanted).await.unwrap_err().reason
}

/// Who the API takes the holder of the token for.
async fn user(bad: &Bad, token: &AccessToken) -> String {
    let review = json!({
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
        "metadata": {}, "spec": { "token": token.expose() },
    });
    let path = "/apis/authentication.k8s.io/v1/tokenreviews";
    let answer = bad.ask("POST", path, Some(&review)).await.unwrap();
    answer["status"]["user"]["username"]
        .as_str()
        .unwrap_or("nobody")
        .to_owned()
}

#[tokio::test(start_paused = true)]
async fn each_role_gets_a_token_of_its_account_and_asking_writes_nothing() {
    let bad = Bad::start().await;
    let tenant = with_accounts("acme");
    let engine = bad.holding(&[&tenant]).await;
    engine.writes.take();
    for role in AccessRole::ALL {
        let token = asked(&engine, &wanted(&tenant, role)).await.unwrap();
        let name = format!("system:serviceaccount:t-acme:{}", role.account());
        assert_eq!(user(&bad, &token).await, name);
    }
    let path = |role: AccessRole| {
        format!(
            "POST /api/v1/namespaces/t-acme/serviceaccounts/{}/token",
            role.account()
        )
    };
    assert_eq!(engine.writes.take(), AccessRole::ALL.map(path));
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn only_exactly_the_tenant_that_is_held_gets_tokens() {
    let bad = Bad::start().await;
    let tenant = with_accounts("acme");
    let engine = bad.holding(&[&tenant]).await;
    let fine = wanted(&tenant, AccessRole::Admin);
    let earlier = TokenWanted {
        uid: Uid::new("uid-of-an-earlier-one").unwrap(),
        ..fine.clone()
    };
    let stranger = wanted(&Tenant::new("stranger"), AccessRole::Admin);
    bad.faults.take("");
    for wrong in [earlier, stranger] {
        assert_eq!(refused(&engine, &wrong).await, NoToken::NotHeld);
    }
    for seconds in [0, 599, 43_201, u64::MAX] {
        let wrong = TokenWanted {
            lifetime: Duration::from_secs(seconds),
            ..fine.clone()
        };
        assert_eq!(refused(&engine, &wrong).await, NoToken::Invalid, "{seconds} s");
    }
    assert_eq!(
        bad.faults.take("berth-admin").len(),
        0,
        "the API server was asked"
    );
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_account_that_is_not_there_or_not_ours_gives_none() {
    let bad = Bad::start().await;
    // Assigned by a hub that rendered no such accounts yet.
    let older = Tenant::new("older");
    let engine = bad.holding(&[&older]).await;
    let ask = wanted(&older, AccessRole::Viewer);
    assert_eq!(refused(&engine, &ask).await, NoToken::NotApplied);

    let collection = "/api/v1/namespaces/t-older/serviceaccounts";
    for labels in [
        json!({}),
        json!({ "berth.dev/tenant": "older" }),
        json!({ "berth.dev/tenant": "older", "berth.dev/tenant-uid": "uid-of-an-earlier-one" }),
    ] {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": "berth-viewer", "labels": labels },
        });
        bad.ask("POST", collection, Some(&account)).await.unwrap();
        assert_eq!(refused(&engine, &ask).await, NoToken::NotApplied, "{labels}");
        bad.ask("DELETE", &format!("{collection}/berth-viewer"), None)
            .await
            .unwrap();
    }
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_token_ends_with_its_lifetime_with_its_account_and_with_the_tenant() {
    let bad = Bad::start().await;
    let tenant = with_accounts("acme");
    let engine = bad.holding(&[&tenant]).await;
    let ask = wanted(&tenant, AccessRole::User);

    let token = asked(&engine, &ask).await.unwrap();
    let account = "/api/v1/namespaces/t-acme/serviceaccounts/berth-user";
    bad.ask("DELETE", account, None).await.unwrap();
    bad.until_there(account, true).await;
    assert_eq!(user(&bad, &token).await, "nobody", "the account is another now");

    let token = asked(&engine, &ask).await.unwrap();
    assert_ne!(user(&bad, &token).await, "nobody");
    engine
        .engine
        .withdraw(
            tenant.id(),
            Uid::new(tenant.uid.clone()).unwrap(),
            berth_model::Term(1),
        )
        .await
        .unwrap();
    assert_eq!(refused(&engine, &ask).await, NoToken::NotHeld);
    engine
        .report(&tenant, |report| report.apply == ApplyState::Withdrawn)
        .await;
    assert_eq!(user(&bad, &token).await, "nobody");
    engine.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_refuses_or_does_not_answer_is_told_by_its_reason_and_no_refusal_holds_a_token() {
    let bad = Bad::start().await;
    let tenant = with_accounts("acme");
    let engine = bad.holding(&[&tenant]).await;
    let ask = wanted(&tenant, AccessRole::Admin);
    for (fault, reason) in [
        (Fault::Refuse(403, None), NoToken::Forbidden),
        (Fault::Refuse(404, None), NoToken::NotApplied),
        (Fault::Refuse(422, None), NoToken::Other),
        (Fault::Refuse(503, None), NoToken::Unreachable),
        (Fault::Reset, NoToken::Unreachable),
        (Fault::Hang, NoToken::Unreachable),
        (Fault::Cut, NoToken::Other),
    ] {
        bad.faults
            .set(move |method, path| (method == "POST" && path.ends_with("/token")).then_some(fault));
        let refused = asked(&engine, &ask).await.unwrap_err();
        assert_eq!(refused.reason, reason, "{fault:?}: {refused}");
        assert!(!refused.message.contains("embedded."), "{refused}");
    }
    bad.faults.clear();
    pass(60).await;
    assert!(asked(&engine, &ask).await.is_ok());
    engine.stop().await;
}
