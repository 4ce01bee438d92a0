//! What is built beside the rows of a sealed segment so that searches need not scan them.

use std::cell::RefCell;
use std::cmp::Ordering;
use std::sync::atomic::{AtomicBool, AtomicU64};

use bytes::Bytes;
use millstream_catalog::model::{Fault, FieldId, IndexId, Metric};
use millstream_index::graph::{self, Graph, GraphError, GraphParams, GraphScratch, Strategy};
use millstream_index::ivf::{self, Ivf, IvfError, IvfKind, IvfParams, IvfScratch};
use millstream_index::{Block, Collect, Queries, Vectors};

/// Segments of fewer vector components are scanned as quickly as an index is searched.
const COMPONENTS_MIN: usize = 1 << 18;
/// Dimensions of a Binary vector that are scanned as quickly as a component of others.
const BITS_OF_COMPONENT: usize = 16;

/// What an index asks for beside each sealed segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexSpec {
    /// The index.
    pub index: IndexId,
    /// The field.
    pub field: FieldId,
    /// The metric.
    pub metric: Metric,
    /// What is built.
    pub how: How,
}

/// What is built of the vectors of a segment, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// A graph that is walked.
    Graph(GraphParams),
    /// Lists that are visited.
    Lists(IvfParams),
}

impl IndexSpec {
    /// Whether it is built over so many rows of vectors of a dimension; fewer are scanned.
    pub fn wants(&self, rows: usize, dim: usize) -> bool {
        let components = match self.how {
            How::Lists(IvfParams { kind: IvfKind::Bits, .. }) => dim / BITS_OF_COMPONENT,
            How::Lists(_) | How::Graph(_) => dim,
        };
        rows.saturating_mul(components) >= COMPONENTS_MIN
    }

    /// The kind of the files.
    pub(super) fn kind(&self) -> FileKind {
        let lists = matches!(self.how, How::Lists(_));
        FileKind { lists, field: self.field, index: self.index }
    }

    /// The bytes of the file; none when the build was given up.
    pub(super) fn build(
        &self,
        (vectors, inv_norms): (Vectors<'_>, &[f32]),
        dim: usize,
        threads: usize,
        stop: &AtomicBool,
    ) -> Result<Option<Vec<u8>>, String> {
        let (metric, progress) = (self.metric, AtomicU64::new(0));
        match self.how {
            How::Graph(params) => {
                let built =
                    graph::build(vectors, dim, inv_norms, metric, params, threads, stop, &progress);
                match built {
                    Err(GraphError::Cancelled) => Ok(None),
                    built => built.map(Some).map_err(|error| error.to_string()),
                }
            }
            How::Lists(params) => {
                let built =
                    ivf::build(vectors, dim, inv_norms, metric, params, threads, stop, &progress);
                match built {
                    Err(IvfError::Cancelled) => Ok(None),
                    built => built.map(Some).map_err(|error| error.to_string()),
                }
            }
        }
    }
}

/// What a manifest calls the file of an index beside a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileKind {
    lists: bool,
    pub(super) field: FieldId,
    pub(super) index: IndexId,
}

impl FileKind {
    /// The kind that a manifest names; none if it is about something else.
    pub(super) fn parse(kind: &str) -> Option<FileKind> {
        let graph = kind.strip_prefix("index/").map(|rest| (false, rest));
        let (lists, rest) = graph.or_else(|| Some((true, kind.strip_prefix("lists/")?)))?;
        let (field, index) = rest.split_once('/')?;
        let (field, index) = (FieldId(field.parse().ok()?), IndexId(index.parse().ok()?));
        Some(FileKind { lists, field, index })
    }

    /// How a manifest names it.
    pub(super) fn name(self) -> String {
        let FileKind { lists, field, index } = self;
        format!("{}/{field}/{index}", if lists { "lists" } else { "index" })
    }

    /// How names of such files end.
    pub(super) fn ending(self) -> &'static str {
        if self.lists { "lists" } else { "graph" }
    }

    /// Opens the bytes of such a file, of a segment with so many rows.
    pub(super) fn open(self, bytes: Bytes, rows: usize) -> Result<Artefact, Fault> {
        let fault = |error: &dyn std::fmt::Display| Fault::internal(error.to_string());
        let artefact = if self.lists {
            Artefact::Lists(Ivf::open(bytes).map_err(|error| fault(&error))?)
        } else {
            Artefact::Graph(Graph::open(bytes).map_err(|error| fault(&error))?)
        };
        match artefact.rows() {
            found if found == rows => Ok(artefact),
            found => Err(Fault::internal(format!("{found} rows, not {rows}"))),
        }
    }
}

/// An opened index of the vectors of a segment.
pub(crate) enum Artefact {
    Graph(Graph),
    Lists(Ivf),
}

/// What a search wants of an index, whatever its type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    /// What it wants of a graph.
    pub(crate) graph: graph::Ask,
    /// What it wants of lists.
    pub(crate) lists: ivf::Ask,
}

thread_local! {
    /// Memory of the searches of a thread of the pool.
    static SCRATCH: RefCell<(GraphScratch, IvfScratch)> = RefCell::default();
}

impl Artefact {
    fn rows(&self) -> usize {
        match self {
            Artefact::Graph(graph) => graph.rows(),
            Artefact::Lists(lists) => lists.rows(),
        }
    }

    /// The metric it was built for.
    pub(crate) fn metric(&self) -> Metric {
        match self {
            Artefact::Graph(graph) => graph.metric(),
            Artefact::Lists(lists) => lists.metric(),
        }
    }

    /// Whether a search for `nq` queries that admits `survivors` rows is better off with a scan.
    pub(crate) fn scans(&self, survivors: usize, nq: usize, ask: &Ask) -> bool {
        match self {
            Artefact::Graph(graph) => {
                graph.estimate(survivors, nq, &ask.graph).strategy == Strategy::Scan
            }
            Artefact::Lists(lists) => lists.estimate(survivors, nq, &ask.lists).scans,
        }
    }

    /// Offers the nearest rows that the block's mask admits to the collectors, one a query.
    pub(crate) fn search<C: Collect>(
        &self,
        queries: &Queries,
        block: &Block<'_>,
        ask: &Ask,
        tops: &mut [C],
        tie: &dyn Fn(u32, u32) -> Ordering,
    ) {
        SCRATCH.with_borrow_mut(|(walks, visits)| match self {
            Artefact::Graph(graph) => graph.search(queries, block, &ask.graph, tops, walks, tie),
            Artefact::Lists(lists) => lists.search(queries, block, &ask.lists, tops, visits, tie),
        });
    }
}
