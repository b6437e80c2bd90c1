//! Random sequences of applies, forces, patches, replacements and deletes by several managers, made of both sides. After
//! each the answer, and the object with everyone's ownership, must be the same.
//!
//! The seed is printed with a failure; `BERTH_CONTRACT_SEED` repeats it, `BERTH_CONTRACT_CASES` makes the run longer.

use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use serde_json::Value;

use super::ask::{Answer, Ask};
use super::normal::{difference, normal};
use super::pair::Pair;
use super::random_objects::Sort;

const CASES: u32 = 40;

#[derive(Debug, Clone)]
enum Step {
    Apply {
        manager: &'static str,
        force: bool,
        body: Value,
    },
    Patch {
        manager: &'static str,
        body: Value,
    },
    Replace {
        body: Value,
    },
    Delete,
}

fn step(sort: Sort) -> impl Strategy<Value = Step> {
    let manager = prop::sample::select(&["one", "two", "three"][..]);
    prop_oneof![
        10 => (manager.clone(), prop::bool::weighted(0.3), sort.configuration())
            .prop_map(|(manager, force, body)| Step::Apply { manager, force, body }),
        4 => (manager, sort.patch()).prop_map(|(manager, body)| Step::Patch { manager, body }),
        1 => sort.configuration().prop_map(|body| Step::Replace { body }),
        1 => Just(Step::Delete),
    ]
}

fn history() -> impl Strategy<Value = (Sort, Vec<Step>)> {
    prop::sample::select(&Sort::ALL[..])
        .prop_flat_map(|sort| (Just(sort), prop::collection::vec(step(sort), 4..14)))
}

impl Step {
    fn ask(&self, path: &str) -> Ask {
        match self {
            Self::Apply {
                manager,
                force: false,
                body,
            } => Ask::apply(path, manager, body.clone()),
            Self::Apply {
                manager,
                force: true,
                body,
            } => Ask::force(path, manager, body.clone()),
            Self::Patch { manager, body } => Ask::merge(path, manager, body.clone()),
            Self::Replace { body } => {
                let mut body = body.clone();
                body["metadata"]["name"] = path.rsplit('/').next().unwrap_or_default().into();
                Ask::put(path, body)
            }
            Self::Delete => Ask::delete(path),
        }
    }
}

/// An answer as the two must agree on it: refusals by code and reason, conflicts and objects whole.
fn agreed(sort: Sort, answer: &Answer) -> Value {
    if answer.code >= 400 && answer.code != 409 {
        return serde_json::json!({"code": answer.code, "reason": answer.body["reason"]});
    }
    let mut whole = normal(answer);
    if sort == Sort::NetworkPolicy {
        // The real one also counts a change from nothing to an empty list, which it then does not store.
        whole["body"]["metadata"]["generation"] = Value::Null;
    }
    whole
}

async fn run(pair: &Pair, sort: Sort, steps: &[Step]) -> Result<(), TestCaseError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let namespace = format!("random-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    pair.namespace(&namespace).await;
    let path = sort.path(&namespace);
    for step in steps {
        let ask = step.ask(&path);
        let (real, embedded) = pair.ask(&ask).await;
        let found = difference(&agreed(sort, &real), &agreed(sort, &embedded));
        if !found.is_empty() {
            let why = format!(
                "{step:?}\n{found}\nreal: {}\nembedded: {}",
                real.body, embedded.body
            );
            return Err(TestCaseError::fail(why));
        }
        let (real, embedded) = pair.ask(&Ask::get(&path)).await;
        let found = difference(&agreed(sort, &real), &agreed(sort, &embedded));
        if !found.is_empty() {
            let why = format!(
                "the object after {step:?}\n{found}\nreal: {}\nembedded: {}",
                real.body, embedded.body
            );
            return Err(TestCaseError::fail(why));
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the seed and length of a run are its configuration"
)]
fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

#[test]
fn random_histories_leave_the_same_object_and_the_same_owners() {
    let seed = setting("BERTH_CONTRACT_SEED").unwrap_or_else(rand::random);
    let cases = setting("BERTH_CONTRACT_CASES")
        .and_then(|n| u32::try_from(n).ok())
        .unwrap_or(CASES);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases,
        failure_persistence: None,
        max_shrink_iters: 300,
        ..Config::default()
    };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let pair = runtime.block_on(Pair::bare());
    let result = runner.run(&history(), |(sort, steps)| {
        runtime.block_on(run(&pair, sort, &steps))
    });
    if let Err(error) = result {
        panic!("BERTH_CONTRACT_SEED={seed}\n{error}");
    }
}
