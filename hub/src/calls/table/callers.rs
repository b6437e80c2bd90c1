//! Calls about how callers prove who they are: signing in, and machine accounts.

use berth_proto::v1;

use super::{Call, all, change, of, one, open, read};

pub(super) const CALLS: &[Call] = &[
    open("/berth.v1.LoginService/GetLoginOptions", |m| {
        of(m, |_: v1::GetLoginOptionsRequest| all("login"))
    }),
    change("/berth.v1.ApiKeyService/CreateApiKey", "apiKeys.create", |m| {
        of(m, |r: v1::CreateApiKeyRequest| {
            one("apiKey", "apiKeys", &r.api_key_id)
        })
    }),
    read("/berth.v1.ApiKeyService/GetApiKey", "apiKeys.get", |m| {
        of(m, |r: v1::GetApiKeyRequest| one("apiKey", "apiKeys", &r.name))
    }),
    read("/berth.v1.ApiKeyService/ListApiKeys", "apiKeys.list", |m| {
        of(m, |_: v1::ListApiKeysRequest| all("apiKey"))
    }),
    change("/berth.v1.ApiKeyService/DeleteApiKey", "apiKeys.delete", |m| {
        of(m, |r: v1::DeleteApiKeyRequest| one("apiKey", "apiKeys", &r.name))
    }),
];
