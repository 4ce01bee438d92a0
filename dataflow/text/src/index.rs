//! The growing index of one field of one partition: one writer, any number of wait-free readers.
//!
//! Every batch becomes a small block at once, so that its rows can be read. Blocks are merged as
//! they add up, eight of about one size into one, and all of a range when the range is full; so a
//! row is merged about log8 of the rows of a range times, and a range ends as one block. A large
//! merge goes on in steps, a few with each batch, so that no batch waits for one.

use std::ops::Range;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::analyzer::Analyzer;
use crate::batch::Builder;
use crate::block::{Block, RANGE_ROWS};
use crate::merge::Merger;

/// Blocks of about one size that become one.
const FANOUT: u32 = 8;
/// Open blocks that become one whatever their sizes.
const OPEN_MAX: usize = 64;
/// Blocks are not merged past so many bytes, so that offsets fit four bytes and no merge is long.
const MERGED_BYTES_MAX: usize = 512 << 20;
/// Merges of at most so many postings are done at once: about a millisecond.
const SMALL_MERGE: usize = 1 << 16;
/// Postings that a large merge takes over for each posting that comes in meanwhile: it adds no more
/// than about half to the time of a batch, and is done before the next one of its size is due.
const MERGE_PACE: usize = 4;

/// The blocks of an index, in the order of their rows.
#[derive(Clone, Default)]
pub(crate) struct Blocks {
    /// Blocks that are never merged again.
    full: Arc<Vec<Arc<Block>>>,
    /// The last blocks.
    open: Vec<Arc<Block>>,
}

/// The writer's end of an index.
pub struct TextWriter {
    analyzer: Analyzer,
    with_positions: bool,
    builder: Builder,
    rows: u32,
    blocks: Blocks,
    /// A large merge under way, and the open blocks that it is of.
    merge: Option<(Range<usize>, Merger)>,
    view: Arc<TextView>,
}

/// The readers' end of an index.
pub struct TextView {
    analyzer: Analyzer,
    with_positions: bool,
    blocks: ArcSwap<Blocks>,
}

/// The rows that were indexed at some moment.
pub struct TextSnapshot {
    blocks: Arc<Blocks>,
}

impl TextWriter {
    /// An empty index. `with_positions` keeps what phrases need: four to six bytes a posting.
    pub fn new(analyzer: Analyzer, with_positions: bool) -> TextWriter {
        let blocks = ArcSwap::from_pointee(Blocks::default());
        let view = Arc::new(TextView { analyzer: analyzer.clone(), with_positions, blocks });
        let (builder, blocks) = (Builder::default(), Blocks::default());
        TextWriter { analyzer, with_positions, builder, rows: 0, blocks, merge: None, view }
    }

    /// The readers' end.
    pub fn view(&self) -> Arc<TextView> {
        Arc::clone(&self.view)
    }

    /// Number of rows.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Appends rows, which readers see when this returns. A row without a text has an empty one.
    ///
    /// Texts of one call may take up to 4 GiB together.
    pub fn append<'t>(&mut self, texts: impl IntoIterator<Item = &'t str>) {
        texts.into_iter().for_each(|text| self.push(text));
        self.publish();
    }

    /// Appends one row, which readers see after [`TextWriter::publish`].
    fn push(&mut self, text: &str) {
        self.builder.push(&self.analyzer, (self.rows % RANGE_ROWS) as u16, text);
        self.rows += 1;
        if self.rows.is_multiple_of(RANGE_ROWS) {
            self.build();
        }
    }

    /// Shows readers the rows that were pushed.
    fn publish(&mut self) {
        self.build();
        self.view.blocks.store(Arc::new(self.blocks.clone()));
    }

    /// Makes a block of the rows that wait, and goes on with merging.
    fn build(&mut self) {
        if self.builder.rows() == 0 {
            return;
        }
        let first = self.rows - self.builder.rows();
        let place = (first / RANGE_ROWS, first % RANGE_ROWS);
        let block = self.builder.build(place, self.with_positions);
        let pace = (block.rows.len() + block.hashes.len()) * MERGE_PACE;
        self.blocks.open.push(Arc::new(block));
        if let Some((_, merger)) = &mut self.merge
            && merger.step(pace)
            && let Some((merged, merger)) = self.merge.take()
        {
            self.replace(merged, merger);
        }
        self.merge_some();
        self.settle();
    }

    /// Does the small merges that are due, and begins the large one.
    fn merge_some(&mut self) {
        loop {
            // What lies before a merge under way waits for it.
            let from = self.merge.as_ref().map_or(0, |(merged, _)| merged.end);
            let open = &self.blocks.open;
            let Some(due) = merge_due(&open[from..], self.rows / RANGE_ROWS) else { return };
            let due = from + due.start..from + due.end;
            let small = Merger::cost(&open[due.clone()]) <= SMALL_MERGE;
            if !small && self.merge.is_some() {
                return;
            }
            let mut merger = Merger::new(open[due.clone()].to_vec());
            if small {
                merger.step(usize::MAX);
                self.replace(due, merger);
            } else {
                self.merge = Some((due, merger));
            }
        }
    }

    /// Puts what was merged in the place of its blocks.
    fn replace(&mut self, merged: Range<usize>, merger: Merger) {
        let one = Arc::new(merger.finish());
        self.blocks.open.splice(merged, [one]);
    }

    /// Moves the blocks of past ranges that are merged to those that never change again.
    fn settle(&mut self) {
        let (open, range) = (&self.blocks.open, self.rows / RANGE_ROWS);
        let past = open.iter().take_while(|block| block.range < range).count();
        if past == 0 || self.merge.is_some() || closed_due(&open[..past]).is_some() {
            return;
        }
        let settled = self.blocks.open.drain(..past);
        Arc::make_mut(&mut self.blocks.full).extend(settled);
    }
}

/// The blocks that are to be merged next, while rows come into `range`.
fn merge_due(open: &[Arc<Block>], range: u32) -> Option<Range<usize>> {
    let past = open.iter().take_while(|block| block.range < range).count();
    let growing = || merge_start(&open[past..]).map(|start| past + start..open.len());
    closed_due(&open[..past]).or_else(growing)
}

/// The first neighbours within one full range that may become one.
fn closed_due(past: &[Arc<Block>]) -> Option<Range<usize>> {
    let mut start = 0;
    while start < past.len() {
        let (mut end, mut bytes) = (start, 0);
        while let Some(block) = past.get(end).filter(|block| block.range == past[start].range) {
            bytes += block.bytes();
            if bytes > MERGED_BYTES_MAX {
                break;
            }
            end += 1;
        }
        if end - start >= 2 {
            return Some(start..end);
        }
        start += 1;
    }
    None
}

/// The tier of a block of so many rows: tiers grow by the fanout.
fn tier_of(block: &Block) -> u32 {
    block.row_count().max(1).ilog2() / FANOUT.ilog2()
}

/// Where the last blocks begin that together fill a higher tier than any of them has.
///
/// So every merge lifts its rows by a tier, and a row is merged no more often than there are tiers.
fn merge_start(open: &[Arc<Block>]) -> Option<usize> {
    let (mut start, mut rows, mut tier) = (open.len(), 0, 0);
    loop {
        while let Some(before) = start.checked_sub(1)
            && tier_of(&open[before]) <= tier
        {
            rows += open[before].row_count();
            start = before;
        }
        if open.len() - start >= 2 && rows >= FANOUT.pow(tier + 1) {
            break;
        }
        match start.checked_sub(1) {
            Some(before) => tier = tier_of(&open[before]),
            // Batches of wild sizes leave small blocks between large ones.
            None if open.len() >= OPEN_MAX => break,
            None => return None,
        }
    }
    let (mut bytes, mut within) = (0, open.len());
    while within > start && bytes + open[within - 1].bytes() <= MERGED_BYTES_MAX {
        within -= 1;
        bytes += open[within].bytes();
    }
    (open.len() - within >= 2).then_some(within)
}

impl TextView {
    /// The analyzer of the texts, which queries need too.
    pub fn analyzer(&self) -> &Analyzer {
        &self.analyzer
    }

    /// Whether phrases can be asked for.
    pub fn with_positions(&self) -> bool {
        self.with_positions
    }

    /// What is indexed now. Rows that were published before this call are in it.
    pub fn snapshot(&self) -> TextSnapshot {
        TextSnapshot { blocks: self.blocks.load_full() }
    }
}

impl TextSnapshot {
    pub(crate) fn blocks(&self) -> impl Iterator<Item = &Block> {
        self.blocks.full.iter().chain(&self.blocks.open).map(|block| &**block)
    }

    /// Number of rows.
    pub fn rows(&self) -> u32 {
        self.blocks().last().map_or(0, |last| last.first_row() + last.row_count())
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.blocks().map(Block::bytes).sum()
    }
}
