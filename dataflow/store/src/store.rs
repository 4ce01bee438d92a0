//! `Store`: files under unique names, each written once and as a whole.

mod cache;
mod local;
mod memory;
mod name;
mod partial;
mod remote;
mod s3;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::fail;

pub use memory::{Fault, MemoryFiles};
pub use s3::S3Options;

use crate::FileRef;
use crate::checksum::Verify;
use crate::error::{StoreError, WriteError};
use crate::map::Access;
use local::{Local, sync_all};
use name::check_name;
use remote::Remote;

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
    Remote(Remote),
}

/// What a store needs beyond its address; a local one needs nothing.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Folder for local copies of remote files, which is for one process and one store alone.
    pub cache_dir: Option<PathBuf>,
    /// Bytes of local copies at most; what is in use at once may be more.
    pub cache_bytes_max: u64,
    /// How to reach a bucket.
    pub s3: S3Options,
}

impl Default for StoreOptions {
    fn default() -> Self {
        StoreOptions { cache_dir: None, cache_bytes_max: 16 << 30, s3: S3Options::default() }
    }
}

impl Store {
    /// Opens a store that needs nothing but its address, which a local one does.
    pub fn open(address: &str) -> Result<Store, StoreError> {
        Store::open_with(address, &StoreOptions::default())
    }

    /// Opens a store by its address: a folder, or `file://` and a folder, which is created; or
    /// `s3://BUCKET` or `s3://BUCKET/PREFIX`, which needs a folder for local copies, and which is
    /// not asked for anything yet.
    pub fn open_with(address: &str, options: &StoreOptions) -> Result<Store, StoreError> {
        let refuse = |text: &str| Err(StoreError::Input(format!("{address} {text}")));
        let backend = match address.split_once("://") {
            None if !address.is_empty() => {
                Backend::Local(Local::open(Path::new(address), sync_all())?)
            }
            Some(("file", folder)) if !folder.is_empty() => {
                Backend::Local(Local::open(Path::new(folder), sync_all())?)
            }
            None | Some(("file", _)) => return refuse("names no folder"),
            Some(("s3", place)) => {
                let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
                if bucket.is_empty() {
                    return refuse("names no bucket");
                }
                let Some(folder) = &options.cache_dir else {
                    return refuse("needs a folder for local copies");
                };
                let objects = s3::bucket(bucket, &options.s3)?;
                let bytes_max = options.cache_bytes_max;
                Backend::Remote(Remote::open(objects, prefix, folder, bytes_max)?)
            }
            Some(_) => {
                return refuse(
                    "is no object store: give a folder, file://FOLDER or s3://BUCKET/PREFIX",
                );
            }
        };
        Ok(Store { backend: Arc::new(backend) })
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
            Backend::Remote(remote) => remote.put(name, write),
        }
    }

    /// The bytes of a file after checking its length and checksum, which reads all of it. Of a
    /// remote file a damaged local copy is fetched again.
    pub fn open_file(&self, file: &FileRef, access: Access) -> Result<Bytes, StoreError> {
        self.open_as(file, access, true)
    }

    /// The bytes of a file after checking its length only, so that a mapped one is not read: for
    /// files that this process wrote, or checked before.
    pub fn open_trusted(&self, file: &FileRef, access: Access) -> Result<Bytes, StoreError> {
        self.open_as(file, access, false)
    }

    fn open_as(&self, file: &FileRef, access: Access, check: bool) -> Result<Bytes, StoreError> {
        check_name(&file.name)?;
        let bytes = match &*self.backend {
            Backend::Local(local) => local.open_file(&file.name, access)?,
            Backend::Memory(memory) => memory.open_file(&file.name)?,
            Backend::Remote(remote) => return remote.open_file(file, access, check),
        };
        match check {
            true => file.verify(&bytes)?,
            false => file.verify_length(bytes.len() as u64)?,
        }
        Ok(bytes)
    }

    /// The bytes of a small file as the store has them now, past all copies: for those whose checksum
    /// nobody keeps.
    pub fn read_file(&self, name: &str) -> Result<Bytes, StoreError> {
        check_name(name)?;
        match &*self.backend {
            Backend::Local(local) => local.open_file(name, Access::InMemory),
            Backend::Memory(memory) => memory.open_file(name),
            Backend::Remote(remote) => remote.read(name),
        }
    }

    /// Deletes a file; it is no error if there is none. Whoever has it open keeps its bytes.
    pub fn delete_file(&self, name: &str) -> Result<(), StoreError> {
        check_name(name)?;
        fail::point("store.before_delete");
        match &*self.backend {
            Backend::Local(local) => local.delete(name),
            Backend::Memory(memory) => memory.delete(name),
            Backend::Remote(remote) => remote.delete(name),
        }?;
        fail::point("store.after_delete");
        Ok(())
    }

    /// All files whose names begin with `prefix`, sorted by name.
    pub fn list_files(&self, prefix: &str) -> Result<Vec<FileInfo>, StoreError> {
        match &*self.backend {
            Backend::Local(local) => local.list(prefix),
            Backend::Memory(memory) => memory.list(prefix),
            Backend::Remote(remote) => remote.list(prefix),
        }
    }

    /// Asks a remote store whether it answers and is the one that it should be.
    pub fn check(&self) -> Result<(), StoreError> {
        match &*self.backend {
            Backend::Remote(remote) => remote.list("check/").map(drop),
            Backend::Local(_) | Backend::Memory(_) => Ok(()),
        }
    }

    /// Bytes of local copies of remote files; 0 for stores that need none.
    pub fn cached_bytes(&self) -> u64 {
        match &*self.backend {
            Backend::Local(_) | Backend::Memory(_) => 0,
            Backend::Remote(remote) => remote.cached_bytes(),
        }
    }
}
