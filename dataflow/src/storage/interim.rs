//! `Interim`: lists of rows that no index covers yet, so that reads need not score all of them.
//!
//! Rows that grow, and those of a segment whose index is being built, are scanned. When that costs a
//! search too much it asks for lists of the chunks that take no more rows; a thread that gives way
//! makes them, in memory, beside each chunk. They go with the chunk.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use millstream_catalog::model::{Fault, FieldId, Metric};
use millstream_index::ivf::IvfError;
use millstream_index::ivf::interim::{Anchor, Part, Rows};
use millstream_segment::{Chunk, ColumnSlice};

use super::background::Background;
use super::indexes::give_way;
use crate::read::vectors_of;

/// Rows for which an anchor suits, as a multiple of those that it was found from.
const ANCHOR_SUITS: usize = 64;

/// Chunks of one partition of a shard that a search would rather not scan.
pub(crate) struct Wanted {
    /// In order; they take no more rows.
    pub(crate) chunks: Vec<Arc<Chunk>>,
    /// Place of the field among the columns.
    pub(crate) column: usize,
    /// The field.
    pub(crate) field: FieldId,
    /// Its dimension.
    pub(crate) dim: usize,
    /// The metric of the searches.
    pub(crate) metric: Metric,
}

/// What is beside a chunk.
pub(crate) enum Lists {
    /// A search asked for lists.
    Asked(Metric),
    /// They are there.
    Made(Part),
    /// They would be of no use.
    Useless(Metric),
}

impl Lists {
    /// The rows in their lists.
    pub(crate) fn part(&self) -> Option<&Part> {
        match self {
            Lists::Made(part) => Some(part),
            Lists::Asked(_) | Lists::Useless(_) => None,
        }
    }

    fn metric(&self) -> Metric {
        match self {
            Lists::Asked(metric) | Lists::Useless(metric) => *metric,
            Lists::Made(part) => part.anchor().metric(),
        }
    }
}

/// What is beside a chunk for a field and a metric.
pub(crate) fn lists_of(chunk: &Chunk, field: FieldId, metric: Metric) -> Option<Arc<Lists>> {
    let lists = chunk.beside(field)?.downcast::<Lists>().ok()?;
    (lists.metric() == metric).then_some(lists)
}

/// Makes lists of chunks.
pub(crate) struct Interim {
    thread: Background<Wanted>,
}

impl Interim {
    /// Starts the thread.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(crate) fn start() -> Result<Interim, Fault> {
        let stopping = Arc::<AtomicBool>::default();
        let stop = Arc::clone(&stopping);
        let run = move |wanted: &mut Vec<Wanted>| {
            give_way();
            for wanted in wanted.drain(..) {
                let made = catch_unwind(AssertUnwindSafe(|| wanted.make(&stop)));
                if made.is_err() {
                    tracing::error!("making lists of growing rows panicked; they are scanned");
                }
            }
        };
        Ok(Interim { thread: Background::start("lists", stopping, run)? })
    }

    /// Has lists made of chunks that nobody asked for before.
    pub(crate) fn want(&self, wanted: Wanted) {
        let asked: Arc<Lists> = Arc::new(Lists::Asked(wanted.metric));
        for chunk in wanted.lacking() {
            chunk.put_beside(wanted.field, Some(Arc::clone(&asked) as _));
        }
        self.thread.send(wanted);
    }

    /// Ends the thread.
    pub(crate) fn stop(&self) {
        self.thread.stop();
    }
}

impl Wanted {
    fn lists(&self, chunk: &Chunk) -> Option<Arc<Lists>> {
        lists_of(chunk, self.field, self.metric)
    }

    /// Whether a search should ask for lists of any of the chunks.
    pub(crate) fn lacks(&self) -> bool {
        self.lacking().next().is_some()
    }

    fn lacking(&self) -> impl Iterator<Item = &Arc<Chunk>> {
        self.chunks.iter().filter(|chunk| self.lists(chunk).is_none())
    }

    /// The anchor of the last chunk that has one, if it suits so many rows.
    fn anchor(&self, rows: usize) -> Option<Arc<Anchor>> {
        let anchor = |lists: Arc<Lists>| match &*lists {
            Lists::Made(part) => Some(Arc::clone(part.anchor())),
            _ => None,
        };
        let last = self.chunks.iter().rev().find_map(|chunk| self.lists(chunk).and_then(anchor));
        last.filter(|anchor| rows <= anchor.rows().saturating_mul(ANCHOR_SUITS))
    }

    /// Makes the lists that are lacking; a new anchor changes those that are there as well.
    fn make(&self, stopping: &AtomicBool) {
        let rows = self.chunks.iter().map(|chunk| chunk.rows()).sum();
        let known = self.anchor(rows);
        let fresh = known.is_none();
        let Some(anchor) = known.or_else(|| self.find_anchor(stopping)) else { return };
        for chunk in &self.chunks {
            let lists = self.lists(chunk);
            if stopping.load(Ordering::Acquire) {
                return;
            }
            if !fresh && lists.is_some_and(|lists| !matches!(*lists, Lists::Asked(_))) {
                continue;
            }
            let made = match self.list(chunk, &anchor, stopping) {
                Ok(Some(part)) => Lists::Made(part),
                Ok(None) => Lists::Useless(self.metric),
                Err(IvfError::Cancelled) => return,
                Err(error) => {
                    tracing::error!(%error, "no lists of growing rows; they are scanned");
                    Lists::Useless(self.metric)
                }
            };
            chunk.put_beside(self.field, Some(Arc::new(made)));
        }
    }

    /// An anchor of the largest chunk.
    fn find_anchor(&self, stopping: &AtomicBool) -> Option<Arc<Anchor>> {
        let chunk = self.chunks.iter().max_by_key(|chunk| chunk.rows())?;
        let column = chunk.column(self.column, chunk.rows());
        let found = Anchor::find(self.rows(&column)?, stopping);
        let report = |error: &IvfError| tracing::error!(%error, "growing rows are scanned");
        found.inspect_err(report).ok().flatten()
    }

    /// The lists of a chunk.
    fn list(
        &self,
        chunk: &Chunk,
        anchor: &Arc<Anchor>,
        stopping: &AtomicBool,
    ) -> Result<Option<Part>, IvfError> {
        let column = chunk.column(self.column, chunk.rows());
        self.rows(&column).map_or(Ok(None), |rows| Part::build(anchor, rows, stopping))
    }

    fn rows<'c>(&self, column: &ColumnSlice<'c>) -> Option<Rows<'c>> {
        let (vectors, inv_norms) = vectors_of(column)?;
        Some(Rows { vectors, dim: self.dim, inv_norms, metric: self.metric })
    }
}
