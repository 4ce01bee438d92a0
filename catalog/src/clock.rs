//! `Clock`: the wall clock, injected so that simulation can move it.

/// Reads physical time. The real one is made in `main`; simulation steps its own.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch. May jump in either direction.
    fn now_ms(&self) -> u64;
}

/// The machine's wall clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place that reads it
    fn now_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX))
    }
}
