//! `Store`: files under unique names, each written once and as a whole.

mod local;
mod memory;
mod name;
mod partial;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

pub use memory::{Fault, MemoryFiles};

use crate::FileRef;
use crate::checksum::Verify;
use crate::error::{StoreError, WriteError};
use crate::map::Access;
use local::{Local, sync_all};
use name::check_name;

/// A file that is in the store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileInfo {
    /// Name in the store.
    pub name: String,
    /// Length in bytes.
    pub bytes: u64,
}

/// Where sealed files are kept. Clones are the same store.
///
/// Names are `/`-separated parts of letters, digits, `.`, `_`, `-` and `=`, none of which begins
/// with `.`; a name is used for one file, ever. Every call blocks its thread until it is done: call
/// from a pool, not from an asynchronous task.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Arc<Backend>,
}

#[derive(Debug)]
enum Backend {
    Local(Local),
    Memory(MemoryFiles),
}

impl Store {
    /// Opens a store by its address: a folder, or `file://` and a folder, which is created.
    pub fn open(address: &str) -> Result<Store, StoreError> {
        let folder = match address.split_once("://") {
            Some(("file", folder)) => folder,
            Some(_) => {
                let text =
                    format!("{address:?} is no object store: give a folder or file://FOLDER");
                return Err(StoreError::Input(text));
            }
            None => address,
        };
        if folder.is_empty() {
            return Err(StoreError::Input(format!("{address:?} names no folder")));
        }
        let local = Local::open(Path::new(folder), sync_all())?;
        Ok(Store { backend: Arc::new(Backend::Local(local)) })
    }

    /// A store in memory for tests and simulation, and the handle by which to break it.
    pub fn memory() -> (Store, MemoryFiles) {
        let files = MemoryFiles::default();
        (Store { backend: Arc::new(Backend::Memory(files.clone())) }, files)
    }

    /// Writes a file, which is on stable storage, and only then under its name, when this returns.
    /// `write` gets it unbuffered in front of large pieces and buffered for small ones.
    pub fn put_file(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<(), WriteError>,
    ) -> Result<FileRef, StoreError> {
        check_name(name)?;
        match &*self.backend {
            Backend::Local(local) => local.put(name, write),
            Backend::Memory(memory) => memory.put(name, write),
        }
    }

    /// The bytes of a file after checking its length and checksum, which reads all of it.
    pub fn open_file(&self, file: &FileRef, access: Access) -> Result<Bytes, StoreError> {
        let bytes = self.open_trusted(file, access)?;
        file.verify(&bytes)?;
        Ok(bytes)
    }

    /// The bytes of a file after checking its length only, so that a mapped one is not read: for
    /// files that this process wrote, or checked before.
    pub fn open_trusted(&self, file: &FileRef, access: Access) -> Result<Bytes, StoreError> {
        check_name(&file.name)?;
        let bytes = match &*self.backend {
            Backend::Local(local) => local.open_file(&file.name, access)?,
            Backend::Memory(memory) => memory.open_file(&file.name)?,
        };
        file.verify_length(bytes.len() as u64)?;
        Ok(bytes)
    }

    /// Deletes a file; it is no error if there is none. Whoever has it open keeps its bytes.
    pub fn delete_file(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        match &*self.backend {
            Backend::Local(local) => local.delete(name),
            Backend::Memory(memory) => memory.delete(name),
        }
    }

    /// All files whose names begin with `prefix`, sorted by name.
    pub fn list_files(&self, prefix: &str) -> Result<Vec<FileInfo>, StoreError> {
        match &*self.backend {
            Backend::Local(local) => local.list(prefix),
            Backend::Memory(memory) => memory.list(prefix),
        }
    }
}
