//! What was measured, as a table for people and JSON for programs.

use std::{fmt, fs, time::Duration};

use serde_json::json;

use super::Plan;
use crate::{processes::Program, system::System};

/// The figures of one run.
#[derive(Debug)]
pub struct Figures {
    pub(super) plan: Plan,
    pub(super) latencies: Vec<Duration>,
    pub(super) accepted_in: Duration,
    pub(super) completed_in: Duration,
    pub(super) resident: Vec<(&'static str, Option<u64>)>,
}

impl Figures {
    /// The latency, CreateOrder called to SagaCompleted received, that `fraction` of the sagas did not exceed.
    #[must_use]
    pub fn latency(&self, fraction: f64) -> Duration {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an index into a list that fits in memory"
        )]
        let index = ((sorted.len() as f64 * fraction).ceil() as usize).saturating_sub(1);
        sorted.get(index).copied().unwrap_or_default()
    }

    /// The same as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        json!({
            "rate_per_s": self.plan.rate,
            "seconds": self.plan.seconds,
            "latency_p50_ms": self.latency(0.50).as_secs_f64() * 1e3,
            "latency_p99_ms": self.latency(0.99).as_secs_f64() * 1e3,
            "latency_max_ms": self.latency(1.0).as_secs_f64() * 1e3,
            "orders": self.plan.orders,
            "callers": self.plan.callers,
            "accepted_per_s": f64::from(self.plan.orders) / self.accepted_in.as_secs_f64(),
            "completed_per_s": f64::from(self.plan.orders) / self.completed_in.as_secs_f64(),
            "resident_bytes": self.resident.iter().cloned().collect::<std::collections::BTreeMap<_, _>>(),
        })
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Plan { rate, seconds, orders, callers } = self.plan;
        let ms = |fraction| self.latency(fraction).as_secs_f64() * 1e3;
        let per_s = |duration: Duration| f64::from(orders) / duration.as_secs_f64();
        writeln!(formatter, "CreateOrder to SagaCompleted at {rate} orders/s for {seconds} s")?;
        writeln!(
            formatter,
            "  p50 {:8.1} ms   p99 {:8.1} ms   max {:8.1} ms",
            ms(0.5),
            ms(0.99),
            ms(1.0)
        )?;
        writeln!(formatter, "{orders} orders by {callers} callers")?;
        writeln!(formatter, "  accepted  {:8.0} orders/s", per_s(self.accepted_in))?;
        writeln!(formatter, "  completed {:8.0} orders/s", per_s(self.completed_in))?;
        writeln!(formatter, "resident memory afterwards")?;
        for (name, bytes) in &self.resident {
            match bytes {
                Some(bytes) => {
                    writeln!(formatter, "  {name:<14} {:6.1} MiB", *bytes as f64 / 1_048_576.0)?;
                }
                None => writeln!(formatter, "  {name:<14} not running")?,
            }
        }
        Ok(())
    }
}

/// Reads the resident memory of each process, in bytes; `None` for one that has ended.
pub(super) async fn resident(system: &System) -> Vec<(&'static str, Option<u64>)> {
    let processes = [
        (Program::StoreManager, &system.store_manager),
        (Program::Payments, &system.payments),
        (Program::OutboxRelay, &system.relay),
    ];
    let mut resident = Vec::new();
    for (program, service) in processes {
        resident.push((program.name(), service.pid().await.and_then(resident_bytes)));
    }
    resident
}

fn resident_bytes(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}
