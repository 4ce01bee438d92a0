//! `Channel`: one channel of the embedded log, with its writing thread and its subscribers.
//!
//! The thread is started by the first append and sleeps while there is none.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use millstream_catalog::fail;
use millstream_catalog::model::{ChannelId, Fault, Timestamp};
use parking_lot::{Condvar, Mutex};

use super::WalOptions;
use super::file::{ActiveFile, WriteFailure, sync_folder};
use super::format::FileHeader;
use super::recover::{path_of, recover};
use super::replay::Replay;
use crate::entry::Entry;
use crate::inbox::{Delivery, Inbox};
use crate::log::{AppendDone, AppendError};
use crate::memory::out_of_reach;

/// A file that has fewer bytes is not left for another when nobody needs it any more.
const LEAVE_BYTES_MIN: u64 = 4 << 20;

#[derive(Default)]
struct Queue {
    jobs: VecDeque<(Entry, AppendDone)>,
    stop: bool,
    /// Whether everything was truncated that was written.
    spent: bool,
    thread: Option<JoinHandle<()>>,
    /// The file to write to, until the thread takes it.
    active: Option<ActiveFile>,
}

struct State {
    files: Vec<FileHeader>,
    last_seq: u64,
    /// What was truncated.
    through_seq: u64,
    live: Vec<Arc<Inbox>>,
    last_tick: Option<Timestamp>,
    broken: Option<String>,
}

impl State {
    fn first_seq(&self) -> u64 {
        self.files.first().map_or(self.last_seq + 1, |file| file.first_seq)
    }

    /// Adds a subscriber that has everything up to the last entry.
    fn join(&mut self, inbox: &Arc<Inbox>) {
        self.live.retain(|inbox| !inbox.is_closed());
        self.live.push(Arc::clone(inbox));
        if let Some(ts) = self.last_tick {
            inbox.push_now(Delivery::Tick(ts));
        }
    }
}

/// One channel.
pub(super) struct Channel {
    id: ChannelId,
    folder: PathBuf,
    options: WalOptions,
    queue: Mutex<Queue>,
    wake: Condvar,
    state: Mutex<State>,
}

impl Channel {
    /// Opens the channel's folder under that of the log.
    pub(super) fn open(
        log: &Path,
        id: ChannelId,
        options: &WalOptions,
    ) -> Result<Arc<Channel>, Fault> {
        let folder = log.join(format!("{:03}", id.0));
        let recovered = recover(&folder, id.0, &options.sync)?;
        let state = State {
            files: recovered.files,
            last_seq: recovered.last_seq,
            through_seq: 0,
            live: Vec::new(),
            last_tick: None,
            broken: None,
        };
        Ok(Arc::new(Channel {
            id,
            folder,
            options: options.clone(),
            queue: Mutex::new(Queue { active: recovered.active, ..Queue::default() }),
            wake: Condvar::new(),
            state: Mutex::new(state),
        }))
    }

    /// Queues an entry for the thread.
    pub(super) fn append(self: &Arc<Self>, entry: Entry, done: AppendDone) {
        let mut queue = self.queue.lock();
        if queue.thread.is_none() && !queue.stop {
            let (channel, active) = (Arc::clone(self), queue.active.take());
            let thread = std::thread::Builder::new().name(format!("log-{:03}", self.id.0));
            match thread.spawn(move || channel.run(active)) {
                Ok(thread) => queue.thread = Some(thread),
                Err(e) => {
                    drop(queue);
                    // The file went with the closure: this channel cannot be written any more.
                    self.fail(&format!("starting a thread of the log: {e}"));
                    done(Err(AppendError::Refused(e.to_string())));
                    return;
                }
            }
        }
        if queue.stop {
            drop(queue);
            done(Err(AppendError::Refused("the log is closed".into())));
            return;
        }
        queue.jobs.push_back((entry, done));
        drop(queue);
        self.wake.notify_one();
    }

    /// Stops the thread and waits for it, unless this is it.
    pub(super) fn stop(&self) {
        let thread = {
            let mut queue = self.queue.lock();
            queue.stop = true;
            queue.thread.take()
        };
        self.wake.notify_one();
        if let Some(thread) = thread
            && thread.thread().id() != std::thread::current().id()
        {
            // A panic of the thread was told where it happened.
            let _ = thread.join();
        }
    }

    fn run(&self, mut active: Option<ActiveFile>) {
        loop {
            let next = {
                let mut queue = self.queue.lock();
                while queue.jobs.is_empty() && !queue.stop && !queue.spent {
                    self.wake.wait(&mut queue);
                }
                let spent = std::mem::take(&mut queue.spent);
                match queue.jobs.pop_front() {
                    None if !spent => return,
                    job => job,
                }
            };
            let Some((entry, done)) = next else {
                self.leave(&mut active);
                continue;
            };
            // Bound first: the lock must be gone before `done`, which may call back.
            let broken = self.state.lock().broken.clone();
            if let Some(reason) = broken {
                done(Err(AppendError::Refused(reason)));
                continue;
            }
            match self.write(&mut active, &entry) {
                Ok(seq) => {
                    self.publish(seq, entry);
                    done(Ok(seq));
                }
                Err(WriteFailure::Full(text)) => done(Err(AppendError::Refused(text))),
                Err(WriteFailure::Broken(text)) => {
                    self.fail(&text);
                    done(Err(AppendError::Unknown(text)));
                }
            }
        }
    }

    fn write(&self, active: &mut Option<ActiveFile>, entry: &Entry) -> Result<u64, WriteFailure> {
        let seq = self.state.lock().last_seq + 1;
        let past = |file: &ActiveFile| file.is_past(entry, self.options.file_bytes_max);
        if active.as_ref().is_none_or(past) {
            self.begin_file(active, seq)?;
        }
        match active {
            Some(file) => file.append(seq, entry, &self.options)?,
            None => return Err(WriteFailure::Full("there is no file".into())),
        }
        Ok(seq)
    }

    /// Puts an empty file in the place of the active one.
    fn begin_file(&self, active: &mut Option<ActiveFile>, seq: u64) -> Result<(), WriteFailure> {
        if let Some(old) = active.as_mut() {
            fail::point("log.before_rotate");
            let trimmed = old.trim();
            fail::point("log.trimmed");
            trimmed.map_err(|e| WriteFailure::Broken(format!("trimming a log file: {e}")))?;
        }
        let new = ActiveFile::create(&self.folder, self.id.0, seq, &self.options.sync)?;
        self.state.lock().files.push(new.header());
        *active = Some(new);
        Ok(())
    }

    /// Leaves the active file for another when all that it holds is truncated, so that it goes too.
    fn leave(&self, active: &mut Option<ActiveFile>) {
        let (last_seq, through_seq) = {
            let state = self.state.lock();
            if state.broken.is_some() {
                return;
            }
            (state.last_seq, state.through_seq)
        };
        let large = active.as_ref().is_some_and(|file| file.bytes() >= LEAVE_BYTES_MIN);
        if last_seq > through_seq || !large {
            return;
        }
        match self.begin_file(active, last_seq + 1) {
            Ok(()) => {
                if let Err(fault) = self.delete_files(through_seq) {
                    tracing::warn!(%fault, "a log file that nobody needs is not deleted yet");
                }
            }
            Err(WriteFailure::Full(text)) => tracing::warn!(text, "a log file is kept for now"),
            Err(WriteFailure::Broken(text)) => self.fail(&text),
        }
    }

    /// Delivers a durable entry. Waits while an inbox is full: that is the backpressure.
    fn publish(&self, seq: u64, entry: Entry) {
        let inboxes = {
            let mut state = self.state.lock();
            state.last_seq = seq;
            state.live.retain(|inbox| !inbox.is_closed());
            state.live.clone()
        };
        for inbox in inboxes {
            inbox.push_blocking(Delivery::Entry { seq, entry: entry.clone() });
        }
    }

    fn fail(&self, reason: &str) {
        let reason = format!("channel {} of the log: {reason}", self.id);
        let inboxes = {
            let mut state = self.state.lock();
            state.broken = Some(reason.clone());
            std::mem::take(&mut state.live)
        };
        (self.options.on_fatal)(&reason);
        for inbox in inboxes {
            inbox.push_now(Delivery::Broken(reason.clone()));
        }
    }

    /// Delivers a tick behind everything appended so far, all of which is durable.
    pub(super) fn tick(&self, ts: Timestamp) {
        let mut state = self.state.lock();
        if state.broken.is_some() {
            return;
        }
        state.last_tick = state.last_tick.max(Some(ts));
        if let [only] = state.live.as_slice() {
            let only = Arc::clone(only);
            drop(state);
            only.push_now(Delivery::Tick(ts));
            return;
        }
        let inboxes = state.live.clone();
        drop(state);
        for inbox in inboxes {
            inbox.push_now(Delivery::Tick(ts));
        }
    }

    /// First and last sequence.
    pub(super) fn bounds(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.first_seq(), state.last_seq)
    }

    /// Delivers what comes after a sequence: from the files on a thread of its own until it has
    /// caught up, and live from then on.
    pub(super) fn subscribe(
        self: &Arc<Self>,
        after_seq: u64,
        inbox: Arc<Inbox>,
    ) -> Result<(), Fault> {
        {
            let mut state = self.state.lock();
            if let Some(reason) = &state.broken {
                return Err(Fault::internal(reason.clone()));
            }
            if after_seq + 1 < state.first_seq() || after_seq > state.last_seq {
                return Err(out_of_reach(self.id, after_seq, state.first_seq(), state.last_seq));
            }
            if after_seq == state.last_seq {
                state.join(&inbox);
                return Ok(());
            }
        }
        let channel = Arc::clone(self);
        let thread = std::thread::Builder::new().name(format!("replay-{:03}", self.id.0));
        let spawned = thread.spawn(move || channel.catch_up(after_seq + 1, &inbox));
        spawned.map_err(|e| Fault::internal(format!("starting a thread of the log: {e}")))?;
        Ok(())
    }

    fn catch_up(&self, next_seq: u64, inbox: &Arc<Inbox>) {
        let mut replay = Replay::new(&self.folder, next_seq);
        loop {
            // What is durable is written, so it can be read while more is appended behind it.
            let (files, last_seq) = {
                let mut state = self.state.lock();
                if let Some(reason) = &state.broken {
                    inbox.push_now(Delivery::Broken(reason.clone()));
                    return;
                }
                if replay.next_seq() == state.last_seq + 1 {
                    state.join(inbox);
                    return;
                }
                (state.files.clone(), state.last_seq)
            };
            let mut fresh = replay.refresh();
            while replay.next_seq() <= last_seq {
                let seq = replay.next_seq();
                let read = std::mem::replace(&mut fresh, Ok(())).and_then(|()| replay.read(&files));
                let delivery = match read {
                    Ok(bytes) => Delivery::Entry { seq, entry: Entry::stored(bytes) },
                    Err(fault) => {
                        tracing::error!(%fault, "the log cannot be read");
                        inbox.push_now(Delivery::Broken(fault.message));
                        return;
                    }
                };
                if !inbox.push_blocking(delivery) {
                    return;
                }
            }
        }
    }

    /// Deletes the files that hold nothing after a sequence. The last one stays while it is small;
    /// otherwise it is deleted soon, when another is there.
    pub(super) fn truncate(&self, through_seq: u64) -> Result<(), Fault> {
        self.delete_files(through_seq)?;
        let spent = {
            let mut state = self.state.lock();
            state.through_seq = state.through_seq.max(through_seq);
            state.through_seq >= state.last_seq
        };
        if spent {
            self.queue.lock().spent = true;
            self.wake.notify_one();
        }
        Ok(())
    }

    fn delete_files(&self, through_seq: u64) -> Result<(), Fault> {
        let gone: Vec<FileHeader> = {
            let mut state = self.state.lock();
            let behind = |pair: &[FileHeader]| pair[1].first_seq <= through_seq.saturating_add(1);
            let count = state.files.windows(2).take_while(|pair| behind(pair)).count();
            state.files.drain(..count).collect()
        };
        if gone.is_empty() {
            return Ok(());
        }
        // From the oldest on, so that a crash in between leaves no gap.
        for file in &gone {
            let path = path_of(&self.folder, file);
            fail::point("log.before_remove");
            std::fs::remove_file(&path)
                .map_err(|e| Fault::internal(format!("log {}: {e}", path.display())))?;
            fail::point("log.after_remove");
            sync_folder(&self.folder, &self.options.sync)
                .map_err(|e| Fault::internal(format!("log {}: {e}", self.folder.display())))?;
        }
        Ok(())
    }

    /// Whether the channel takes appends and its folder can be synced.
    pub(super) fn check(&self) -> Result<(), Fault> {
        if let Some(reason) = &self.state.lock().broken {
            return Err(Fault::internal(reason.clone()));
        }
        sync_folder(&self.folder, &self.options.sync)
            .map_err(|e| Fault::internal(format!("log {}: {e}", self.folder.display())))
    }
}
