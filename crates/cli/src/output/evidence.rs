//! Evidence of isolation.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_model::Timestamp;
use berth_proto::v1;
use berth_wire::file::{API_VERSION, Tree};

use super::{
    Describe, Shown, age,
    describe::Description,
    table::{Cell, Column, Table},
    time,
};
use crate::{
    args::{Format, Output},
    exit::Failure,
    kinds::Kind,
    terminal::{Terminal, Tone},
};

impl Shown for v1::Evidence {
    const KIND: Kind = Kind::Evidence;
    const COLUMNS: &'static [Column] = &[
        Column::new("TENANT"),
        Column::new("CLUSTER"),
        Column::new("RESULT"),
        Column::new("PASSED"),
        Column::new("FAILED"),
        Column::new("NOT-TRIED"),
        Column::new("AGE"),
        Column::wide("GENERATION"),
        Column::wide("REFUSED-ATTEMPTS"),
        Column::wide("MESSAGE"),
    ];

    fn name(&self) -> String {
        let name = self.name.strip_prefix("tenants/").unwrap_or(&self.name);
        name.strip_suffix("/evidence").unwrap_or(name).to_owned()
    }

    fn row(&self, now: Timestamp) -> Vec<Cell> {
        vec![
            Cell::new(self.name()),
            Cell::new(&self.cluster),
            result(&self.result),
            Cell::new(self.passed.to_string()),
            Cell::new(self.failed.to_string()),
            Cell::new(self.not_tried.to_string()),
            Cell::new(age::since(self.probe_time.as_ref(), now)),
            Cell::new(self.generation.to_string()),
            Cell::new(self.refused_attempts.to_string()),
            Cell::new(&self.message),
        ]
    }

    fn tree(&self) -> Result<Tree, Failure> {
        let metadata = Tree::map()
            .text("name", &self.name())
            .some_text("tenantUid", &self.tenant_uid);
        let probe = |probe: &v1::EvidenceProbe| {
            Tree::map()
                .text("name", &probe.name)
                .text("result", &probe.result)
                .some_text("what", &probe.what)
                .some_text("expected", &probe.expected)
                .some_text("seen", &probe.seen)
                .some_text("message", &probe.message)
                .text("required", if probe.required { "true" } else { "false" })
        };
        let policy = |policy: &v1::EvidencePolicy| {
            Tree::map()
                .text("name", &policy.name)
                .text("uid", &policy.uid)
                .number("generation", policy.generation)
        };
        let proof = self.proof.as_ref().map_or(Tree::Null, |proof| {
            Tree::map()
                .text("statement", &String::from_utf8_lossy(&proof.statement))
                .text("signature", &STANDARD.encode(&proof.signature))
                .text("certificate", &proof.certificate_pem)
                .with_some("probeTime", time(proof.probe_time.as_ref()))
        });
        let status = Tree::map()
            .text("cluster", &self.cluster)
            .text("result", &self.result)
            .some_text("message", &self.message)
            .number("passed", self.passed)
            .number("failed", self.failed)
            .number("notTried", self.not_tried)
            .with_some("probeTime", time(self.probe_time.as_ref()))
            .with_some("expireTime", time(self.expire_time.as_ref()))
            .number("generation", self.generation)
            .text("digest", &self.digest)
            .text("agentVersion", &self.agent_version)
            .text("kubernetesVersion", &self.kubernetes_version)
            .number("refusedAttempts", self.refused_attempts)
            .with_some("probes", Tree::List(self.probes.iter().map(probe).collect()))
            .with_some("policies", Tree::List(self.policies.iter().map(policy).collect()))
            .with_some("proof", proof);
        Ok(Tree::map()
            .text("apiVersion", API_VERSION)
            .text("kind", "Evidence")
            .with("metadata", metadata)
            .with("status", status))
    }
}

impl Describe for v1::Evidence {
    fn describe(&self, _terminal: &Terminal, now: Timestamp) -> Result<String, Failure> {
        let of = |result: &str| {
            let probes = self.probes.iter().filter(|probe| probe.result == result);
            probes
                .map(|probe| format!("{}: {}", probe.name, probe.message))
                .collect::<Vec<_>>()
        };
        Ok(Description::default()
            .field("Tenant", self.name())
            .field("Cluster", &self.cluster)
            .field("Result", told(self))
            .field("Age", age::since(self.probe_time.as_ref(), now))
            .field("Believed for", age::until(self.expire_time.as_ref(), now))
            .field("Generation", self.generation.to_string())
            .field("Agent", &self.agent_version)
            .field("Kubernetes", &self.kubernetes_version)
            .field("Refused attempts", self.refused_attempts.to_string())
            .lines("Failed", &of("Failed"))
            .lines("Not tried", &of("NotTried"))
            .finish())
    }
}

/// A tenant with what is known of its walls.
pub(crate) struct Proven {
    /// The tenant.
    pub tenant: v1::Tenant,
    /// Its evidence, where there is any.
    pub evidence: Option<v1::Evidence>,
}

impl Describe for Proven {
    fn describe(&self, terminal: &Terminal, now: Timestamp) -> Result<String, Failure> {
        let mut text = self.tenant.describe(terminal, now)?;
        if let Some(evidence) = &self.evidence {
            let mut lines = vec![format!(
                "{}, {} old",
                told(evidence),
                age::since(evidence.probe_time.as_ref(), now)
            )];
            if evidence.refused_attempts > 0 {
                lines.push(format!(
                    "{} refused attempts to cross the walls",
                    evidence.refused_attempts
                ));
            }
            let failed = evidence.probes.iter().filter(|probe| probe.result == "Failed");
            lines.extend(failed.map(|probe| format!("{}: {}", probe.name, probe.message)));
            if !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(
                &Description::default()
                    .lines("Evidence of isolation", &lines)
                    .finish(),
            );
        }
        Ok(text)
    }
}

fn told(evidence: &v1::Evidence) -> String {
    format!(
        "{}: {} passed, {} failed, {} not tried",
        evidence.result, evidence.passed, evidence.failed, evidence.not_tried
    )
}

fn result(result: &str) -> Cell {
    let tone = match result {
        "Passed" => Tone::Good,
        "Failed" => Tone::Bad,
        _ => Tone::Unsure,
    };
    Cell::toned(result, tone)
}

/// Every probe of one tenant, what failed first.
pub(crate) fn probes(terminal: &Terminal, evidence: &v1::Evidence, output: &Output) -> String {
    const COLUMNS: &[Column] = &[
        Column::new("PROBE"),
        Column::new("RESULT"),
        Column::new("SEEN"),
        Column::new("MESSAGE"),
        Column::wide("WHAT"),
        Column::wide("EXPECTED"),
    ];
    let mut table = Table::new(COLUMNS, output.output == Format::Wide);
    let rank = |probe: &&v1::EvidenceProbe| match probe.result.as_str() {
        "Failed" => 0,
        "NotTried" => 1,
        _ => 2,
    };
    let mut all: Vec<&v1::EvidenceProbe> = evidence.probes.iter().collect();
    all.sort_by_key(rank);
    for probe in all {
        table.push(vec![
            Cell::new(&probe.name),
            result(&probe.result),
            Cell::new(&probe.seen),
            Cell::new(&probe.message),
            Cell::new(&probe.what),
            Cell::new(&probe.expected),
        ]);
    }
    table.render(terminal, !output.no_headers)
}
