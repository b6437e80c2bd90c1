//! More trials than the tests make: `cargo run -p berth-store --features testing --example corruption -- TRIALS [SEED]`.
//!
//! Prints `seed S: N tried, N refused, N intact, N silent`, and fails when a loss was silent.

use std::{error::Error, process::ExitCode};

use berth_store::corruption;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let trials: u32 = arguments.next().map_or(Ok(150), |text| text.parse())?;
    let seed: u64 = arguments
        .next()
        .map_or_else(|| Ok(rand::random()), |text| text.parse())?;
    let scratch = std::env::temp_dir().join(format!("berth-corruption-{}", std::process::id()));
    std::fs::create_dir_all(&scratch)?;
    // What sled panics about is part of what is tried.
    std::panic::set_hook(Box::new(|_| ()));
    let prepared = corruption::prepare(&scratch.join("origin"), seed).await?;
    let report = prepared
        .run(&scratch, trials, seed, |report| {
            if report.tried % 500 == 0 {
                eprintln!("{report}");
            }
        })
        .await;
    std::fs::remove_dir_all(&scratch)?;
    let report = report?;
    println!("{report}");
    for silent in &report.silent {
        println!("{silent}");
    }
    Ok(if report.silent.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
