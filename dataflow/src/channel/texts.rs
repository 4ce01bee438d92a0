//! The text indexes of a shard: one for each searched or matched field of each partition.

use std::sync::Arc;

use millstream_catalog::model::{CollectionSchema, FieldId, FunctionKind, FunctionSchema};
use millstream_segment::{Appended, ColumnSpec, ShardWriter};
use millstream_text::{Analyzer, TextWriter};

use crate::read::TextRef;

/// A field whose texts are indexed.
struct Source {
    /// Place of the text among the columns.
    column: usize,
    analyzer: Analyzer,
    /// Whether phrases are asked for.
    with_positions: bool,
    /// The fields that read the index: the outputs of BM25 functions, and the field itself when its
    /// texts may be matched.
    readers: Vec<FieldId>,
}

impl Source {
    /// An index of its texts.
    fn writer(&self) -> TextWriter {
        TextWriter::new(self.analyzer.clone(), self.with_positions)
    }

    /// What reads the index of a slot.
    fn refs(&self, slot: usize, writer: &TextWriter) -> impl Iterator<Item = TextRef> + '_ {
        let (slot, view) = (u32::try_from(slot).unwrap_or(u32::MAX), writer.view());
        self.readers.iter().map(move |&field| TextRef { field, slot, view: Arc::clone(&view) })
    }
}

/// The indexes of a shard. Row numbers are those of the rows in their partition.
pub(super) struct Texts {
    sources: Vec<Source>,
    /// The index of each source, by slot of the partition.
    writers: Vec<Vec<TextWriter>>,
    refs: Arc<[TextRef]>,
}

impl Texts {
    /// No texts yet, of the fields that a schema wants indexed.
    pub(super) fn new(schema: &CollectionSchema, specs: &[ColumnSpec]) -> Result<Texts, String> {
        let sources = sources(schema, specs, 0)?;
        Ok(Texts { sources, writers: Vec::new(), refs: Arc::new([]) })
    }

    /// Indexes the texts of the columns from `known` on, which just came, in all rows.
    pub(super) fn add_columns(
        &mut self,
        schema: &CollectionSchema,
        known: usize,
        shard: &ShardWriter,
    ) -> Result<(), String> {
        let added = sources(schema, &shard.view().specs(), known)?;
        if added.is_empty() {
            return Ok(());
        }
        let rows: Vec<Appended> = shard.all().collect();
        let slots = rows.iter().map(|rows| rows.first.slot as usize + 1).max().unwrap_or(0);
        while self.writers.len() < slots {
            self.add_slot();
        }
        let mut refs = self.refs.to_vec();
        for (slot, writers) in self.writers.iter_mut().enumerate() {
            // The indexes of a slot whose rows are gone were freed.
            if writers.len() < self.sources.len() {
                continue;
            }
            for source in &added {
                let mut writer = source.writer();
                for &rows in rows.iter().filter(|rows| rows.first.slot as usize == slot) {
                    writer.append(shard.values(rows, source.column).map(text));
                }
                refs.extend(source.refs(slot, &writer));
                writers.push(writer);
            }
        }
        self.refs = refs.into();
        self.sources.extend(added);
        Ok(())
    }

    /// The readers' ends.
    pub(super) fn refs(&self) -> Arc<[TextRef]> {
        Arc::clone(&self.refs)
    }

    /// Indexes the texts of rows that were just appended: readers may see them when this returns.
    pub(super) fn append(&mut self, shard: &ShardWriter, rows: Appended) {
        if self.sources.is_empty() {
            return;
        }
        let slot = rows.first.slot as usize;
        while self.writers.len() <= slot {
            self.add_slot();
        }
        for (source, writer) in self.sources.iter().zip(&mut self.writers[slot]) {
            writer.append(shard.values(rows, source.column).map(text));
        }
    }

    /// Frees the indexes of a partition whose rows are gone, and that gets no more.
    pub(super) fn release(&mut self, slot: u32) {
        if let Some(writers) = self.writers.get_mut(slot as usize) {
            *writers = Vec::new();
            self.refs = self.refs.iter().filter(|text| text.slot != slot).cloned().collect();
        }
    }

    fn add_slot(&mut self) {
        let writers: Vec<TextWriter> = self.sources.iter().map(Source::writer).collect();
        let mut refs = self.refs.to_vec();
        for (source, writer) in self.sources.iter().zip(&writers) {
            refs.extend(source.refs(self.writers.len(), writer));
        }
        self.refs = refs.into();
        self.writers.push(writers);
    }
}

/// The sources among the columns from `from` on.
fn sources(
    schema: &CollectionSchema,
    specs: &[ColumnSpec],
    from: usize,
) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    for (column, spec) in specs.iter().enumerate().skip(from) {
        let Some(field) = schema.field_by_id(spec.field) else { continue };
        let is_bm25 =
            |f: &&FunctionSchema| f.kind == FunctionKind::Bm25 && f.inputs.contains(&field.id);
        let outputs = schema.functions.iter().filter(is_bm25).flat_map(|f| &f.outputs);
        let mut readers: Vec<FieldId> = outputs.copied().collect();
        let matched = field.type_param("enable_match");
        let with_positions =
            matched.is_some_and(|v| matches!(v, "1" | "t" | "T" | "true" | "TRUE" | "True"));
        if with_positions {
            readers.push(field.id);
        }
        if !readers.is_empty() {
            let analyzer = Analyzer::from_params(field.type_param("analyzer_params"));
            let analyzer = analyzer.map_err(|fault| fault.message)?;
            sources.push(Source { column, analyzer, with_positions, readers });
        }
    }
    Ok(sources)
}

/// The text of a value. It was checked where it came in; bytes that are none have no words.
fn text(value: Option<&[u8]>) -> &str {
    std::str::from_utf8(value.unwrap_or_default()).unwrap_or_default()
}
