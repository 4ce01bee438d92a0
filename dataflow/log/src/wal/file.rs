//! `ActiveFile`: the file that frames of a channel are written to.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::Path;

use millstream_catalog::fail;
use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use super::format::{FileHeader, FrameHeader, HEADER_BYTES, file_name};
use super::{SyncFile, SyncKind, WalOptions};
use crate::entry::Entry;

/// Frames below this size are written into space that was zeroed before: syncing them then changes
/// no metadata of the file, which takes half as long. Zeroing costs larger ones more than it gives.
const ZERO_FRAME_BYTES_MAX: usize = 64 << 10;
/// Bytes zeroed at once.
const ZERO_BYTES: usize = 512 << 10;
/// Entries whose pieces are shorter on average are copied together: a system call looks at each
/// piece, which takes longer than copying it.
const PIECE_BYTES_MIN: usize = 2 << 10;
/// Most pieces that one system call takes.
const PIECES_MAX: usize = 1_000;

/// Why a frame was not written.
#[derive(Debug)]
pub(super) enum WriteFailure {
    /// There is no space; nothing was written and the file is as before.
    Full(String),
    /// Nobody knows what is on the disk.
    Broken(String),
}

/// A file open for appending.
pub(super) struct ActiveFile {
    file: File,
    header: FileHeader,
    end: u64,
    reserved: u64,
    zeroed: u64,
    scratch: Vec<u8>,
}

/// Makes creations and deletions in a folder durable.
pub(super) fn sync_folder(folder: &Path, sync: &SyncFile) -> io::Result<()> {
    sync(&File::open(folder)?, SyncKind::All)
}

fn is_full(e: Errno) -> bool {
    e == Errno::NOSPC || e == Errno::DQUOT
}

impl ActiveFile {
    /// Creates the file that begins with a sequence and makes it durable.
    pub(super) fn create(
        folder: &Path,
        channel: u16,
        first_seq: u64,
        sync: &SyncFile,
    ) -> Result<ActiveFile, WriteFailure> {
        // Only has to differ from file to file and be unknown to clients.
        let salt = RandomState::new().hash_one(first_seq);
        let header = FileHeader { channel, first_seq, salt };
        let path = folder.join(file_name(first_seq, salt));
        let create = || {
            let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
            file.write_all_at(&header.encode(), 0)?;
            fail::point("log.file_written");
            sync(&file, SyncKind::All)?;
            sync_folder(folder, sync)?;
            fail::point("log.file_made");
            Ok(file)
        };
        let file = create().map_err(|e: io::Error| {
            let text = format!("creating {}: {e}", path.display());
            if !Errno::from_io_error(&e).is_some_and(is_full) {
                return WriteFailure::Broken(text);
            }
            // It holds no frame, and a later attempt uses another name.
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => {
                    WriteFailure::Broken(format!("{text}; removing it: {e}"))
                }
                _ => WriteFailure::Full(text),
            }
        })?;
        Ok(ActiveFile::resume(file, header, HEADER_BYTES as u64, HEADER_BYTES as u64))
    }

    /// Goes on at `end` in a file whose first `length` bytes are allocated.
    pub(super) fn resume(file: File, header: FileHeader, end: u64, length: u64) -> ActiveFile {
        ActiveFile { file, header, end, reserved: length, zeroed: end, scratch: Vec::new() }
    }

    /// First sequence and salt.
    pub(super) fn header(&self) -> FileHeader {
        self.header
    }

    /// Bytes of the file that are in use.
    pub(super) fn bytes(&self) -> u64 {
        self.end
    }

    /// Whether a frame for this entry would make the file longer than it should be.
    pub(super) fn is_past(&self, entry: &Entry, bytes_max: u64) -> bool {
        let bytes = HEADER_BYTES + entry.len();
        self.end > HEADER_BYTES as u64 && self.end + bytes as u64 > bytes_max
    }

    /// Gives back what was reserved and not used.
    pub(super) fn trim(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        (self.reserved, self.zeroed) = (self.end, self.end);
        Ok(())
    }

    /// Writes a frame and makes it durable.
    pub(super) fn append(
        &mut self,
        seq: u64,
        entry: &Entry,
        options: &WalOptions,
    ) -> Result<(), WriteFailure> {
        let Ok(length) = u32::try_from(entry.len()) else {
            return Err(WriteFailure::Full("an entry of more than 4 GiB".into()));
        };
        let crc = entry.chunks().iter().fold(0, |crc, chunk| crc32c::crc32c_append(crc, chunk));
        let frame = FrameHeader { seq, length, crc };
        self.reserve(frame.frame_bytes(), options.reserve_bytes)?;
        let broken = |what: &str, e: io::Error| WriteFailure::Broken(format!("{what}: {e}"));
        fail::point("log.before_write");
        self.write_frame(&frame, entry).map_err(|e| broken("writing to the log", e))?;
        fail::point("log.before_sync");
        (options.sync)(&self.file, SyncKind::Data).map_err(|e| broken("syncing the log", e))?;
        fail::point("log.after_sync");
        self.end += frame.frame_bytes() as u64;
        Ok(())
    }

    /// Allocates the space of a frame, so that a full disk is found before anything is written.
    fn reserve(&mut self, bytes: usize, at_once: u64) -> Result<(), WriteFailure> {
        let end = self.end + bytes as u64;
        if end > self.reserved {
            let more = (end - self.reserved).max(at_once);
            let mode = FallocateFlags::empty();
            let exact =
                || rustix::fs::fallocate(&self.file, mode, self.reserved, end - self.reserved);
            match rustix::fs::fallocate(&self.file, mode, self.reserved, more) {
                Ok(()) => self.reserved += more,
                Err(e) if is_full(e) && exact().is_ok() => self.reserved = end,
                Err(e) if is_full(e) => {
                    return Err(WriteFailure::Full(format!("reserving {bytes} bytes: {e}")));
                }
                // A file system without reservation: the write itself allocates.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.reserved = end,
                Err(e) => {
                    return Err(WriteFailure::Broken(format!("reserving {bytes} bytes: {e}")));
                }
            }
        }
        if bytes < ZERO_FRAME_BYTES_MAX && end > self.zeroed {
            let to = (self.end + ZERO_BYTES as u64).min(self.reserved);
            let from = self.zeroed.max(self.end);
            let zeros = vec![0; usize::try_from(to.saturating_sub(from)).unwrap_or(0)];
            let written = self.file.write_all_at(&zeros, from);
            written.map_err(|e| WriteFailure::Broken(format!("zeroing the log: {e}")))?;
            self.zeroed = to;
        }
        Ok(())
    }

    fn write_frame(&mut self, frame: &FrameHeader, entry: &Entry) -> io::Result<()> {
        let head = frame.encode(self.header.salt);
        let pad = [0; 8];
        let pad = &pad[..frame.frame_bytes() - HEADER_BYTES - entry.len()];
        let chunks = entry.chunks();
        if entry.len() < PIECE_BYTES_MIN * chunks.len().max(8) {
            self.scratch.clear();
            self.scratch.extend_from_slice(&head);
            for chunk in chunks {
                self.scratch.extend_from_slice(chunk);
            }
            self.scratch.extend_from_slice(pad);
            return self.file.write_all_at(&self.scratch, self.end);
        }
        let mut pieces = Vec::with_capacity(chunks.len() + 2);
        pieces.push(IoSlice::new(&head));
        pieces.extend(chunks.iter().map(|chunk| IoSlice::new(chunk)));
        pieces.push(IoSlice::new(pad));
        let mut pieces = pieces.as_mut_slice();
        let (mut at, end) = (self.end, self.end + frame.frame_bytes() as u64);
        while at < end {
            let some = &pieces[..pieces.len().min(PIECES_MAX)];
            match rustix::io::pwritev(&self.file, some, at) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    at += written as u64;
                    IoSlice::advance_slices(&mut pieces, written);
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}
