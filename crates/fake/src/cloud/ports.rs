//! A pod has a network of its own; here all pods share loopback. What a pod would listen on for itself gets a free port.

use std::sync::Arc;

use async_trait::async_trait;

use crate::eks::BoxError;
use crate::kubelet::{Launch, Launcher, Running};

/// Any address of a pod, as its arguments name it.
const IN_A_POD: &str = "0.0.0.0:";
const HERE: &str = "127.0.0.1:0";

/// Starts what another launcher starts, on ports that are free.
#[derive(Clone, Debug)]
pub(super) struct OwnPorts(pub(super) Arc<dyn Launcher>);

#[async_trait]
impl Launcher for OwnPorts {
    async fn launch(&self, mut launch: Launch) -> Result<Box<dyn Running>, BoxError> {
        launch
            .args
            .iter_mut()
            .for_each(|argument| *argument = here(argument));
        self.0.launch(launch).await
    }
}

fn here(argument: &str) -> String {
    match argument.split_once(IN_A_POD) {
        Some((before, port))
            if port.parse::<u16>().is_ok() && (before.is_empty() || before.ends_with('=')) =>
        {
            format!("{before}{HERE}")
        }
        _ => argument.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_pod_listens_on_gets_a_free_port_and_nothing_else_changes() {
        assert_eq!(here("--ops-listen=0.0.0.0:8081"), "--ops-listen=127.0.0.1:0");
        assert_eq!(here("0.0.0.0:8081"), "127.0.0.1:0");
        for other in [
            "--hub=https://10.0.0.0:8081",
            "--hub=https://127.0.0.1:7444",
            "0.0.0.0:all",
            "--x",
        ] {
            assert_eq!(here(other), other);
        }
    }
}
