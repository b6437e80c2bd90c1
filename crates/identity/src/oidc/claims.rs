//! What has to stand in a token, and who that is.

use std::time::Duration;

use berth_model::Timestamp;
use serde_json::{Map, Value};

use super::Rejected;

/// Names and groups are at most so long.
const LONGEST_NAME: usize = 256;
/// Groups of one token, at most.
const MOST_GROUPS: usize = 512;

/// What a provider's tokens must say, and which of their claims say who somebody is.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Exactly this issuer.
    pub issuer: String,
    /// The token is for one of these.
    pub audiences: Vec<String>,
    /// The claim with the name.
    pub username_claim: String,
    /// Put before the name, so that providers cannot speak of each other's people.
    pub username_prefix: String,
    /// The claim with the groups; empty takes none.
    pub groups_claim: String,
    /// Put before each group.
    pub groups_prefix: String,
    /// Clocks may differ by so much.
    pub skew: Duration,
}

/// Who a token was given to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name, with its prefix.
    pub name: String,
    /// The groups, with their prefix, each once.
    pub groups: Vec<String>,
    /// How the provider itself calls somebody, for ever.
    pub subject: String,
    /// The id of the token, when it has one.
    pub token_id: Option<String>,
    /// When the token ends.
    pub expires_at: Timestamp,
}

fn claim(text: impl Into<String>) -> Rejected {
    Rejected::Claim(text.into())
}

impl Rules {
    pub(super) fn person(&self, claims: &Map<String, Value>, now: Timestamp) -> Result<Person, Rejected> {
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(claim("the token is of another issuer"));
        }
        self.check_audience(claims)?;
        let expires_at = self.check_times(claims, now)?;
        let subject = match claims.get("sub").and_then(Value::as_str) {
            Some(subject) if !subject.is_empty() => subject.to_owned(),
            _ => return Err(claim("the token has no subject")),
        };
        Ok(Person {
            name: self.name(claims)?,
            groups: self.groups(claims)?,
            subject,
            token_id: claims
                .get("jti")
                .and_then(Value::as_str)
                .filter(|id| is_tame(id))
                .map(str::to_owned),
            expires_at,
        })
    }

    fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), Rejected> {
        let audiences = texts(claims.get("aud")).ok_or_else(|| claim("the token has no audience"))?;
        let ours = |name: &str| self.audiences.iter().any(|audience| audience == name);
        if !audiences.iter().any(|audience| ours(audience)) {
            return Err(claim(format!(
                "the token is not for this hub: its audience must be {}",
                self.audiences.join(" or ")
            )));
        }
        match claims.get("azp") {
            Some(party) if party.as_str().is_some_and(ours) => Ok(()),
            Some(_) => Err(claim("the token was given to another party (azp)")),
            None if audiences.len() > 1 => Err(claim(
                "the token has several audiences and does not say who it was given to (azp)",
            )),
            None => Ok(()),
        }
    }

    /// When the token ends, if it is good now.
    fn check_times(&self, claims: &Map<String, Value>, now: Timestamp) -> Result<Timestamp, Rejected> {
        let (now, skew) = (now.as_second(), i64::try_from(self.skew.as_secs()).unwrap_or(0));
        let expiry = seconds(claims, "exp")?.ok_or_else(|| claim("the token never expires (exp)"))?;
        if now >= expiry.saturating_add(skew) {
            return Err(claim("the token has expired; sign in again with berth login"));
        }
        for (name, what) in [("nbf", "is not good yet"), ("iat", "was issued in the future")] {
            if seconds(claims, name)?.is_some_and(|time| time > now.saturating_add(skew)) {
                return Err(claim(format!(
                    "the token {what} ({name}); do the clocks of the hub and of its provider agree?"
                )));
            }
        }
        Timestamp::from_second(expiry).map_err(|_| claim("the token's expiry is no time"))
    }

    fn name(&self, claims: &Map<String, Value>) -> Result<String, Rejected> {
        let wanted = &self.username_claim;
        let name = claims
            .get(wanted)
            .and_then(Value::as_str)
            .ok_or_else(|| claim(format!("the token has no claim {wanted:?} that names its user")))?;
        // Whoever may write any address into a profile is not therefore its owner.
        let verified = |value: &Value| value == &Value::Bool(true) || value.as_str() == Some("true");
        if wanted == "email" && claims.get("email_verified").is_some_and(|value| !verified(value)) {
            return Err(claim(
                "the provider has not verified the e-mail address of the token",
            ));
        }
        let name = format!("{}{name}", self.username_prefix);
        if name.len() <= self.username_prefix.len() || !is_tame(&name) {
            return Err(claim(format!(
                "the claim {wanted:?} is no name: it must have 1 to {LONGEST_NAME} bytes and no control characters"
            )));
        }
        Ok(name)
    }

    fn groups(&self, claims: &Map<String, Value>) -> Result<Vec<String>, Rejected> {
        if self.groups_claim.is_empty() {
            return Ok(Vec::new());
        }
        let Some(value) = claims.get(&self.groups_claim).filter(|value| !value.is_null()) else {
            return Ok(Vec::new());
        };
        let wrong = || claim(format!("the claim {:?} is no list of groups", self.groups_claim));
        let mut groups: Vec<String> = texts(Some(value))
            .filter(|groups| groups.len() <= MOST_GROUPS)
            .ok_or_else(wrong)?
            .into_iter()
            .map(|group| format!("{}{group}", self.groups_prefix))
            .collect();
        if groups.iter().any(|group| !is_tame(group)) {
            return Err(wrong());
        }
        groups.sort();
        groups.dedup();
        Ok(groups)
    }
}

/// A text, or a list of nothing but texts.
fn texts(value: Option<&Value>) -> Option<Vec<String>> {
    match value? {
        Value::String(one) => Some(vec![one.clone()]),
        Value::Array(many) => many.iter().map(|one| one.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}

/// A NumericDate (RFC 7519), which may have a fraction.
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, Rejected> {
    let Some(value) = claims.get(name) else {
        return Ok(None);
    };
    let whole = value.as_i64();
    #[expect(clippy::cast_possible_truncation, reason = "bounded on the line before")]
    let fraction = value
        .as_f64()
        .filter(|seconds| (0.0..1e15).contains(seconds))
        .map(|seconds| seconds as i64);
    whole
        .or(fraction)
        .map(Some)
        .ok_or_else(|| claim(format!("the token's {name} is no time")))
}

/// Fit for a terminal, a log and a binding.
fn is_tame(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST_NAME && !text.chars().any(char::is_control)
}
