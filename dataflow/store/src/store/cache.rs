//! Copies of remote files in a local folder, the least recently used going first.
//!
//! A copy that is mapped frees no space when it is deleted, so copies in use stay. A copy of an
//! earlier process is checked before it is served for the first time; one that is damaged is
//! fetched again.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::SystemTime;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::partial::{PARTIAL, Partial, list_folder, remove_abandoned};
use crate::FileRef;
use crate::checksum::Verify;
use crate::error::StoreError;
use crate::map::{Access, map_file};

/// What a mapping holds on to as long as it is in use.
type Lease = Arc<()>;

#[derive(Debug)]
pub(super) struct Cache {
    folder: PathBuf,
    bytes_max: u64,
    state: Mutex<State>,
    /// Somebody is done with a name.
    released: Condvar,
}

#[derive(Debug, Default)]
struct State {
    copies: HashMap<String, Copied>,
    bytes: u64,
    /// Counts uses: the order of their last ones.
    uses: u64,
    /// Names that somebody is working on, outside of the lock.
    busy: HashSet<String>,
}

#[derive(Debug, Default)]
struct Copied {
    bytes: u64,
    last_use: u64,
    checked: bool,
    /// Gone when nobody has the copy mapped.
    lease: Weak<()>,
}

/// The right to work on a name; others wait for it.
struct Claim<'a> {
    cache: &'a Cache,
    name: &'a str,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.cache.state.lock().busy.remove(self.name);
        self.cache.released.notify_all();
    }
}

/// Mapped bytes that keep their copy from being deleted.
struct Leased {
    bytes: Bytes,
    _lease: Lease,
}

impl AsRef<[u8]> for Leased {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Cache {
    /// Takes up the copies that an earlier process left in a folder, which is ours alone.
    pub(super) fn open(folder: &Path, bytes_max: u64) -> Result<Cache, StoreError> {
        let named = |e| StoreError::io(&folder.display().to_string(), e);
        let partial = folder.join(PARTIAL);
        fs::create_dir_all(&partial).map_err(named)?;
        remove_abandoned(&partial).map_err(named)?;
        let mut found = Vec::new();
        for file in list_folder(folder, "").map_err(named)? {
            let modified = fs::metadata(folder.join(&file.name)).and_then(|found| found.modified());
            found.push((modified.unwrap_or(SystemTime::UNIX_EPOCH), file));
        }
        found.sort_unstable();
        let mut state = State::default();
        for (_, file) in found {
            state.insert(&file.name, file.bytes, false);
        }
        let cache = Cache {
            folder: folder.to_owned(),
            bytes_max,
            state: Mutex::new(state),
            released: Condvar::new(),
        };
        cache.evict(0);
        Ok(cache)
    }

    /// Bytes of all copies.
    pub(super) fn bytes(&self) -> u64 {
        self.state.lock().bytes
    }

    /// A file to write a copy to, once it is known under which name.
    pub(super) fn partial(&self) -> io::Result<Partial> {
        Partial::create(&self.folder.join(PARTIAL))
    }

    /// Waits until nobody works on a name.
    fn claim<'a>(&'a self, name: &'a str) -> Claim<'a> {
        let mut state = self.state.lock();
        while !state.busy.insert(name.to_owned()) {
            self.released.wait(&mut state);
        }
        Claim { cache: self, name }
    }

    /// Takes what was just written as the copy of a file.
    pub(super) fn insert(&self, file: &FileRef, partial: Partial) -> Result<(), StoreError> {
        let claim = self.claim(&file.name);
        self.insert_claimed(&claim, file, partial)
    }

    fn insert_claimed(
        &self,
        claim: &Claim<'_>,
        file: &FileRef,
        mut partial: Partial,
    ) -> Result<(), StoreError> {
        let disk = |e| StoreError::io(claim.name, e);
        let path = self.folder.join(claim.name);
        fs::create_dir_all(path.parent().unwrap_or(&self.folder)).map_err(disk)?;
        partial.replace(&path).map_err(disk)?;
        self.state.lock().insert(claim.name, file.bytes, true);
        self.evict(0);
        Ok(())
    }

    /// Opens the copy of a file, which `fetch` makes if there is none, or none that is whole. With
    /// `check` it is read and checked even if it was before.
    pub(super) fn open_file(
        &self,
        file: &FileRef,
        access: Access,
        check: bool,
        fetch: impl FnOnce(&Partial) -> Result<(), StoreError>,
    ) -> Result<Bytes, StoreError> {
        let claim = self.claim(&file.name);
        if let Some(bytes) = self.open_copy(&claim, file, access, check)? {
            return Ok(bytes);
        }
        self.remove_claimed(&claim);
        self.evict(file.bytes);
        let partial = self.partial().map_err(|e| StoreError::io(&file.name, e))?;
        fetch(&partial)?;
        let copy = map_file(&partial.path, Access::Mapped);
        file.verify(&copy.map_err(|e| StoreError::io(&file.name, e))?)?;
        self.insert_claimed(&claim, file, partial)?;
        let copy = self.open_copy(&claim, file, access, false)?;
        copy.ok_or_else(|| StoreError::io(&file.name, io::ErrorKind::NotFound.into()))
    }

    /// The bytes of a copy; none if it is not there or not what was written.
    fn open_copy(
        &self,
        claim: &Claim<'_>,
        file: &FileRef,
        access: Access,
        check: bool,
    ) -> Result<Option<Bytes>, StoreError> {
        let Some(checked) = self.state.lock().copies.get(claim.name).map(|copy| copy.checked)
        else {
            return Ok(None);
        };
        let bytes = match map_file(&self.folder.join(claim.name), access) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes.map_err(|e| StoreError::io(claim.name, e))?,
        };
        let whole = match check || !checked {
            true => file.verify(&bytes),
            false => file.verify_length(bytes.len() as u64),
        };
        if whole.is_err() {
            return Ok(None);
        }
        let lease = self.state.lock().touch(claim.name);
        Ok(Some(match (access, lease) {
            (Access::InMemory, _) | (_, None) => bytes,
            (_, Some(lease)) => Bytes::from_owner(Leased { bytes, _lease: lease }),
        }))
    }

    /// Forgets the copy of a file.
    pub(super) fn remove(&self, name: &str) {
        self.remove_claimed(&self.claim(name));
    }

    fn remove_claimed(&self, claim: &Claim<'_>) {
        self.state.lock().remove(claim.name);
        // What cannot be deleted now is found again by the next process.
        let _ = fs::remove_file(self.folder.join(claim.name));
    }

    /// Deletes copies that nobody uses until `more` bytes have room, if there are enough of them.
    fn evict(&self, more: u64) {
        while let Some(name) = self.claim_oldest(more) {
            self.remove_claimed(&Claim { cache: self, name: &name });
        }
    }

    /// The copy to be deleted next, which nobody works on but who asks.
    fn claim_oldest(&self, more: u64) -> Option<String> {
        let mut state = self.state.lock();
        if state.bytes.saturating_add(more) <= self.bytes_max {
            return None;
        }
        let name = state.oldest_unused()?;
        state.busy.insert(name.clone());
        Some(name)
    }
}

impl State {
    fn insert(&mut self, name: &str, bytes: u64, checked: bool) {
        self.remove(name);
        self.uses += 1;
        self.bytes += bytes;
        let copy = Copied { bytes, last_use: self.uses, checked, lease: Weak::new() };
        self.copies.insert(name.to_owned(), copy);
    }

    fn remove(&mut self, name: &str) {
        self.bytes -= self.copies.remove(name).map_or(0, |copy| copy.bytes);
    }

    /// Notes that a copy was found whole and is used now.
    fn touch(&mut self, name: &str) -> Option<Lease> {
        self.uses += 1;
        let copy = self.copies.get_mut(name)?;
        (copy.last_use, copy.checked) = (self.uses, true);
        Some(copy.lease.upgrade().unwrap_or_else(|| {
            let lease = Lease::default();
            copy.lease = Arc::downgrade(&lease);
            lease
        }))
    }

    fn oldest_unused(&self) -> Option<String> {
        let unused = |(name, copy): &(&String, &Copied)| {
            copy.lease.strong_count() == 0 && !self.busy.contains(*name)
        };
        let copies = self.copies.iter().filter(unused);
        copies.min_by_key(|(_, copy)| copy.last_use).map(|(name, _)| name.clone())
    }
}
