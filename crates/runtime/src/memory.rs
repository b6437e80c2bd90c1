//! The process's own resident memory, as the kernel counts it.

use berth_model::Bytes;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::gauge::ConstGauge,
};

use crate::metrics::Metrics;

/// Resident memory of this process; none where there is no `/proc`.
#[must_use]
pub fn resident() -> Option<Bytes> {
    resident_of("self")
}

/// Resident memory of another process of this machine; none when it is gone.
#[must_use]
pub fn resident_of_process(pid: u32) -> Option<Bytes> {
    resident_of(&pid.to_string())
}

fn resident_of(process: &str) -> Option<Bytes> {
    parse(&std::fs::read_to_string(format!("/proc/{process}/status")).ok()?)
}

/// Reads `VmRSS` from `/proc/PID/status` (proc_pid_status(5)); its unit is always kB there, meaning 1024 bytes.
fn parse(status: &str) -> Option<Bytes> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(Bytes(kib.saturating_mul(1024)))
}

/// Adds `process_resident_memory_bytes` to the metrics, read when they are asked for.
pub fn register(metrics: &Metrics) {
    metrics.register(|registry| registry.register_collector(Box::new(ResidentMemory)));
}

#[derive(Debug)]
struct ResidentMemory;

impl Collector for ResidentMemory {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Some(resident) = resident() else { return Ok(()) };
        let gauge = ConstGauge::new(i64::try_from(resident.0).unwrap_or(i64::MAX));
        let metric = encoder.encode_descriptor(
            "process_resident_memory_bytes",
            "Resident memory of this process",
            None,
            gauge.metric_type(),
        )?;
        gauge.encode(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_kilobytes_are_kibibytes() {
        assert_eq!(
            parse("Name:\tx\nVmRSS:\t    2048 kB\nThreads:\t1\n"),
            Some(Bytes(2 << 20))
        );
        assert_eq!(parse("Name:\tx\n"), None);
        assert_eq!(parse("VmRSS:\tmany kB\n"), None);
    }

    #[test]
    fn a_running_process_has_some_memory() {
        assert!(resident().unwrap() > Bytes(100 << 10));
        // Other tests of this process allocate meanwhile: two readings are never quite the same.
        assert!(resident_of_process(std::process::id()).unwrap() > Bytes(100 << 10));
        assert_eq!(resident_of_process(u32::MAX), None);
    }
}
