//! Indexes of sealed segments: which are wanted, built on threads that give way, and attached.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use hashbrown::HashMap;
use millstream_catalog::fail;
use millstream_catalog::model::{
    Code, CollectionId, CollectionSchema, Fault, FieldId, FileRef, IndexId, Segment, SegmentId,
    VChannel,
};
use millstream_segment::{ColumnSpec, Whole};
use millstream_store::{Access, Store};
use parking_lot::Mutex;

use super::artefact::{Artefact, FileKind, IndexSpec};
use super::background::Background;
use super::{Archive, store_fault};
use crate::read::vectors_of;

/// How long the naming of a file that failed waits before it is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// How little of the processor builds ask for, on the scale of nice(1).
const NICE: i32 = 10;

/// An index beside a segment's rows.
pub(crate) struct Built {
    pub(crate) index: IndexId,
    pub(crate) artefact: Artefact,
    kind: FileKind,
}

/// How far the indexes of an index are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows of sealed segments.
    pub rows: u64,
    /// Those of them that need no index, or have one.
    pub indexed: u64,
}

/// A segment that is known.
#[derive(Clone)]
struct Known {
    vchannel: VChannel,
    schema: Arc<CollectionSchema>,
    whole: Weak<Whole>,
}

/// Builds indexes.
pub(crate) struct Indexes {
    work: Arc<Work>,
    thread: Option<Background<CollectionId>>,
}

struct Work {
    store: Store,
    archive: Arc<dyn Archive>,
    threads: usize,
    segments: Mutex<HashMap<CollectionId, Vec<Known>>>,
    /// Held by whoever builds an index, which takes all threads.
    building: Mutex<()>,
    stopping: Arc<AtomicBool>,
}

/// Attaches the indexes that a stored segment names. One that cannot be read is built again.
pub(super) fn attach_stored(store: &Store, segment: &Segment, whole: &Whole) {
    for (kind, file) in &segment.files {
        let Some(kind) = FileKind::parse(kind) else { continue };
        if let Err(fault) = attach(store, whole, kind, file, true) {
            tracing::error!(file = file.name, %fault, "an index cannot be read, and is built again");
        }
    }
}

fn attach(
    store: &Store,
    whole: &Whole,
    kind: FileKind,
    file: &FileRef,
    verified: bool,
) -> Result<(), Fault> {
    let bytes = match verified {
        true => store.open_file(file, Access::MappedRandom),
        false => store.open_trusted(file, Access::MappedRandom),
    };
    let artefact = kind.open(bytes.map_err(store_fault)?, whole.rows());
    let named = |fault: Fault| Fault::internal(format!("{}: {}", file.name, fault.message));
    let artefact = artefact.map_err(named)?;
    whole.put_beside(kind.field, Some(Arc::new(Built { index: kind.index, artefact, kind })));
    Ok(())
}

/// The index of a field of a segment, if there is one.
pub(crate) fn built_of(whole: &Whole, field: FieldId) -> Option<Arc<Built>> {
    whole.beside(field)?.downcast::<Built>().ok()
}

impl Work {
    /// The segments of a collection that are still in use.
    fn segments_of(&self, collection: CollectionId) -> Vec<(Known, Arc<Whole>)> {
        let mut segments = self.segments.lock();
        let Some(known) = segments.get_mut(&collection) else { return Vec::new() };
        known.retain(|known| known.whole.strong_count() > 0);
        known.iter().filter_map(|k| Some((k.clone(), k.whole.upgrade()?))).collect()
    }

    /// Builds what a collection lacks, and takes away what no index asks for; `false` when something
    /// must be tried again.
    fn run(&self, collection: CollectionId) -> bool {
        let specs = match self.archive.indexes(collection) {
            Ok(specs) => specs,
            Err(fault) => {
                tracing::warn!(%collection, %fault, "cannot ask for the indexes of a collection");
                return false;
            }
        };
        let mut done = true;
        for (known, whole) in self.segments_of(collection) {
            let outcome = self.take_away(&known, &whole, &specs).and_then(|()| {
                specs.iter().try_for_each(|spec| self.build_one(&known, &whole, spec))
            });
            if self.stopping.load(Ordering::Acquire) {
                return true;
            }
            if let Err(fault) = outcome {
                tracing::warn!(segment = whole.id(), %fault, "an index was not built");
                done = false;
            }
        }
        done
    }

    /// Takes away the indexes of indexes that are not there any more.
    fn take_away(&self, known: &Known, whole: &Whole, specs: &[IndexSpec]) -> Result<(), Fault> {
        for field in known.schema.fields.iter().map(|field| field.id) {
            let Some(built) = built_of(whole, field) else { continue };
            if specs.iter().any(|spec| spec.kind() == built.kind) {
                continue;
            }
            whole.put_beside(field, None);
            self.archive.index_dropped(SegmentId(whole.id()), built.kind.name())?;
            fail::point("graph.dropped");
        }
        Ok(())
    }

    fn build_one(&self, known: &Known, whole: &Whole, spec: &IndexSpec) -> Result<(), Fault> {
        let Some(file) = self.build_file(known, whole, spec)? else { return Ok(()) };
        fail::point("graph.written");
        if self.name_file(whole, spec.kind().name(), &file) {
            fail::point("graph.named");
            attach(&self.store, whole, spec.kind(), &file, false)?;
        }
        Ok(())
    }

    /// Builds an index that a segment lacks and writes its file, which nothing names; `None` when the
    /// segment has it, or is better off without.
    fn build_file(
        &self,
        known: &Known,
        whole: &Whole,
        spec: &IndexSpec,
    ) -> Result<Option<FileRef>, Fault> {
        if is_indexed(whole, &known.schema, spec) {
            return Ok(None);
        }
        let (specs, _) =
            ColumnSpec::of_schema(&known.schema).map_err(|e| Fault::internal(e.to_string()))?;
        let column = specs.iter().position(|column| column.field == spec.field);
        let vectors = column.and_then(|at| Some((specs[at].dim, vectors_of(&whole.column(at))?)));
        let Some((dim, vectors)) = vectors else { return Ok(None) };
        let one_at_a_time = self.building.lock();
        let built = spec.build(vectors, dim, self.threads, &self.stopping);
        drop(one_at_a_time);
        let bytes = match built {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(None),
            Err(error) => {
                // Trying again would not help; the rows are scanned.
                tracing::error!(segment = whole.id(), error, "no index can be built");
                return Ok(None);
            }
        };
        fail::point("graph.built");
        let VChannel { collection, shard } = known.vchannel;
        let id = self.archive.ids(1)?;
        let ending = spec.kind().ending();
        let name = format!("c{collection}/s{shard}/{id}-{}.{ending}", spec.field);
        let write = |out: &mut dyn std::io::Write| Ok(out.write_all(&bytes)?);
        Ok(Some(self.store.put_file(&name, write).map_err(store_fault)?))
    }

    /// Makes the file of an index count, however often that must be tried: after a fault nobody knows
    /// whether it does. `false` when the segment is gone, or the process stops.
    fn name_file(&self, whole: &Whole, kind: String, file: &FileRef) -> bool {
        while !self.stopping.load(Ordering::Acquire) {
            let segment = SegmentId(whole.id());
            match self.archive.index_built(segment, kind.clone(), file.clone()) {
                Ok(()) => return true,
                Err(fault) if fault.code == Code::SegmentNotFound => {
                    if let Err(error) = self.store.delete_file(&file.name) {
                        tracing::warn!(file = file.name, %error, "an index was not deleted");
                    }
                    return false;
                }
                Err(fault) => tracing::warn!(file = file.name, %fault, "an index is not named yet"),
            }
            std::thread::park_timeout(AGAIN);
        }
        false
    }

    /// Builds what these collections lack. What fails stays, and holds up no other collection.
    fn run_all(&self, wanted: &mut Vec<CollectionId>) {
        give_way();
        wanted.sort_unstable();
        wanted.dedup();
        wanted.retain(|&collection| {
            let run = AssertUnwindSafe(|| self.run(collection));
            let done = catch_unwind(run).unwrap_or_else(|_| {
                tracing::error!(%collection, "building an index panicked; rows are scanned");
                true
            });
            !done
        });
    }
}

/// Lowers the priority of the current thread, which its children share.
pub(super) fn give_way() {
    #[cfg(target_os = "linux")]
    {
        // On Linux a priority belongs to a thread, whose id stands for a process here.
        let thread = rustix::thread::gettid();
        if let Err(error) = rustix::process::setpriority_process(Some(thread), NICE) {
            tracing::debug!(%error, "builds have the priority of everything else");
        }
    }
}

/// Whether a segment has the index, or is better off without.
fn is_indexed(whole: &Whole, schema: &CollectionSchema, spec: &IndexSpec) -> bool {
    let dim = schema.field_by_id(spec.field).map_or(0, |field| field.dim as usize);
    !spec.wants(whole.rows(), dim)
        || built_of(whole, spec.field).is_some_and(|built| built.kind == spec.kind())
}

impl Indexes {
    /// Starts the thread that builds, which uses `threads` threads for one index; without any,
    /// nothing is built, which only simulation wants.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub(crate) fn start(
        store: Store,
        archive: Arc<dyn Archive>,
        threads: usize,
    ) -> Result<Indexes, Fault> {
        let stopping = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&stopping);
        let (segments, building) = (Mutex::default(), Mutex::default());
        let work = Arc::new(Work { store, archive, threads, segments, building, stopping });
        let worker = Arc::clone(&work);
        let run = move |wanted: &mut Vec<CollectionId>| worker.run_all(wanted);
        let thread = (threads > 0).then(|| Background::start("build", stop, run)).transpose()?;
        Ok(Indexes { work, thread })
    }

    /// Makes a segment known; its indexes are built when [`Indexes::want`] is called.
    pub(crate) fn add(
        &self,
        vchannel: VChannel,
        schema: &Arc<CollectionSchema>,
        whole: &Arc<Whole>,
    ) {
        let schema = Arc::clone(schema);
        let known = Known { vchannel, schema, whole: Arc::downgrade(whole) };
        self.work.segments.lock().entry(vchannel.collection).or_default().push(known);
    }

    /// Builds the indexes of a segment that nothing names yet, and attaches them: their files by
    /// kind. What fails is left for [`Indexes::want`] to build.
    pub(super) fn build_for(
        &self,
        vchannel: VChannel,
        schema: &Arc<CollectionSchema>,
        whole: &Arc<Whole>,
    ) -> Vec<(String, FileRef)> {
        let mut files = Vec::new();
        if self.thread.is_none() {
            return files;
        }
        let (schema, work) = (Arc::clone(schema), &self.work);
        let known = Known { vchannel, schema, whole: Arc::downgrade(whole) };
        let specs = work.archive.indexes(vchannel.collection).unwrap_or_else(|fault| {
            tracing::warn!(%fault, "cannot ask for the indexes of a collection");
            Vec::new()
        });
        for spec in &specs {
            let built = work.build_file(&known, whole, spec).and_then(|file| {
                let Some(file) = file else { return Ok(()) };
                attach(&work.store, whole, spec.kind(), &file, false)?;
                files.push((spec.kind().name(), file));
                Ok(())
            });
            if let Err(fault) = built {
                tracing::warn!(segment = whole.id(), %fault, "an index was not built");
            }
        }
        files
    }

    /// Builds, in the background, the indexes that the indexes of a collection ask for.
    pub(crate) fn want(&self, collection: CollectionId) {
        if let Some(thread) = &self.thread {
            thread.send(collection);
        }
    }

    /// Forgets a collection that is gone.
    pub(crate) fn forget(&self, collection: CollectionId) {
        self.work.segments.lock().remove(&collection);
    }

    /// How far the indexes of an index are.
    pub(crate) fn progress(&self, collection: CollectionId, spec: &IndexSpec) -> Progress {
        let mut progress = Progress::default();
        for (known, whole) in self.work.segments_of(collection) {
            let rows = whole.rows() as u64;
            progress.rows += rows;
            progress.indexed += if is_indexed(&whole, &known.schema, spec) { rows } else { 0 };
        }
        progress
    }

    /// Ends the thread, in the middle of a build too.
    pub(crate) fn stop(&self) {
        if let Some(thread) = &self.thread {
            thread.stop();
        }
    }
}
