//! A store in a bucket, read through copies in a local folder.
//!
//! The calls block while a small runtime of the store's own moves the bytes, several parts at a
//! time. A file is written to the local folder first, where its checksum is found out, uploaded
//! from there, and then is its own first copy.

use std::collections::VecDeque;
use std::future::Future;
use std::io::Write;
use std::ops::Range;
use std::path::Path as LocalPath;
use std::sync::{Arc, mpsc};

use bytes::Bytes;
use futures::TryStreamExt;
use millstream_catalog::fail;
use object_store::path::Path;
use object_store::{
    Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use tokio::runtime::{Builder, Runtime};

use super::FileInfo;
use super::cache::Cache;
use super::name::check_name;
use super::partial::Partial;
use crate::FileRef;
use crate::checksum::Verify;
use crate::error::{StoreError, WriteError};
use crate::map::{Access, map_file};

/// Files up to this size are one request; longer ones are moved in parts of it.
const PART_BYTES: u64 = 16 << 20;
/// Parts on their way at a time.
const PARTS_MAX: usize = 4;

type Answer<T> = Result<T, Error>;

pub(super) struct Remote {
    objects: Arc<dyn ObjectStore>,
    prefix: String,
    cache: Cache,
    part_bytes: u64,
    /// Taken when dropped.
    runtime: Option<Runtime>,
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").field("objects", &self.objects).finish_non_exhaustive()
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        // A runtime that is dropped inside another one would panic.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Answers in the order of the requests, a few of which are always on their way.
struct Pipeline<'a, T> {
    remote: &'a Remote,
    waiting: VecDeque<mpsc::Receiver<Answer<T>>>,
}

impl<T: Send + 'static> Pipeline<'_, T> {
    fn push(&mut self, request: impl Future<Output = Answer<T>> + Send + 'static) {
        self.waiting.push_back(self.remote.spawn(request));
    }

    fn is_full(&self) -> bool {
        self.waiting.len() >= PARTS_MAX
    }

    fn pop(&mut self) -> Option<Answer<T>> {
        self.waiting.pop_front().map(received)
    }
}

fn received<T>(answer: mpsc::Receiver<Answer<T>>) -> Answer<T> {
    let gone = |e: mpsc::RecvError| Error::Generic { store: "store", source: Box::new(e) };
    answer.recv().map_err(gone)?
}

/// The parts of a file, in order.
fn parts(bytes: u64, part_bytes: u64) -> impl Iterator<Item = Range<u64>> {
    let count = bytes.div_ceil(part_bytes);
    (0..count).map(move |part| part * part_bytes..((part + 1) * part_bytes).min(bytes))
}

fn failed(name: &str, error: Error) -> StoreError {
    let name = name.to_owned();
    match error {
        Error::NotFound { .. } => StoreError::Missing { name },
        Error::AlreadyExists { .. } => StoreError::Exists { name },
        other => StoreError::Remote { name, text: other.to_string() },
    }
}

impl Remote {
    /// Serves the objects whose paths begin with `prefix`, by copies in `folder`.
    pub(super) fn open(
        objects: Arc<dyn ObjectStore>,
        prefix: &str,
        folder: &LocalPath,
        cache_bytes_max: u64,
    ) -> Result<Remote, StoreError> {
        let prefix = prefix.trim_matches('/').to_owned();
        if !prefix.is_empty() {
            check_name(&prefix)?;
        }
        let cache = Cache::open(folder, cache_bytes_max)?;
        let mut runtime = Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("store").enable_all().build();
        let runtime = Some(runtime.map_err(|e| StoreError::io("the store's thread", e))?);
        Ok(Remote { objects, prefix, cache, part_bytes: PART_BYTES, runtime })
    }

    /// Moves files in smaller parts.
    #[cfg(test)]
    pub(super) fn with_part_bytes(self, part_bytes: u64) -> Remote {
        let mut remote = self;
        remote.part_bytes = part_bytes;
        remote
    }

    /// Bytes of all local copies.
    pub(super) fn cached_bytes(&self) -> u64 {
        self.cache.bytes()
    }

    fn path(&self, name: &str) -> Path {
        // Names were checked, and so was the prefix: none needs escaping, and empty parts go.
        Path::from(format!("{}/{name}", self.prefix))
    }

    /// Starts a request. Waiting for its answer blocks a thread, which may even be one of another
    /// runtime.
    fn spawn<T: Send + 'static>(
        &self,
        request: impl Future<Output = Answer<T>> + Send + 'static,
    ) -> mpsc::Receiver<Answer<T>> {
        let (sender, receiver) = mpsc::sync_channel(1);
        if let Some(runtime) = &self.runtime {
            runtime.spawn(async move {
                // Nobody waits any more if this fails.
                let _ = sender.send(request.await);
            });
        }
        receiver
    }

    fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = Answer<T>> + Send + 'static,
    ) -> Answer<T> {
        received(self.spawn(request))
    }

    fn pipeline<T>(&self) -> Pipeline<'_, T> {
        Pipeline { remote: self, waiting: VecDeque::new() }
    }

    pub(super) fn put(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn Write) -> Result<(), WriteError>,
    ) -> Result<FileRef, StoreError> {
        let disk = |e| StoreError::io(name, e);
        let partial = self.cache.partial().map_err(disk)?;
        let written = partial.fill(write).map_err(|e| StoreError::write(name, e))?;
        let file = FileRef { name: name.to_owned(), bytes: written.bytes, crc32c: written.crc32c };
        let contents = map_file(&partial.path, Access::Mapped).map_err(disk)?;
        // What was read back is what is uploaded.
        file.verify(&contents)?;
        fail::point("store.before_upload");
        self.upload(name, contents).map_err(|e| failed(name, e))?;
        fail::point("store.after_upload");
        // It is in the bucket; a copy that cannot be kept is fetched when it is needed.
        let _ = self.cache.insert(&file, partial);
        Ok(file)
    }

    fn upload(&self, name: &str, contents: Bytes) -> Answer<()> {
        let (objects, path) = (Arc::clone(&self.objects), self.path(name));
        if contents.len() as u64 <= self.part_bytes {
            let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            let payload = PutPayload::from(contents);
            let put = async move { objects.put_opts(&path, payload, create).await };
            return self.wait(put).map(drop);
        }
        // An upload in parts has no condition; names being unique, this finds mistakes only.
        let begin = async move {
            match objects.head(&path).await {
                Err(Error::NotFound { .. }) => objects.put_multipart(&path).await,
                Err(e) => Err(e),
                Ok(_) => Err(Error::AlreadyExists {
                    path: path.to_string(),
                    source: "there is an object of this name".into(),
                }),
            }
        };
        let mut upload = self.wait(begin)?;
        let uploaded = self.upload_parts(&mut *upload, &contents);
        let end = async move {
            match uploaded {
                Ok(()) => upload.complete().await.map(drop),
                Err(e) => {
                    // The error says enough; the bucket's own rules remove what stays.
                    let _ = upload.abort().await;
                    Err(e)
                }
            }
        };
        self.wait(end)
    }

    fn upload_parts(&self, upload: &mut dyn MultipartUpload, contents: &Bytes) -> Answer<()> {
        let mut pipeline = self.pipeline();
        for part in parts(contents.len() as u64, self.part_bytes) {
            if pipeline.is_full() {
                pipeline.pop().transpose()?;
            }
            let part = contents.slice(part.start as usize..part.end as usize);
            pipeline.push(upload.put_part(PutPayload::from(part)));
        }
        while let Some(answer) = pipeline.pop() {
            answer?;
        }
        Ok(())
    }

    fn download(&self, file: &FileRef, partial: &Partial) -> Result<(), StoreError> {
        let name = &file.name;
        let write = |answer: Answer<Bytes>| {
            let bytes = answer.map_err(|e| failed(name, e))?;
            (&partial.file).write_all(&bytes).map_err(|e| StoreError::io(name, e))
        };
        let (objects, path) = (Arc::clone(&self.objects), self.path(name));
        let head = async move { objects.head(&path).await };
        let found = self.wait(head).map_err(|e| failed(name, e))?;
        file.verify_length(found.size)?;
        let mut pipeline = self.pipeline();
        for part in parts(file.bytes, self.part_bytes) {
            if pipeline.is_full() {
                pipeline.pop().map_or(Ok(()), write)?;
            }
            let (objects, path) = (Arc::clone(&self.objects), self.path(name));
            pipeline.push(async move { objects.get_range(&path, part).await });
        }
        while let Some(answer) = pipeline.pop() {
            write(answer)?;
        }
        Ok(())
    }

    pub(super) fn open_file(
        &self,
        file: &FileRef,
        access: Access,
        check: bool,
    ) -> Result<Bytes, StoreError> {
        self.cache.open_file(file, access, check, |partial| self.download(file, partial))
    }

    /// The bytes of an object, without a copy.
    pub(super) fn read(&self, name: &str) -> Result<Bytes, StoreError> {
        let (objects, path) = (Arc::clone(&self.objects), self.path(name));
        let read = async move { objects.get(&path).await?.bytes().await };
        self.wait(read).map_err(|e| failed(name, e))
    }

    pub(super) fn delete(&self, name: &str) -> Result<(), StoreError> {
        let (objects, path) = (Arc::clone(&self.objects), self.path(name));
        match self.wait(async move { objects.delete(&path).await }) {
            Ok(()) | Err(Error::NotFound { .. }) => {
                self.cache.remove(name);
                Ok(())
            }
            Err(e) => Err(failed(name, e)),
        }
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Vec<FileInfo>, StoreError> {
        let objects = Arc::clone(&self.objects);
        // Buckets list by whole parts of a path.
        let (folder, _) = prefix.rsplit_once('/').unwrap_or_default();
        let folder = self.path(folder);
        let listed = async move { objects.list(Some(&folder)).try_collect::<Vec<_>>().await };
        let listed = self.wait(listed).map_err(|e| failed(prefix, e))?;
        let root = format!("{}/", self.prefix);
        let own = |path: &str| match self.prefix.is_empty() {
            true => Some(path.to_owned()),
            false => path.strip_prefix(&root).map(str::to_owned),
        };
        let files = listed.into_iter().filter_map(|object| {
            Some(FileInfo { name: own(object.location.as_ref())?, bytes: object.size })
        });
        let mut found: Vec<_> = files.filter(|file| file.name.starts_with(prefix)).collect();
        found.sort_unstable();
        Ok(found)
    }
}
