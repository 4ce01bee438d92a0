//! Columns that came after the rows: the default of the field for all of them, or null.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::chunk::{Reader, buffer};
use crate::column::ColumnReader;
use crate::frozen::{Corrupt, FrozenColumn};
use crate::rows::Chunk;
use crate::spec::ColumnSpec;

/// The columns that a chunk got after its rows: a short list that only grows, and is read without
/// waiting.
#[derive(Default)]
pub(crate) struct LaterColumns(OnceLock<Box<Link>>);

struct Link {
    column: ColumnReader,
    next: LaterColumns,
}

impl LaterColumns {
    /// Number of columns.
    pub(crate) fn len(&self) -> usize {
        self.0.get().map_or(0, |link| 1 + link.next.len())
    }

    /// A column.
    pub(crate) fn get(&self, index: usize) -> Option<&ColumnReader> {
        let link = self.0.get()?;
        if index == 0 { Some(&link.column) } else { link.next.get(index - 1) }
    }

    /// Adds a column at the end. Only one thread does so at a time.
    fn push(&self, column: ColumnReader) {
        match self.0.get() {
            Some(link) => link.next.push(column),
            None => {
                let added = self.0.set(Box::new(Link { column, next: LaterColumns::default() }));
                debug_assert!(added.is_ok(), "one writer adds columns");
            }
        }
    }
}

/// Memory that is aligned to words, kept by whoever looks at it.
struct Words(Reader<u64>);

impl AsRef<[u8]> for Words {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Bytes, aligned for values of any width.
fn aligned(mut bytes: Vec<u8>) -> Bytes {
    let length = bytes.len();
    let words = length.div_ceil(8);
    bytes.resize(words * 8, 0);
    let (mut writer, reader) = buffer::<u64>(words);
    let fits = writer.push_bytes(&bytes);
    debug_assert!(fits, "the buffer has the length of the bytes");
    Bytes::from_owner(Words(reader)).slice(..length)
}

/// What `rows` rows have in a column that came after them.
fn filled(spec: &ColumnSpec, rows: usize) -> FrozenColumn {
    let default = spec.default.as_deref();
    let value = default.unwrap_or_default();
    let (values, offsets) = match spec.width() {
        Some(width) if value.len() != width => (vec![0; width * rows], None),
        Some(_) => (value.repeat(rows), None),
        None => {
            let ends = (0..=rows).flat_map(|row| ((row * value.len()) as u32).to_le_bytes());
            (value.repeat(rows), Some(aligned(ends.collect())))
        }
    };
    let validity = default.is_none().then(|| Bytes::from(vec![0; rows]));
    FrozenColumn { values: aligned(values), offsets, inv_norms: None, validity }
}

/// Gives chunks the columns of `specs` that they lack; they share what these hold.
///
/// # Errors
/// [`Corrupt`] for a column that rows cannot lack, and nothing is changed in its place.
pub(crate) fn complete(specs: &[ColumnSpec], chunks: &[Arc<Chunk>]) -> Result<(), Corrupt> {
    let Some(first) = chunks.iter().map(|chunk| chunk.columns()).min() else { return Ok(()) };
    for (index, spec) in specs.iter().enumerate().skip(first) {
        let lacking = || chunks.iter().filter(move |chunk| chunk.columns() == index);
        let Some(rows) = lacking().map(|chunk| chunk.rows()).max() else { continue };
        let refused = || Corrupt::Column(spec.field);
        if spec.is_required() || spec.data_type.is_vector() {
            return Err(refused());
        }
        let column = filled(spec, rows);
        for chunk in lacking() {
            let reader = ColumnReader::frozen(spec, &column, (0, chunk.rows()));
            chunk.later().push(reader.ok_or_else(refused)?);
        }
    }
    Ok(())
}
