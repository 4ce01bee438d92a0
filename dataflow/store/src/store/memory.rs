//! A store in memory that fails where it is told to: the twin of the others in tests.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::FileInfo;
use crate::FileRef;
use crate::checksum::Summed;
use crate::error::{StoreError, WriteError};
use crate::map::aligned;

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no space; nothing happened.
    Full,
    /// The disk failed; nothing happened.
    Io,
    /// The store did not answer; nothing happened.
    Unreachable,
    /// It happened, but the answer was lost.
    Unanswered,
}

/// The files of a store in memory, from the side that breaks them. Clones are the same files.
#[derive(Clone, Debug, Default)]
pub struct MemoryFiles(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Bytes>,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
}

impl MemoryFiles {
    /// Lets an operation fail; the first of the store has number 1.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.0.lock().faults.insert(operation, fault);
    }

    /// Operations so far: each call of the store is one, whether or not it failed.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// Flips bits of a byte of a file; `false` if there is no such byte.
    pub fn damage(&self, name: &str, place: usize, bits: u8) -> bool {
        let mut state = self.0.lock();
        let Some(file) = state.files.get_mut(name) else { return false };
        let mut bytes = file.to_vec();
        let Some(byte) = bytes.get_mut(place) else { return false };
        *byte ^= bits;
        *file = aligned(bytes.into());
        true
    }

    /// Does one operation, or fails as it should.
    fn operate<T>(
        &self,
        name: &str,
        operation: impl FnOnce(&mut BTreeMap<String, Bytes>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut state = self.0.lock();
        state.operations += 1;
        let number = state.operations;
        let fault = state.faults.remove(&number);
        let remote =
            |text: &str| StoreError::Remote { name: name.to_owned(), text: text.to_owned() };
        match fault {
            None => operation(&mut state.files),
            Some(Fault::Full) => Err(StoreError::io(name, io::ErrorKind::StorageFull.into())),
            Some(Fault::Io) => Err(StoreError::io(name, io::Error::other("the disk failed"))),
            Some(Fault::Unreachable) => Err(remote("it is not reachable")),
            Some(Fault::Unanswered) => {
                operation(&mut state.files)?;
                Err(remote("the answer was lost"))
            }
        }
    }

    pub(super) fn put(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<(), WriteError>,
    ) -> Result<FileRef, StoreError> {
        let mut contents = Vec::new();
        let mut out = Summed::new(&mut contents);
        write(&mut out).map_err(|e| StoreError::write(name, e))?;
        let written = out.written();
        self.operate(name, |files| {
            let name = name.to_owned();
            if files.contains_key(&name) {
                return Err(StoreError::Exists { name });
            }
            files.insert(name.clone(), aligned(contents.into()));
            Ok(FileRef { name, bytes: written.bytes, crc32c: written.crc32c })
        })
    }

    pub(super) fn open_file(&self, name: &str) -> Result<Bytes, StoreError> {
        let missing = || StoreError::Missing { name: name.to_owned() };
        self.operate(name, |files| files.get(name).cloned().ok_or_else(missing))
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), StoreError> {
        self.operate(name, |files| {
            files.remove(name);
            Ok(())
        })
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<FileInfo>, StoreError> {
        self.operate(prefix, |files| {
            let all = files.range(prefix.to_owned()..);
            let found = all.take_while(|(name, _)| name.starts_with(prefix));
            let info = |(name, bytes): (&String, &Bytes)| FileInfo {
                name: name.clone(),
                bytes: bytes.len() as u64,
            };
            Ok(found.map(info).collect())
        })
    }
}
