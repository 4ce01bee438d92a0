//! Files that have no name yet, and folders of files that have.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::FileInfo;
use crate::checksum::{Summed, Written};
use crate::error::WriteError;

/// The folder of files that are being written; no name in the store begins with a dot.
pub(super) const PARTIAL: &str = ".partial";
/// Small writes are gathered up to this size.
const BUFFER_BYTES: usize = 256 << 10;

/// A file under a name that nobody looks for; gone when dropped before it was published.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) file: File,
    pub(super) path: PathBuf,
    published: bool,
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.published {
            // If this fails the next start deletes it.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Partial {
    /// Creates a file and locks it. Somebody who starts at this moment may think it was left
    /// behind until it is locked; then it has no name any more and another one is made.
    pub(super) fn create(folder: &Path) -> io::Result<Partial> {
        loop {
            let path = folder.join(format!("{:016x}", RandomState::new().hash_one(0)));
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file?,
            };
            let partial = Partial { file, path, published: false };
            partial.file.lock()?;
            if partial.file.metadata()?.nlink() > 0 {
                return Ok(partial);
            }
        }
    }

    /// Gives the file its name, unless there is a file of this name.
    pub(super) fn publish(&mut self, path: &Path) -> io::Result<()> {
        match renameat_with(CWD, &self.path, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => self.published = true,
            // A file system that cannot: a second name, and this one goes when dropped.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                fs::hard_link(&self.path, path)?;
            }
            Err(e) => return Err(e.into()),
        }
        Ok(())
    }

    /// Gives the file its name, in place of another one of this name.
    pub(super) fn replace(&mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.published = true;
        Ok(())
    }

    /// Fills the file by way of a buffer; what was written.
    pub(super) fn fill(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), WriteError>,
    ) -> Result<Written, WriteError> {
        let mut buffer = BufWriter::with_capacity(BUFFER_BYTES, &self.file);
        let mut out = Summed::new(&mut buffer);
        write(&mut out)?;
        out.flush()?;
        Ok(out.written())
    }
}

/// Deletes what processes that are gone were writing.
pub(super) fn remove_abandoned(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let file = match OpenOptions::new().write(true).open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        match file.try_lock() {
            Ok(()) => fs::remove_file(&path)?,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(e)) => return Err(e),
        }
    }
    Ok(())
}

/// All files below a folder whose names in it begin with `prefix`, sorted by name.
pub(super) fn list_folder(root: &Path, prefix: &str) -> io::Result<Vec<FileInfo>> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(root.join(&folder)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let Ok(last) = entry.file_name().into_string() else { continue };
            if last.starts_with('.') {
                continue;
            }
            let name = format!("{folder}{last}");
            if entry.file_type()?.is_dir() {
                let below = format!("{name}/");
                if below.starts_with(prefix) || prefix.starts_with(&below) {
                    folders.push(below);
                }
            } else if name.starts_with(prefix) {
                match entry.metadata() {
                    Ok(metadata) => found.push(FileInfo { name, bytes: metadata.len() }),
                    // Deleted meanwhile.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(e),
                }
            }
        }
    }
    found.sort_unstable();
    Ok(found)
}
