//! Whether anybody still waits for an answer: what long work asks now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millstream_catalog::model::Fault;

/// Somebody's interest in an answer. Clones share it; a new one never ends by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interest(Arc<AtomicBool>);

impl Interest {
    /// Whether nobody waits any more.
    pub(crate) fn is_over(&self) -> bool {
        // What is read is no more than a reason to stop early.
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// When nobody waits any more, so that work ends here.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        if self.is_over() { Err(nobody_waits()) } else { Ok(()) }
    }
}

/// Why a task ends whose caller is gone; nobody reads it.
pub(crate) fn nobody_waits() -> Fault {
    Fault::internal("nobody waits for the answer")
}

/// Whoever waits: the interest is over when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Waiting(Interest);

impl Waiting {
    /// The interest of whoever waits.
    pub(crate) fn interest(&self) -> Interest {
        self.0.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interest_ends_with_whoever_waits() {
        let waiting = Waiting::default();
        let interest = waiting.interest();
        assert!(!interest.is_over() && interest.check().is_ok());
        drop(waiting);
        assert!(interest.is_over() && interest.check().is_err());
    }
}
