//! Protection of the server from more writes than it can take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwapOption;
use millstream_catalog::model::{Code, Fault};

use super::settings::Settings;
use crate::gateway::Gateway;
use crate::machine;

/// How long a look at the machine counts, in nanoseconds.
const FRESH: u64 = 100_000_000;

/// Whether writes are denied, looked up by whoever writes when nobody did lately.
pub(super) struct Protection {
    memory_percent: Option<f64>,
    backlog_bytes: Option<f64>,
    memory_max: u64,
    /// When somebody looked.
    looked_at: AtomicU64,
    /// Why writes are denied.
    why: ArcSwapOption<String>,
}

impl Protection {
    pub(super) fn new(settings: &Settings) -> Protection {
        let Settings { memory_percent, backlog_bytes, .. } = *settings;
        let memory_max = if memory_percent.is_some() { machine::memory_max() } else { 0 };
        let (looked_at, why) = (AtomicU64::new(0), ArcSwapOption::empty());
        Protection { memory_percent, backlog_bytes, memory_max, looked_at, why }
    }

    /// Refuses a write while the server is too far behind.
    pub(super) fn check(&self, gateway: &Gateway, now: u64) -> Result<(), Fault> {
        if self.memory_percent.is_none() && self.backlog_bytes.is_none() {
            return Ok(());
        }
        let before = self.looked_at.load(Ordering::Relaxed);
        let due = before == 0 || now.saturating_sub(before) >= FRESH;
        let to = now.max(1);
        let mine = || {
            let exchanged =
                self.looked_at.compare_exchange(before, to, Ordering::Relaxed, Ordering::Relaxed);
            exchanged.is_ok()
        };
        if due && mine() {
            self.why.store(self.look(gateway).map(Arc::new));
        }
        match &*self.why.load() {
            None => Ok(()),
            Some(why) => Err(Fault::new(Code::QuotaDenied, (**why).clone())),
        }
    }

    /// Why writes are denied now.
    pub(super) fn look(&self, gateway: &Gateway) -> Option<String> {
        let memory = machine_memory(self.memory_percent, self.memory_max);
        let backlog = || {
            let bytes: usize = gateway
                .channels()
                .map(|c| gateway.dataflow.backlog_bytes(c) + gateway.writer.stats(c).bytes)
                .sum();
            self.backlog_bytes.and_then(|max| behind(bytes as f64, max))
        };
        memory.or_else(backlog)
    }
}

fn machine_memory(percent: Option<f64>, max: u64) -> Option<String> {
    let percent = percent.filter(|_| max > 0)?;
    too_much(machine::own_memory(), max, percent)
}

fn too_much(used: u64, max: u64, percent: f64) -> Option<String> {
    (used as f64 > max as f64 * percent / 100.0).then(|| {
        format!(
            "quota exceeded[reason=memory quota exceeded, please allocate more resources]: the \
             server holds {used} of {max} bytes, and takes no writes beyond {percent} %"
        )
    })
}

fn behind(bytes: f64, max: f64) -> Option<String> {
    (bytes > max).then(|| {
        format!(
            "quota exceeded[reason=time tick long delay]: {bytes} bytes of the log are not applied \
             yet, and the server takes no writes beyond {max}; retry later"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_said_with_the_limit() {
        assert_eq!(too_much(95, 100, 95.0), None);
        let text = too_much(96, 100, 95.0).unwrap();
        assert!(text.contains("memory quota exceeded") && text.contains("96 of 100"), "{text}");
        assert_eq!(behind(10.0, 10.0), None);
        assert!(behind(11.0, 10.0).unwrap().contains("11 bytes of the log"));
        assert_eq!(machine_memory(Some(0.0), 0), None, "a machine that says nothing");
    }
}
