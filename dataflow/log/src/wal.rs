//! `Wal`: the embedded log, a folder of files for each channel.
//!
//! A channel's folder holds files of about 64 MiB, named `<first sequence>-<salt>.wal`. A file is a
//! 32-byte header and then frames, each one entry. The next sequence follows from file to file.
//!
//! | offset | bytes | file header | frame header |
//! |---|---|---|---|
//! | 0 | 4 | magic `MSWF` | magic `MSWL` |
//! | 4 | 2 | version, 1 | version, 1 |
//! | 6 | 2 | channel | 0 |
//! | 8 | 8 | first sequence | sequence |
//! | 16 | 8 | salt | length of the payload (4), CRC32C of the payload (4) |
//! | 24 | 4 | 0 | 0 |
//! | 28 | 4 | CRC32C of bytes 0 to 28, continued over the salt | the same |
//!
//! Payloads are padded to 8 bytes. The salt is different for each file and never leaves it, so
//! bytes that a client sent cannot be taken for a frame.
//!
//! **Invariant.** A frame is written only after the one before is on stable storage, so a crash
//! can tear at most the last frame. Opening cuts a torn last frame off and syncs before anything
//! is served; a bad frame with a good one behind it is damage, and the log refuses to open.
//! An entry is delivered and acknowledged only after its fdatasync.
//!
//! **Absent on purpose.** No timer: nothing runs while nothing is appended. No second attempt at a
//! failed write or sync, whose pages may be lost while a retry reports success: the process ends.
//! Damage to the very last frame alone looks like a torn write and cannot be told from it.

mod channel;
mod file;
mod format;
mod recover;
mod replay;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use millstream_catalog::model::{ChannelId, Fault, Timestamp};

use crate::entry::Entry;
use crate::inbox::Inbox;
use crate::log::{AppendDone, AppendError, Log, MsgId};
use channel::Channel;

/// Ends the process: called with the reason when a write or sync fails.
pub type Fatal = Arc<dyn Fn(&str) + Send + Sync>;
/// Makes a file durable.
pub type SyncFile = Arc<dyn Fn(&File, SyncKind) -> io::Result<()> + Send + Sync>;

/// What has to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncKind {
    /// The bytes of a frame, and what it takes to find them.
    Data,
    /// A file with all that is known about it, or a folder with its names.
    All,
}

/// How a [`Wal`] works.
#[derive(Clone)]
pub struct WalOptions {
    /// Largest entry, in bytes.
    pub entry_bytes_max: usize,
    /// A file that has this many bytes is followed by another.
    pub file_bytes_max: u64,
    /// Space reserved at once at the end of a file, in bytes.
    pub reserve_bytes: u64,
    /// What happens when the disk fails. If it returns, the channel is dead.
    pub on_fatal: Fatal,
    /// fdatasync and fsync, or what a test puts in their place.
    pub sync: SyncFile,
}

impl Default for WalOptions {
    fn default() -> WalOptions {
        WalOptions {
            entry_bytes_max: 1 << 20,
            file_bytes_max: 64 << 20,
            reserve_bytes: 4 << 20,
            on_fatal: Arc::new(|reason| {
                tracing::error!(reason, "the log cannot continue");
                std::process::abort();
            }),
            sync: Arc::new(|file, kind| match kind {
                SyncKind::Data => Ok(rustix::fs::fdatasync(file)?),
                SyncKind::All => file.sync_all(),
            }),
        }
    }
}

/// The embedded log.
pub struct Wal {
    channels: Vec<Arc<Channel>>,
    options: WalOptions,
    /// Held to keep other processes out.
    _lock: File,
}

impl Wal {
    /// Opens or creates the log in a folder, with a fixed number of channels. Reads every file
    /// once.
    ///
    /// # Errors
    /// When another process has it open, when the disk fails, and for damage that is no torn last
    /// write; the text names file and offset. Nothing is deleted then.
    pub fn open(folder: &Path, channels: u16, options: WalOptions) -> Result<Arc<Wal>, Fault> {
        let fault = |e: io::Error| Fault::internal(format!("log {}: {e}", folder.display()));
        std::fs::create_dir_all(folder).map_err(fault)?;
        let lock = File::create(folder.join("lock")).map_err(fault)?;
        if rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_err() {
            let text = format!("log {}: another process has it open", folder.display());
            return Err(Fault::internal(text));
        }
        let open = |channel: u16| Channel::open(folder, ChannelId(channel), &options);
        // Two at a time: opening is reading and checksums.
        let (left, right) = std::thread::scope(|scope| {
            let middle = channels / 2;
            let left = scope.spawn(move || (0..middle).map(open).collect::<Result<Vec<_>, _>>());
            let right = (middle..channels).map(open).collect::<Result<Vec<_>, _>>();
            (left.join(), right)
        });
        let mut all = left.unwrap_or_else(|_| Err(Fault::internal("opening the log panicked")))?;
        all.extend(right?);
        file::sync_folder(folder, &options.sync).map_err(fault)?;
        Ok(Arc::new(Wal { channels: all, options, _lock: lock }))
    }

    fn channel(&self, channel: ChannelId) -> Result<&Arc<Channel>, Fault> {
        let found = self.channels.get(usize::from(channel.0));
        found.ok_or_else(|| Fault::internal(format!("the log has no channel {channel}")))
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        for channel in &self.channels {
            channel.stop();
        }
    }
}

#[async_trait]
impl Log for Wal {
    fn channels(&self) -> u16 {
        u16::try_from(self.channels.len()).unwrap_or(u16::MAX)
    }

    fn exclusive(&self) -> bool {
        true
    }

    fn entry_bytes_max(&self) -> usize {
        self.options.entry_bytes_max
    }

    fn append(&self, channel: ChannelId, entry: Entry, _id: MsgId, done: AppendDone) {
        match self.channel(channel) {
            Ok(channel) => channel.append(entry, done),
            Err(fault) => done(Err(AppendError::Refused(fault.message))),
        }
    }

    fn tick(&self, channel: ChannelId, ts: Timestamp) {
        if let Ok(channel) = self.channel(channel) {
            channel.tick(ts);
        }
    }

    async fn subscribe(
        &self,
        channel: ChannelId,
        after_seq: u64,
        inbox: Arc<Inbox>,
    ) -> Result<(), Fault> {
        self.channel(channel)?.subscribe(after_seq, inbox)
    }

    async fn bounds(&self, channel: ChannelId) -> Result<(u64, u64), Fault> {
        Ok(self.channel(channel)?.bounds())
    }

    async fn truncate(&self, channel: ChannelId, through_seq: u64) -> Result<(), Fault> {
        self.channel(channel)?.truncate(through_seq)
    }

    async fn check(&self) -> Result<(), Fault> {
        self.channels.iter().try_for_each(|channel| channel.check())
    }
}
