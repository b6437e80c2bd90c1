//! Whole-system tests: hub, agent and command line as separate processes against real kube-apiservers.
//!
//! One world serves all tests, because a control plane takes seconds to start: tests that disturb nobody run side by side, each
//! with tenants of its own; those that kill or pause something have the world to themselves.

mod access;
mod api_away;
mod bad_input;
mod cluster;
mod command_line;
mod evidence;
mod files;
mod history;
mod kills;
mod members;
mod namespace;
mod network;
mod node_pool;
mod owners;
mod restart;
mod service_accounts;
mod silence;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use berth_fake::cloud::Machine;
use berth_tests::world::{World, WorldOptions};
use futures::FutureExt as _;
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::sync::RwLock;

/// The shared cluster of the world.
const CLUSTER: &str = "shared-1";

/// No test may take longer.
const LIMIT: Duration = Duration::from_secs(240);

type Outcome<'a> = Pin<Box<dyn Future<Output = anyhow::Result<()>> + Send + 'a>>;

/// How a test is run.
enum Run {
    /// Beside others.
    Beside(for<'a> fn(&'a World) -> Outcome<'a>),
    /// With the world to itself.
    Alone(for<'a> fn(&'a mut World) -> Outcome<'a>),
}

struct Test {
    name: &'static str,
    run: Run,
}

/// Lists tests that disturb nobody: `beside![module: test, test]`.
macro_rules! beside {
    ($($module:ident: $($test:ident),+);+ $(;)?) => {
        vec![$($(Test {
            name: concat!(stringify!($module), "::", stringify!($test)),
            run: Run::Beside(|world| Box::pin($module::$test(world))),
        }),+),+]
    };
}

/// Lists tests that need the world to themselves.
macro_rules! alone {
    ($($module:ident: $($test:ident),+);+ $(;)?) => {
        vec![$($(Test {
            name: concat!(stringify!($module), "::", stringify!($test)),
            run: Run::Alone(|world| Box::pin($module::$test(world))),
        }),+),+]
    };
}

fn tests() -> Vec<Test> {
    let mut tests = beside![
        namespace:
            a_namespace_tenant_gets_its_namespace_quota_walls_and_roles,
            a_bundle_turns_healthy_and_a_broken_image_degrades_the_tenant_with_the_reason,
            deleting_a_tenant_removes_everything_it_had;
        network:
            what_tenants_declare_of_their_network_stands_in_the_cluster_and_nothing_else;
        node_pool:
            a_node_pool_tenants_pods_run_on_its_own_nodes_only_and_the_pool_goes_last;
        cluster:
            a_cluster_tenant_gets_a_cluster_of_its_own_which_goes_last;
        bad_input:
            an_invalid_spec_gets_all_violations_at_once_and_nothing_is_stored,
            unknown_tiers_duplicates_stale_etags_and_bad_names_get_a_clear_status,
            a_quota_larger_than_any_cluster_is_placed_nowhere_and_explain_says_why,
            a_namespace_that_is_not_ours_is_a_conflict_and_stays_untouched,
            a_token_that_was_used_or_is_expired_or_foreign_is_refused;
        owners:
            a_team_takes_no_more_than_it_may_hold_and_says_who_holds_it;
        command_line:
            tenants_are_printed_as_table_json_yaml_and_names,
            exit_codes_tell_scripts_what_went_wrong,
            apply_diff_wait_and_delete_work_as_in_kubectl;
        access:
            a_tenants_admin_works_with_plain_kubectl_in_its_namespaces_and_nowhere_else,
            a_token_is_short_lived_is_nowhere_but_in_its_kubeconfig_and_ends_with_its_tenant,
            whoever_gets_no_kubeconfig_is_told_why_and_what_to_do,
            a_tenants_user_needs_no_administrator_and_gets_no_more_than_the_binding_gives;
        service_accounts:
            a_program_is_the_service_account_that_its_own_cluster_vouches_for;
    ];
    tests.extend(alone![
        kills:
            a_hub_killed_at_any_moment_loses_nothing_and_does_nothing_twice,
            an_agent_killed_while_it_applies_finishes_after_its_restart,
            an_agent_whose_pod_and_disk_are_gone_comes_back_without_a_token;
        access:
            while_an_agent_is_away_nobody_gets_a_kubeconfig_and_those_given_out_go_on_working;
        api_away:
            while_an_api_server_is_silent_its_tenants_are_unknown_and_its_agent_stays;
        silence:
            a_silent_agent_turns_its_tenants_unknown_and_nothing_is_deleted,
            without_a_hub_the_cluster_keeps_everything_and_drift_is_mended;
        evidence:
            walls_are_seen_to_hold_and_a_policy_that_is_taken_away_makes_its_tenants_unready;
        history:
            what_clients_see_while_the_hub_is_killed_is_linearizable_and_watches_miss_nothing;
        restart:
            restarting_hub_and_agent_writes_nothing_in_the_cluster;
    ]);
    tests
}

struct Shared {
    world: RwLock<World>,
}

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let tests = tests();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => {
            eprintln!("the tests cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let chosen = |test: &Test| {
        let matches = |filter: &String| {
            if arguments.exact {
                test.name == filter
            } else {
                test.name.contains(filter.as_str())
            }
        };
        arguments.filter.as_ref().is_none_or(matches) && !arguments.skip.iter().any(matches)
    };
    if arguments.list || !tests.iter().any(chosen) {
        let trials = tests
            .into_iter()
            .map(|test| Trial::test(test.name, || Ok(())))
            .collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let options = WorldOptions {
        clusters: vec![CLUSTER.to_owned()],
        machine: Machine::default(),
    };
    let world = match runtime.block_on(World::start(&options)) {
        Ok(world) => world,
        Err(error) => {
            eprintln!("the world of the system tests does not start: {error:?}");
            return ExitCode::FAILURE;
        }
    };
    let shared = Arc::new(Shared {
        world: RwLock::new(world),
    });
    let trials = tests.into_iter().map(|Test { name, run }| {
        let (runtime, shared) = (runtime.clone(), shared.clone());
        Trial::test(name, move || runtime.block_on(execute(&shared, name, run)))
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    if let Some(shared) = Arc::into_inner(shared) {
        runtime.block_on(shared.world.into_inner().stop());
    }
    conclusion.exit_code()
}

/// Runs one test; a failure comes with the ends of the logs.
async fn execute(shared: &Shared, name: &str, run: Run) -> Result<(), Failed> {
    let (outcome, logs) = match run {
        Run::Beside(test) => {
            let world = shared.world.read().await;
            (caught(test(&world)).await, world.logs())
        }
        Run::Alone(test) => {
            let mut world = shared.world.write().await;
            let outcome = caught(test(&mut world)).await;
            let logs = world.logs();
            let healed = tokio::time::timeout(LIMIT, world.heal()).await;
            let healed = healed
                .context("heal the world: too slow")
                .and_then(|healed| healed.context("heal the world"));
            (outcome.and(healed), logs)
        }
    };
    outcome.map_err(|error| {
        // At once, not only at the end of all tests.
        eprintln!("{name}: {error:?}\n{logs}");
        Failed::from(format!("{error:?}"))
    })
}

async fn caught(test: Outcome<'_>) -> anyhow::Result<()> {
    let limited = tokio::time::timeout(LIMIT, AssertUnwindSafe(test).catch_unwind());
    match limited.await.context("the test takes too long")? {
        Ok(outcome) => outcome,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            Err(anyhow::anyhow!("{}", text.unwrap_or("a panic")))
        }
    }
}
