//! A store in a folder.
//!
//! A file is written under `.partial`, synced, renamed to its name, and its folder synced. Whoever
//! writes holds a lock on the partial file, so what a crash leaves is found and deleted.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::fail;
use parking_lot::Mutex;

use super::FileInfo;
use super::partial::{PARTIAL, Partial, list_folder, remove_abandoned};
use crate::FileRef;
use crate::error::{StoreError, WriteError};
use crate::map::{Access, map_file};

/// Makes a file or folder durable.
pub(super) type SyncFile = Arc<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

/// The sync of the system.
pub(super) fn sync_all() -> SyncFile {
    Arc::new(File::sync_all)
}

pub(super) struct Local {
    root: PathBuf,
    /// Folders whose own names are known to be durable.
    durable: Mutex<HashSet<PathBuf>>,
    sync: SyncFile,
}

impl std::fmt::Debug for Local {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Local").field("root", &self.root).finish_non_exhaustive()
    }
}

impl Local {
    pub(super) fn open(root: &Path, sync: SyncFile) -> Result<Local, StoreError> {
        let local = Local { root: root.to_owned(), durable: Mutex::default(), sync };
        let named = |e| StoreError::io(&root.display().to_string(), e);
        local.create_root(root).map_err(named)?;
        let partial = root.join(PARTIAL);
        fs::create_dir_all(&partial).map_err(named)?;
        remove_abandoned(&partial).map_err(named)?;
        Ok(local)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        (self.sync)(&File::open(folder)?)
    }

    /// Creates the store's own folder with all above it.
    fn create_root(&self, folder: &Path) -> io::Result<()> {
        if folder.as_os_str().is_empty() || folder.is_dir() {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(Path::new(""));
        self.create_root(above)?;
        match fs::create_dir(folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        self.sync_folder(above)
    }

    /// Creates a folder below the root, and makes its name durable, whoever created it.
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        if folder == self.root || self.durable.lock().contains(folder) {
            return Ok(());
        }
        let above = folder.parent().unwrap_or(&self.root);
        self.create_folder(above)?;
        match fs::create_dir(folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => self.sync_folder(above)?,
        }
        self.durable.lock().insert(folder.to_owned());
        Ok(())
    }

    pub(super) fn put(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<(), WriteError>,
    ) -> Result<FileRef, StoreError> {
        let disk = |e| StoreError::io(name, e);
        let path = self.root.join(name);
        let folder = path.parent().unwrap_or(&self.root);
        if path.exists() {
            return Err(StoreError::Exists { name: name.to_owned() });
        }
        let mut partial = Partial::create(&self.root.join(PARTIAL)).map_err(disk)?;
        fail::point("store.partial_made");
        let written = partial.fill(write).map_err(|e| StoreError::write(name, e))?;
        fail::point("store.partial_filled");
        (self.sync)(&partial.file).map_err(disk)?;
        self.create_folder(folder).map_err(disk)?;
        fail::point("store.partial_synced");
        match partial.publish(&path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(StoreError::Exists { name: name.to_owned() });
            }
            published => published.map_err(disk)?,
        }
        fail::point("store.named");
        if let Err(e) = self.sync_folder(folder) {
            // Nobody knows whether the name lasts, and nobody has heard of it yet.
            let _ = fs::remove_file(&path);
            return Err(disk(e));
        }
        fail::point("store.after_put");
        Ok(FileRef { name: name.to_owned(), bytes: written.bytes, crc32c: written.crc32c })
    }

    pub(super) fn open_file(&self, name: &str, access: Access) -> Result<Bytes, StoreError> {
        map_file(&self.root.join(name), access).map_err(|e| StoreError::opening(name, e))
    }

    /// Not synced: a deleted file that a power loss brings back is deleted again.
    pub(super) fn delete(&self, name: &str) -> Result<(), StoreError> {
        match fs::remove_file(self.root.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StoreError::io(name, e)),
            _ => Ok(()),
        }
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<FileInfo>, StoreError> {
        list_folder(&self.root, prefix).map_err(|e| StoreError::io(&format!("{prefix:?}"), e))
    }
}
