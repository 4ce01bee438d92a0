//! The files and the manifest of the simulation: what survives a crash, and how it fails.

use std::sync::Arc;

use millstream_catalog::catalog::Checkpoint;
use millstream_catalog::model::{ChannelId, VChannel};
use millstream_dataflow::storage::{Archive, Keep, StartShard, Storage};
use millstream_store::{Fault as FileFault, MemoryFiles, Store};
use parking_lot::Mutex;

use crate::manifest::{Failure, Manifest};
use crate::requests::{CHANNELS, PLACES, schema};

/// How long rows that ended stay readable, in milliseconds of the simulated clock.
const RETENTION_MS: u64 = 100;

/// Checkpoints and failures.
#[derive(Default)]
struct State {
    /// All checkpoints of each channel, which only ever move forward.
    checkpoints: Vec<Vec<Checkpoint>>,
    /// The operation on files that fails next, or failed last.
    file_failure: u64,
}

/// Files, manifest and checkpoints.
pub(crate) struct Files {
    store: Store,
    files: MemoryFiles,
    manifest: Arc<Manifest>,
    state: Arc<Mutex<State>>,
}

impl Files {
    pub(crate) fn new() -> Files {
        let (store, files) = Store::memory();
        let checkpoints = vec![vec![Checkpoint::default()]; usize::from(CHANNELS)];
        let state = Arc::new(Mutex::new(State { checkpoints, file_failure: 0 }));
        let manifest = Arc::<Manifest>::default();
        manifest.set_keep(Keep { retention_ms: RETENTION_MS, iterator_ms: 0, auto: true });
        Files { store, files, manifest, state }
    }

    /// What a process starts from.
    pub(crate) fn storage(&self) -> Storage {
        self.end_file_failure();
        let mut shards = Vec::new();
        for place in &PLACES {
            for (shard, &channel) in (0u16..).zip(place.channels) {
                let vchannel = VChannel { collection: place.id, shard };
                let stored = self.manifest.stored(vchannel);
                shards.push(StartShard { vchannel, channel, schema: schema(place.by_key), stored });
            }
        }
        let archive = Arc::clone(&self.manifest) as Arc<dyn Archive>;
        Storage { store: self.store.clone(), archive, shards }
    }

    /// A checkpoint of each channel that was kept: the last one, or one before it whose successor
    /// was not kept in time.
    pub(crate) fn checkpoints(&self, mut choose: impl FnMut(usize) -> usize) -> Vec<Checkpoint> {
        let state = self.state.lock();
        let last = |all: &Vec<Checkpoint>| all[choose(all.len())];
        state.checkpoints.iter().map(last).collect()
    }

    /// Compactions that happened.
    pub(crate) fn compactions(&self) -> u64 {
        self.manifest.compactions()
    }

    /// Keeps the checkpoints that the workers report.
    pub(crate) fn on_checkpoint(&self) -> Box<dyn Fn(ChannelId, Checkpoint) + Send + Sync> {
        let state = Arc::clone(&self.state);
        Box::new(move |channel, checkpoint| {
            let all = &mut state.lock().checkpoints[usize::from(channel.0)];
            if all.last().is_none_or(|last| last.seq < checkpoint.seq) {
                all.push(checkpoint);
            }
        })
    }

    /// Lets one of the next operations on files or on the manifest fail.
    pub(crate) fn fail(&self, choice: u64) {
        self.end_file_failure();
        let operation = self.files.operations() + 1 + choice / 4 % 5;
        match choice % 4 {
            0 => self.manifest.set_failure(Some(Failure::Refused)),
            1 => self.manifest.set_failure(Some(Failure::Unanswered)),
            fault => {
                let fault = if fault == 2 { FileFault::Full } else { FileFault::Io };
                self.files.fail_at(operation, fault);
                self.state.lock().file_failure = operation;
            }
        }
    }

    /// Lets the operation fail that should, if it did not come: a process that starts reads files,
    /// and one that cannot be read stops its channel, which is not what is looked at here.
    fn end_file_failure(&self) {
        let last = self.state.lock().file_failure;
        while self.files.operations() < last {
            // It may be the one that fails.
            let _ = self.store.list_files("");
        }
    }

    /// Ends all failures, and says how often shards were written out and how often that failed.
    pub(crate) fn heal(&self) -> (u64, u64) {
        self.end_file_failure();
        self.manifest.set_failure(None);
        self.manifest.counts()
    }
}
