//! What happens, as it happens: a line per tenant on a terminal, plain lines elsewhere, all on standard error.

use std::{
    collections::BTreeMap,
    io::IsTerminal as _,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use berth_model::visible;
use berth_proto::v1::{self, watch_tenants_response::Event};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::{client::Hub, exit::Failure};

/// Where progress goes.
pub(super) struct Progress {
    /// While lines are lively; afterwards they are plain, so that nothing is drawn over what is printed then.
    bars: Mutex<Option<MultiProgress>>,
    quiet: bool,
}

impl Progress {
    /// Lively on a terminal; `quiet` says nothing but what is asked for by people at a terminal.
    pub(super) fn new(quiet: bool) -> Self {
        let lively = std::io::stderr().is_terminal();
        Self {
            bars: Mutex::new(lively.then(MultiProgress::new)),
            quiet: quiet && !lively,
        }
    }

    fn bars(&self) -> Option<MultiProgress> {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on lines are plain.
    pub(super) fn settle(&self) {
        self.bars.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// One line.
    pub(super) fn say(&self, line: &str) {
        let line = &visible::lines(line);
        match &self.bars() {
            // A terminal that went away does not need the line.
            Some(bars) => drop(bars.println(line)),
            None if self.quiet => {}
            None => eprintln!("{line}"),
        }
    }

    /// Follows `wanted` until every one of them is Ready.
    pub(super) async fn follow(&self, hub: &Hub, wanted: &[String]) -> Result<(), Failure> {
        let mut lines: BTreeMap<String, Line> = wanted
            .iter()
            .map(|name| (name.clone(), Line::new(self, name)))
            .collect();
        let mut stream = hub
            .ask(
                "tenants",
                hub.tenants().watch_tenants(v1::WatchTenantsRequest::default()),
            )
            .await?;
        while lines.values().any(|line| !line.ready) {
            let Some(message) = stream
                .message()
                .await
                .map_err(|status| Failure::of("tenants", &status))?
            else {
                break;
            };
            if let Some(Event::Upserted(tenant)) = message.event
                && let Some(line) = lines.get_mut(tenant.name.trim_start_matches("tenants/"))
            {
                line.show(self, &tenant);
            }
        }
        Ok(())
    }

    /// Shows every change from now on.
    pub(super) async fn changes(&self, hub: &Hub) -> Result<(), Failure> {
        let mut stream = hub
            .ask(
                "tenants",
                hub.tenants().watch_tenants(v1::WatchTenantsRequest::default()),
            )
            .await?;
        let mut live = false;
        while let Some(message) = stream
            .message()
            .await
            .map_err(|status| Failure::of("tenants", &status))?
        {
            match message.event {
                Some(Event::SnapshotEnd(_)) => live = true,
                Some(Event::Upserted(tenant)) if live => {
                    let state = waiting_for(&tenant).unwrap_or_else(|| "Ready".into());
                    self.say(&format!("{}: {state}", tenant.name));
                }
                Some(Event::Deleted(name)) => self.say(&format!("{name}: gone")),
                _ => {}
            }
        }
        Ok(())
    }
}

/// One tenant's line.
struct Line {
    name: String,
    bar: Option<ProgressBar>,
    last: String,
    ready: bool,
}

impl Line {
    fn new(progress: &Progress, name: &str) -> Self {
        let bar = progress.bars().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {prefix:20} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            name: name.to_owned(),
            bar,
            last: String::new(),
            ready: false,
        }
    }

    fn show(&mut self, progress: &Progress, tenant: &v1::Tenant) {
        let waiting = waiting_for(tenant);
        self.ready = waiting.is_none();
        let text = waiting.unwrap_or_else(|| {
            let placement = tenant
                .status
                .as_ref()
                .and_then(|status| status.placement.clone())
                .unwrap_or_default();
            format!("Ready: {} on {}", placement.isolation, placement.cluster)
        });
        if text == self.last {
            return;
        }
        self.last.clone_from(&text);
        match &self.bar {
            Some(bar) if self.ready => bar.finish_with_message(text),
            Some(bar) => bar.set_message(text),
            None => progress.say(&format!("{}: {text}", self.name)),
        }
    }
}

/// What a tenant that is not Ready waits for.
pub(super) fn waiting_for(tenant: &v1::Tenant) -> Option<String> {
    let status = tenant.status.as_ref()?;
    let find = |kind: &str| {
        status
            .conditions
            .iter()
            .find(|condition| condition.r#type == kind)
    };
    if find("Ready").is_some_and(|ready| ready.status == "True") {
        return None;
    }
    let first = find("Stalled").into_iter().chain(
        ["Accepted", "Placed", "Provisioned", "Applied", "Healthy"]
            .into_iter()
            .filter_map(find)
            .filter(|condition| condition.status != "True"),
    );
    Some(first.into_iter().next().map_or_else(
        || "waiting for the control loop".to_owned(),
        |condition| match condition.message.as_str() {
            "" => condition.reason.clone(),
            message => format!("{}: {message}", condition.reason),
        },
    ))
}
