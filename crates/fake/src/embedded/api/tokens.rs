//! Tokens of service accounts that this API has issued, as long as it runs: who holds one, until when.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use uuid::Uuid;

use super::User;
use crate::embedded::kinds;
use crate::embedded::object::text;
use crate::embedded::store::{Name, Store};

/// The tokens.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<BTreeMap<String, Issued>>);

struct Issued {
    account: Name,
    uid: String,
    until: Timestamp,
}

impl Tokens {
    fn issued(&self) -> MutexGuard<'_, BTreeMap<String, Issued>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new token of an account; none when there is no such account.
    pub(super) fn issue(
        &self,
        store: &Store,
        account: &Name,
        now: Timestamp,
        until: Timestamp,
    ) -> Option<String> {
        let uid = uid(store, account)?;
        let token = format!("embedded.{}.{}", Uuid::new_v4().simple(), Uuid::new_v4().simple());
        let mut issued = self.issued();
        issued.retain(|_, one| one.until > now);
        let one = Issued {
            account: account.clone(),
            uid,
            until,
        };
        issued.insert(token.clone(), one);
        Some(token)
    }

    /// Whose token it is, if it has not ended and its account is still the one it was issued for.
    pub(crate) fn who(&self, store: &Store, token: &str, now: Timestamp) -> Option<User> {
        let issued = self.issued();
        let Issued {
            account,
            uid: of,
            until,
        } = issued.get(token)?;
        let Name { namespace, name } = account;
        (*until > now && uid(store, account).as_ref() == Some(of)).then(|| User {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".into(),
                format!("system:serviceaccounts:{namespace}"),
            ],
        })
    }
}

fn uid(store: &Store, account: &Name) -> Option<String> {
    let stored = store.get(kinds::service_account(), account)?;
    Some(text(&stored.value(), &["metadata", "uid"]).to_owned())
}
