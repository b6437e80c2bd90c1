//! The fake EKS before an independent judge: boto3 drives it, and every answer is held to botocore's own model of EKS.
//! Needs `python3` with `venv` and a PyPI index; boto3 goes into a virtual environment beside the test's own files.
#![cfg(feature = "eks")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; helpers of tests are tests"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};

use berth_fake::eks::{FakeEks, NoClusters, Options};

const BOTO3: &str = "boto3==1.44.5";

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?} does not start: {error}; this test needs python3 with venv on the PATH")
    });
    assert!(
        output.status.success(),
        "{command:?}: {}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// A Python that has boto3. A finished environment is marked, so that an interrupted one is made again.
fn python() -> PathBuf {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("botocore");
    let (python, done) = (dir.join("bin/python"), dir.join(format!("has-{BOTO3}")));
    if !done.exists() {
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&dir));
        run(Command::new(&python).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            BOTO3,
        ]));
        std::fs::write(done, "").unwrap();
    }
    python
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_finds_in_the_fake_what_botocores_model_of_eks_promises() {
    let fake = FakeEks::start(Options::new(Arc::new(NoClusters))).await.unwrap();
    let key = fake.credentials();
    let endpoint = fake.endpoint_url();
    let judged = tokio::task::spawn_blocking(move || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judge/eks.py");
        run(Command::new(python())
            .arg(script)
            .arg(endpoint)
            .env("AWS_ACCESS_KEY_ID", &key.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &key.secret_access_key)
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env_remove("AWS_PROFILE"))
    })
    .await
    .unwrap();
    let said = String::from_utf8_lossy(&judged.stdout).into_owned();
    assert!(said.contains("20 operations held to the model"), "{said}");
    fake.shutdown().await;
}
