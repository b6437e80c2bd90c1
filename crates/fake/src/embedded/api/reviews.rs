//! Questions about users, tokens and rights. Everyone who is someone may do everything here, and the answers say so.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::Answer;
use super::request::{Call, Verb};
use super::{Api, User};
use crate::embedded::failure::Failure;

/// A question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Review {
    Token,
    SelfSubject,
    Access,
    Rules,
}

/// Group, kind, plural and meaning of every question; all are `v1`.
pub(super) const REVIEWS: [(&str, &str, &str, Review); 6] = [
    (
        "authentication.k8s.io",
        "TokenReview",
        "tokenreviews",
        Review::Token,
    ),
    (
        "authentication.k8s.io",
        "SelfSubjectReview",
        "selfsubjectreviews",
        Review::SelfSubject,
    ),
    (
        "authorization.k8s.io",
        "SelfSubjectAccessReview",
        "selfsubjectaccessreviews",
        Review::Access,
    ),
    (
        "authorization.k8s.io",
        "SubjectAccessReview",
        "subjectaccessreviews",
        Review::Access,
    ),
    (
        "authorization.k8s.io",
        "LocalSubjectAccessReview",
        "localsubjectaccessreviews",
        Review::Access,
    ),
    (
        "authorization.k8s.io",
        "SelfSubjectRulesReview",
        "selfsubjectrulesreviews",
        Review::Rules,
    ),
];

impl Review {
    pub(super) fn by_path(group: &str, version: &str, plural: &str) -> Option<Self> {
        let found = REVIEWS
            .iter()
            .find(|(g, _, p, _)| *g == group && *p == plural && version == "v1");
        found.map(|(_, _, _, review)| *review)
    }
}

pub(super) fn answer(
    api: &Arc<Api>,
    user: &User,
    review: Review,
    call: &Call<'_>,
) -> Result<Answer, Failure> {
    if call.verb != Verb::Create {
        return Err(Failure::method_not_allowed());
    }
    let mut object = call.object()?;
    let groups = |user: &User| -> Vec<Value> {
        let own = user.groups.iter().map(|g| Value::from(g.as_str()));
        own.chain([Value::from("system:authenticated")]).collect()
    };
    object["status"] = match review {
        Review::SelfSubject => json!({"userInfo": {"username": user.name, "groups": groups(user)}}),
        Review::Access => json!({"allowed": true, "reason": "the embedded API has no authorization"}),
        Review::Rules => json!({
            "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
            "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            "incomplete": false,
        }),
        Review::Token => {
            let token = object["spec"]["token"].as_str().unwrap_or_default();
            match api.who(token) {
                Some(user) => {
                    json!({"authenticated": true, "user": {"username": user.name, "groups": groups(&user)}})
                }
                None => json!({"authenticated": false, "error": "unknown token"}),
            }
        }
    };
    Ok(Answer::json(201, Bytes::from(object.to_string())))
}
