//! The TSO: hands out strictly increasing timestamps for the life of a cluster.
//!
//! A timestamp is an integer that grows: the wall clock in its upper bits, a count below. The TSO
//! keeps the next one in an atomic and never reaches the *bound*, which is durable before
//! anything below it is handed out. After a crash it starts at the saved bound, so it cannot
//! repeat itself, whatever the clock says by then.
//!
//! **Invariant.** Everything handed out is below the saved bound, and an allocation that began
//! after another one ended is larger.
//!
//! **Absent on purpose.** No timer, no thread and no runtime. When half of the window is used, the
//! TSO calls the hook given to [`Tso::on_low`]; whoever owns a runtime extends it there. Without
//! a hook the waiters of [`Tso::now`] extend it themselves, which is deterministic.

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures::lock::Mutex;

use crate::clock::Clock;
use crate::model::{Code, Fault, Timestamp};

/// How far ahead of use the bound is saved, in milliseconds of time.
const WINDOW_MS: u64 = 3_000;
/// How much is added to the bound while the TSO runs ahead of the wall clock.
const STEP_AHEAD_MS: u64 = 50;
/// How far past the highest clock ever seen demand may push the TSO.
const AHEAD_MS_MAX: u64 = 60_000;
/// A clock this far below the highest one seen was set back, not merely slewed.
const SET_BACK_MS_MIN: u64 = 500;
/// The last millisecond that fits: timestamps stay positive as an `i64`, which SQL stores.
const PHYSICAL_MS_MAX: u64 = (1 << (63 - Timestamp::LOGICAL_BITS)) - 1;

/// Where the TSO's upper bound is kept. Saving is durable when it returns.
#[async_trait]
pub trait WindowStore: Send + Sync {
    /// The saved bound: every timestamp handed out so far is below it.
    async fn load(&self) -> Result<Timestamp, Fault>;
    /// Saves a larger bound. A smaller one than the saved is an error.
    async fn save(&self, bound: Timestamp) -> Result<(), Fault>;
}

/// What every allocation writes, alone on its cache line.
#[repr(align(128))]
struct Next(AtomicU64);

/// Hands out strictly increasing timestamps for the life of a cluster.
pub struct Tso {
    /// The smallest timestamp not handed out.
    next: Next,
    /// The saved bound: `next` never passes it.
    bound: AtomicU64,
    /// Once `next` or the clock is here, it is time to extend.
    refill_at: AtomicU64,
    /// The highest wall clock ever seen, in ms.
    clock_ms_high: AtomicU64,
    /// Whether the hook was called since the last extension.
    asked: AtomicBool,
    /// Attempts to extend that have begun.
    attempts: AtomicU64,
    /// Held by whoever extends; everybody else waits here.
    extending: Mutex<Extending>,
    /// Called when half of the window is used.
    low: OnceLock<Box<dyn Fn() + Send + Sync>>,
    clock: Arc<dyn Clock>,
    store: Arc<dyn WindowStore>,
}

/// What the extenders know of each other.
struct Extending {
    /// The largest bound ever sent to the store. A lost answer may have saved it.
    sent: u64,
    /// The last attempt, if it failed: those who waited for it share its fault.
    failed: Option<(u64, Fault)>,
    /// Whether the clock is known to be set back, so that it is said once.
    set_back: bool,
}

impl Tso {
    /// Starts above every timestamp that was ever handed out from `store`.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn start(
        clock: Arc<dyn Clock>,
        store: Arc<dyn WindowStore>,
    ) -> Result<Arc<Tso>, Fault> {
        let saved = store.load().await?;
        // The saved bound itself was never handed out, and it shows how high the clock once was.
        let clock_ms_high = read_ms(&*clock).max(saved.physical_ms());
        let tso = Arc::new(Tso {
            next: Next(AtomicU64::new(saved.0.max(1))),
            bound: AtomicU64::new(saved.0),
            refill_at: AtomicU64::new(0),
            clock_ms_high: AtomicU64::new(clock_ms_high),
            asked: AtomicBool::new(false),
            attempts: AtomicU64::new(0),
            extending: Mutex::new(Extending { sent: saved.0, failed: None, set_back: false }),
            low: OnceLock::new(),
            clock,
            store,
        });
        tso.extend().await?;
        Ok(tso)
    }

    /// Has `hook` called when half of the window is used or there is no room: at most once per
    /// extension, from inside allocations, perhaps under a lock, so it must not block. It is to
    /// see to it that [`Tso::extend`] runs soon. The first hook stays.
    pub fn on_low(&self, hook: Box<dyn Fn() + Send + Sync>) {
        // A second hook would mean a second extender, which could only wait for the first.
        let _first_stays = self.low.set(hook);
    }

    /// The next timestamp, if the saved window has room: one atomic operation, usable under a lock.
    pub fn try_now(&self) -> Option<Timestamp> {
        self.try_alloc(1)
    }

    /// The first of `count` consecutive timestamps, if the saved window has room.
    /// A count of 0 is taken as 1.
    pub fn try_alloc(&self, count: u32) -> Option<Timestamp> {
        let count = u64::from(count.max(1));
        let clock = self.clock_now();
        let mut next = self.next.0.load(Ordering::Acquire);
        loop {
            let first = next.max(clock);
            let end = first + count;
            // Loaded in the loop: a bound only grows, so a stale one refuses too early at worst.
            if end > self.bound.load(Ordering::Acquire) {
                self.ask();
                return None;
            }
            let swap =
                self.next.0.compare_exchange_weak(next, end, Ordering::AcqRel, Ordering::Acquire);
            match swap {
                Ok(_) => {
                    if end >= self.refill_at.load(Ordering::Relaxed) {
                        self.ask();
                    }
                    return Some(Timestamp(first));
                }
                Err(seen) => next = seen,
            }
        }
    }

    /// The next timestamp; waits for the window to be extended when it has no room.
    ///
    /// # Errors
    /// Those of [`Tso::alloc`].
    pub async fn now(&self) -> Result<Timestamp, Fault> {
        self.alloc(1).await
    }

    /// The first of `count` consecutive timestamps; waits for the window when it has no room.
    ///
    /// # Errors
    /// Those of the store, and a retriable one when demand runs a minute ahead of the clock.
    pub async fn alloc(&self, count: u32) -> Result<Timestamp, Fault> {
        loop {
            if let Some(first) = self.try_alloc(count) {
                return Ok(first);
            }
            self.extend_for(count).await?;
        }
    }

    /// Extends the window if half of it is used; otherwise does nothing.
    ///
    /// # Errors
    /// Those of [`Tso::alloc`].
    pub async fn extend(&self) -> Result<(), Fault> {
        self.extend_for(1).await
    }

    /// Extends the window if half of it is used or it has no room for `count`. One caller does
    /// it, the others wait and share what comes of it.
    async fn extend_for(&self, count: u32) -> Result<(), Fault> {
        let seen = self.attempts.load(Ordering::Acquire);
        let mut turn = self.extending.lock().await;
        let clock = self.clock_now();
        let start = self.next.0.load(Ordering::Acquire).max(clock);
        let end = start + u64::from(count.max(1));
        let bound = self.bound.load(Ordering::Acquire);
        if end <= bound && end < self.refill_at.load(Ordering::Relaxed) {
            self.asked.store(false, Ordering::Release);
            return Ok(());
        }
        if let Some((attempt, fault)) = &turn.failed
            && *attempt > seen
        {
            return Err(fault.clone());
        }
        self.note_clock(clock, &mut turn);
        let outcome = match self.target(clock, start, end, turn.sent) {
            Ok(target) => {
                turn.sent = target;
                let attempt = self.attempts.fetch_add(1, Ordering::AcqRel) + 1;
                let saved = self.store.save(Timestamp(target)).await;
                turn.failed = saved.as_ref().err().map(|fault| (attempt, fault.clone()));
                saved.map(|()| {
                    self.refill_at.store(target - (target - start) / 2, Ordering::Relaxed);
                    self.bound.store(target, Ordering::Release);
                })
            }
            // There is still room; the refusal is for whoever finds none.
            Err(_) if end <= bound => Ok(()),
            Err(fault) => Err(fault),
        };
        self.asked.store(false, Ordering::Release);
        outcome
    }

    /// The bound to save so that timestamps from `start` to `end` can be handed out.
    fn target(&self, clock: u64, start: u64, end: u64, sent: u64) -> Result<u64, Fault> {
        let ms = 1 << Timestamp::LOGICAL_BITS;
        let high = self.clock_ms_high.load(Ordering::Acquire);
        let last = Timestamp::from_ms((high + AHEAD_MS_MAX).min(PHYSICAL_MS_MAX)).0;
        if end > last {
            let by = Timestamp(start).physical_ms().saturating_sub(high);
            let text = format!(
                "no timestamps: demand has pushed them {by} ms past the highest wall clock seen \
                 ({high} ms); at most {AHEAD_MS_MAX} ms are allowed; wait, or set the clock right"
            );
            return Err(Fault::new(Code::ServiceUnavailable, text));
        }
        let wanted = (clock + WINDOW_MS * ms).max(end + STEP_AHEAD_MS * ms);
        // A bound that was sent once may be in the store: a smaller one would be refused there.
        Ok(wanted.min(last).max(sent))
    }

    /// Says it when the clock was set back, and again when it has caught up.
    fn note_clock(&self, clock: u64, turn: &mut Extending) {
        let high = self.clock_ms_high.load(Ordering::Acquire);
        let now = Timestamp(clock).physical_ms();
        let set_back = now + SET_BACK_MS_MIN < high;
        if set_back && !turn.set_back {
            let by_ms = high - now;
            tracing::warn!(by_ms, "the wall clock was set back; timestamps count on logically");
        } else if turn.set_back && !set_back {
            tracing::info!("the wall clock has caught up with the timestamps");
        }
        turn.set_back = set_back;
    }

    /// The wall clock as a timestamp, remembered if it is the highest ever seen.
    fn clock_now(&self) -> u64 {
        let ms = read_ms(&*self.clock);
        // Read first: the line stays shared between threads but once in a millisecond.
        if ms > self.clock_ms_high.load(Ordering::Relaxed) {
            self.clock_ms_high.fetch_max(ms, Ordering::AcqRel);
        }
        Timestamp::from_ms(ms).0
    }

    /// Calls the hook, once per extension.
    fn ask(&self) {
        if let Some(hook) = self.low.get()
            && !self.asked.load(Ordering::Relaxed)
            && !self.asked.swap(true, Ordering::AcqRel)
        {
            hook();
        }
    }
}

/// The wall clock in ms, kept where window and bound still fit into a timestamp.
fn read_ms(clock: &dyn Clock) -> u64 {
    clock.now_ms().min(PHYSICAL_MS_MAX - 2 * AHEAD_MS_MAX)
}
