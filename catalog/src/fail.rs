//! Fail points: named places at which a test kills the process, as a crash would.
//!
//! They are there only with the feature `fail-points`; without it a call is nothing at all. With it,
//! the variable [`VARIABLE`] arms one of them: `NAME` or `NAME:N` kills the process when it passes
//! the point for the N-th time, counted from its start. `@FILE` names a file that says which one is
//! armed, as long as it is there; it is read at every pass, and passes count from when it changed.
//! `trace` in it kills nothing: each pass adds its name to the file beside it that ends with `.passed`.
//!
//! **Invariant.** Every name in [`POINTS`] stands at one place in the code, and no other does.
//!
//! **Absent on purpose.** No exit and no abort: those run handlers and flush what a crash loses. No
//! point that returns an error; what fails without a crash is the business of other tests.

/// The variable that arms a point.
pub const VARIABLE: &str = "MILLSTREAM_FAIL_POINT";

/// Whether fail points are in this build.
pub const ENABLED: bool = cfg!(feature = "fail-points");

/// All points, by what they belong to.
pub const POINTS: [&str; 75] = [
    // The start of a server, a second crash while it recovers included.
    "start.folder_marked",
    "start.catalog_claimed",
    "start.catalog_opened",
    "start.log_opened",
    "start.store_opened",
    "start.store_adopted",
    "start.workers_started",
    "start.channel_subscribed",
    "start.pending_found",
    "start.rolled_forward",
    "start.serving",
    // Transactions of the catalog.
    "catalog.begin",
    "catalog.statement",
    "catalog.before_commit",
    "catalog.after_commit",
    "catalog.before_count",
    "catalog.after_count",
    "tso.before_save",
    "tso.after_save",
    "checkpoint.before_set",
    "checkpoint.after_set",
    "checkpoint.before_truncate",
    "checkpoint.after_truncate",
    // Changes of metadata that touch data.
    "ddl.before_decide",
    "ddl.decided",
    "ddl.published",
    "ddl.current",
    "ddl.before_answer",
    // Writes.
    "write.before_publish",
    "write.enqueued",
    "write.acknowledged",
    "write.before_answer",
    "write.before_settle",
    // The log.
    "log.before_write",
    "log.before_sync",
    "log.after_sync",
    "log.before_rotate",
    "log.trimmed",
    "log.file_written",
    "log.file_made",
    "log.before_remove",
    "log.after_remove",
    "nats.before_send",
    "nats.sent",
    "nats.acknowledged",
    "nats.before_purge",
    "nats.after_purge",
    // Files.
    "store.partial_made",
    "store.partial_filled",
    "store.partial_synced",
    "store.named",
    "store.after_put",
    "store.before_upload",
    "store.after_upload",
    "store.before_delete",
    "store.after_delete",
    // Sealing and writing out.
    "seal.before_publish",
    "seal.published",
    "flush.before_put",
    "flush.written",
    "flush.named",
    "flush.before_answer",
    // Graphs.
    "graph.built",
    "graph.written",
    "graph.named",
    "graph.dropped",
    // Compaction.
    "compact.before_write",
    "compact.written",
    "compact.prepared",
    "compact.named",
    "compact.swapped",
    // Files that nothing names any more.
    "garbage.forgotten",
    "garbage.before_delete",
    "garbage.deleted",
    "garbage.orphan",
];

/// Ends the process here if this point is armed; otherwise nothing.
#[cfg(not(feature = "fail-points"))]
#[inline(always)]
pub fn point(_name: &'static str) {}

#[cfg(feature = "fail-points")]
pub use armed::point;

#[cfg(feature = "fail-points")]
mod armed {
    use std::fs::{self, File};
    use std::io::Write;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;

    use parking_lot::Mutex;
    use rustix::process::{Signal, getpid, kill_process};

    use super::VARIABLE;

    /// What arms points: the variable itself, or the file that it names.
    enum Source {
        Text(String),
        File(PathBuf),
    }

    /// What is armed, and how often it was passed.
    #[derive(Default)]
    pub(super) struct Counter {
        text: String,
        passed: u64,
    }

    struct Armed {
        source: Source,
        counter: Mutex<Counter>,
    }

    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();

    fn armed() -> Option<Armed> {
        let text = std::env::var(VARIABLE).ok()?;
        let source = match text.strip_prefix('@') {
            Some(file) => Source::File(file.into()),
            None => Source::Text(text),
        };
        Some(Armed { source, counter: Mutex::default() })
    }

    impl Counter {
        /// Counts a pass; whether it is the one that is armed.
        pub(super) fn pass(&mut self, text: &str, name: &str) -> bool {
            if self.text != text {
                *self = Counter { text: text.to_owned(), passed: 0 };
            }
            let (wanted, count) = text.split_once(':').unwrap_or((text, "1"));
            if wanted != name {
                return false;
            }
            self.passed += 1;
            count.parse() == Ok(self.passed)
        }
    }

    /// Ends the process here if this point is armed; otherwise nothing.
    #[inline]
    pub fn point(name: &'static str) {
        if let Some(armed) = ARMED.get_or_init(armed) {
            passed(armed, name);
        }
    }

    /// Adds a name to the file of passes.
    fn trace(file: &Path, name: &str) {
        let passes = file.with_extension("passed");
        let opened = File::options().create(true).append(true).open(passes);
        // Whoever reads them misses one that is not there.
        let _ = opened.and_then(|mut file| writeln!(file, "{name}"));
    }

    #[cold]
    fn passed(armed: &Armed, name: &str) {
        // Held while the file is read: passes are counted one after the other.
        let mut counter = armed.counter.lock();
        let from_file;
        let text = match &armed.source {
            Source::Text(text) => text.as_str(),
            Source::File(file) => {
                // Nothing is armed while it is not there.
                from_file = fs::read_to_string(file).unwrap_or_default();
                if from_file == "trace" {
                    trace(file, name);
                }
                &from_file
            }
        };
        if counter.pass(text, name) {
            // Nothing of this process runs on, and nothing is flushed.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}

#[cfg(all(test, feature = "fail-points"))]
mod tests {
    use super::armed::Counter;

    #[test]
    fn the_pass_that_is_armed_is_counted_from_when_it_was_armed() {
        let mut counter = Counter::default();
        assert!(!counter.pass("a:2", "a"));
        assert!(!counter.pass("a:2", "b"));
        assert!(counter.pass("a:2", "a"));
        assert!(!counter.pass("a:2", "a"));
        assert!(counter.pass("b", "b"));
        assert!(!counter.pass("a:2", "a"));
        assert!(counter.pass("a:2", "a"));
        assert!(!counter.pass("", "a"));
        assert!(!counter.pass("a:x", "a"));
    }
}
