//! Reading a table in place: everything is checked when it is opened, nothing is copied but nulls.

use std::collections::HashSet;
use std::ops::Range;

use arrow_ipc::{
    Block, CompressionType, Endianness, FieldNode, Footer, KeyValue, MetadataVersion, RecordBatch,
    root_as_footer_with_opts, root_as_message_with_opts,
};
use bytemuck::AnyBitPattern;
use bytes::Bytes;
use flatbuffers::{ForwardsUOffset, Vector, VerifierOptions};

use super::kind::ColumnKind;
use super::layout::{CONTINUATION, MAGIC, PREFIX_BYTES};
use super::{MEANING_KEY, VERSION, VERSION_KEY};
use crate::error::Corrupt;
use crate::map::{ALIGNMENT, aligned};

/// Longest footer or message: more than any table of ours has.
const MESSAGE_BYTES_MAX: usize = 64 << 20;

/// A table in memory, usually mapped.
#[derive(Clone, Debug)]
pub struct Table {
    rows: usize,
    metadata: Vec<(String, String)>,
    columns: Vec<(String, Stored)>,
}

/// A column as it lies in the file.
#[derive(Clone, Debug)]
struct Stored {
    kind: ColumnKind,
    meaning: Option<String>,
    values: Bytes,
    offsets: Option<Bytes>,
    bitmap: Option<Bytes>,
    nulls: usize,
}

/// A column, its buffers being slices of the file at multiples of 64 bytes.
#[derive(Clone, Debug)]
pub struct Column {
    /// What the values are.
    pub kind: ColumnKind,
    /// What they mean beyond that.
    pub meaning: Option<String>,
    /// Values, little-endian: of all rows of the kind's width, or all of different lengths.
    pub values: Bytes,
    /// `rows + 1` offsets into the values as u32, from 0 and not decreasing; for different lengths.
    pub offsets: Option<Bytes>,
    /// One byte a row, 0 where the row is null; only where a row is. Not a slice of the file.
    pub validity: Option<Bytes>,
    /// Rows that are null.
    pub nulls: usize,
}

impl Column {
    /// The values as numbers; none when they are no whole number of them.
    pub fn values_as<T: AnyBitPattern>(&self) -> Option<&[T]> {
        const { assert!(cfg!(target_endian = "little"), "columns are little-endian") };
        bytemuck::try_cast_slice(&self.values).ok()
    }

    /// The offsets as numbers; empty for columns without.
    pub fn offsets(&self) -> &[u32] {
        self.offsets.as_ref().map_or(&[], |bytes| bytemuck::cast_slice(bytes))
    }
}

impl Table {
    /// Opens the file `name` by its bytes, checking every length, type and offset. The values
    /// themselves are not looked at: what guards them is the checksum in the file's [`FileRef`].
    /// Bytes that are not aligned, as those of a mapped file are, are copied once.
    ///
    /// [`FileRef`]: crate::FileRef
    pub fn open(name: &str, bytes: Bytes) -> Result<Table, Corrupt> {
        read(&aligned(bytes)).map_err(|what| Corrupt { file: name.to_owned(), what })
    }

    /// Rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The metadata value of a key.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        let found = self.metadata.iter().find(|(found, _)| found == key);
        found.map(|(_, value)| value.as_str())
    }

    /// Names of all columns, in the order of the file.
    pub fn column_names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// The column of a name. Nulls are spread to bytes at each call, everything else is shared.
    pub fn column(&self, name: &str) -> Option<Column> {
        let (_, stored) = self.columns.iter().find(|(found, _)| found == name)?;
        Some(Column {
            kind: stored.kind,
            meaning: stored.meaning.clone(),
            values: stored.values.clone(),
            offsets: stored.offsets.clone(),
            validity: stored.bitmap.as_ref().map(|bitmap| spread(bitmap, self.rows)),
            nulls: stored.nulls,
        })
    }
}

/// The bits of every byte as bytes, the lowest first.
const BITS: [[u8; 8]; 256] = {
    let mut table = [[0; 8]; 256];
    let mut place = 0;
    while place < 256 * 8 {
        table[place / 8][place % 8] = (((place / 8) >> (place % 8)) & 1) as u8;
        place += 1;
    }
    table
};

/// One byte for each bit.
fn spread(bitmap: &[u8], rows: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(bitmap.len() * 8);
    for byte in bitmap {
        bytes.extend_from_slice(&BITS[*byte as usize]);
    }
    bytes.truncate(rows);
    bytes.into()
}

fn read(bytes: &Bytes) -> Result<Table, String> {
    let (footer_at, footer) = footer(bytes)?;
    if footer.version() != MetadataVersion::V5 {
        return Err(format!("a footer of version {:?}", footer.version()));
    }
    let schema = footer.schema().ok_or("no schema")?;
    if schema.endianness() != Endianness::Little {
        return Err("numbers that are not little-endian".into());
    }
    let metadata = pairs(schema.custom_metadata());
    match metadata.iter().find(|(key, _)| key == VERSION_KEY) {
        Some((_, version)) if version == VERSION => {}
        Some((_, version)) => return Err(format!("a table of version {version:?}")),
        None => return Err(format!("no {VERSION_KEY} in its metadata")),
    }
    if footer.dictionaries().is_some_and(|dictionaries| !dictionaries.is_empty()) {
        return Err("dictionaries".into());
    }
    let blocks = footer.recordBatches().filter(|blocks| blocks.len() == 1);
    let block = blocks.ok_or("not one record batch")?.get(0);
    let (batch, body) = batch(bytes, block, footer_at)?;
    let mut parts = Parts::new(bytes, &batch, body)?;
    let fields = schema.fields().ok_or("no columns")?;
    let mut columns = Vec::with_capacity(fields.len());
    let mut names = HashSet::with_capacity(fields.len());
    for field in fields {
        let name = field.name().unwrap_or_default();
        if !names.insert(name) {
            return Err(format!("two columns named {name:?}"));
        }
        let column = parts.column(&field).map_err(|what| format!("column {name:?}: {what}"))?;
        columns.push((name.to_owned(), column));
    }
    if parts.next_node < parts.nodes.len() || parts.next_buffer < parts.buffers.len() {
        return Err("more buffers than its columns have".into());
    }
    if columns.is_empty() && parts.rows > 0 {
        return Err(format!("{} rows without columns", parts.rows));
    }
    Ok(Table { rows: parts.rows, metadata, columns })
}

fn options() -> VerifierOptions {
    VerifierOptions { max_apparent_size: MESSAGE_BYTES_MAX, ..VerifierOptions::default() }
}

/// The footer, and where it begins.
fn footer(bytes: &[u8]) -> Result<(usize, Footer<'_>), String> {
    let rest = bytes.strip_suffix(MAGIC).filter(|rest| rest.starts_with(MAGIC));
    let rest = rest.ok_or("not an Arrow file")?;
    let (rest, length) = rest.split_last_chunk::<4>().ok_or("no footer")?;
    let length = usize::try_from(i32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let begin = rest.len().checked_sub(length).filter(|_| length <= MESSAGE_BYTES_MAX);
    let begin = begin.ok_or("a footer longer than the file")?;
    let footer = root_as_footer_with_opts(&options(), &rest[begin..]);
    Ok((begin, footer.map_err(|e| format!("its footer: {e}"))?))
}

/// The record batch, and where its body lies.
fn batch<'a>(
    bytes: &'a [u8],
    block: &Block,
    end: usize,
) -> Result<(RecordBatch<'a>, Range<usize>), String> {
    let size = |length: i64| usize::try_from(length).ok();
    let place = || {
        let begin = size(block.offset())?;
        let body = begin.checked_add(size(i64::from(block.metaDataLength()))?)?;
        let body = body..body.checked_add(size(block.bodyLength())?)?;
        (body.end <= end && body.start - begin <= MESSAGE_BYTES_MAX).then_some((begin, body))
    };
    let (begin, body) = place().ok_or("a record batch outside of the file")?;
    let message = &bytes[begin..body.start];
    let length = (message.len().saturating_sub(PREFIX_BYTES) as u32).to_le_bytes();
    let message = message.strip_prefix(&CONTINUATION).and_then(|rest| rest.strip_prefix(&length));
    let message = message.ok_or("a record batch without a prefix")?;
    let message = root_as_message_with_opts(&options(), message);
    let message = message.map_err(|e| format!("its record batch: {e}"))?;
    if message.version() != MetadataVersion::V5 || message.bodyLength() != block.bodyLength() {
        return Err("a record batch that is not the footer's".into());
    }
    let batch = message.header_as_record_batch().ok_or("no record batch")?;
    if let Some(compression) = batch.compression() {
        let codec: CompressionType = compression.codec();
        return Err(format!("values compressed by {codec:?}"));
    }
    Ok((batch, body))
}

fn pairs(list: Option<Vector<'_, ForwardsUOffset<KeyValue<'_>>>>) -> Vec<(String, String)> {
    let pair = |pair: KeyValue<'_>| Some((pair.key()?.to_owned(), pair.value()?.to_owned()));
    list.into_iter().flatten().filter_map(pair).collect()
}

/// Nodes and buffers of the record batch, taken in the order of the columns.
struct Parts<'a> {
    file: &'a Bytes,
    body: Range<usize>,
    rows: usize,
    nodes: Vector<'a, FieldNode>,
    next_node: usize,
    buffers: Vector<'a, arrow_ipc::Buffer>,
    next_buffer: usize,
}

impl<'a> Parts<'a> {
    fn new(
        file: &'a Bytes,
        batch: &RecordBatch<'a>,
        body: Range<usize>,
    ) -> Result<Parts<'a>, String> {
        let rows = usize::try_from(batch.length()).map_err(|_| "less than no rows")?;
        let (nodes, buffers) = (batch.nodes().ok_or("no nodes")?, batch.buffers());
        let buffers = buffers.ok_or("no buffers")?;
        Ok(Parts { file, body, rows, nodes, next_node: 0, buffers, next_buffer: 0 })
    }

    fn column(&mut self, field: &arrow_ipc::Field<'_>) -> Result<Stored, String> {
        let mut metadata = pairs(field.custom_metadata()).into_iter();
        let meaning = metadata.find(|(key, _)| key == MEANING_KEY).map(|(_, value)| value);
        let kind = ColumnKind::of(field, meaning.as_deref());
        let kind = kind.ok_or_else(|| format!("a {:?} that is no kind", field.type_type()))?;
        let nulls = self.node(self.rows)?;
        let bitmap = self.bitmap(nulls)?;
        if let Some(dim) = kind.child_dim() {
            let components = self.rows.checked_mul(dim as usize).ok_or("too many components")?;
            if self.node(components)? > 0 {
                return Err("components that are null".into());
            }
            self.exact(Some(0), "validity of components")?;
        }
        let (offsets, values) = match kind.width() {
            Some(width) => (None, self.exact(self.rows.checked_mul(width), "values")?),
            None => {
                let bytes = self.rows.checked_add(1).and_then(|count| count.checked_mul(4));
                let offsets = self.exact(bytes, "offsets")?;
                let values = self.buffer("values")?;
                check_offsets(bytemuck::cast_slice(&offsets), values.len())?;
                (Some(offsets), values)
            }
        };
        Ok(Stored { kind, meaning, values, offsets, bitmap, nulls })
    }

    /// Takes the next node, which has this length; its nulls.
    fn node(&mut self, length: usize) -> Result<usize, String> {
        if self.next_node >= self.nodes.len() {
            return Err("no node".into());
        }
        let node = self.nodes.get(self.next_node);
        self.next_node += 1;
        if usize::try_from(node.length()) != Ok(length) {
            return Err(format!("a length of {}, not {length}", node.length()));
        }
        let nulls = usize::try_from(node.null_count()).ok().filter(|nulls| *nulls <= length);
        nulls.ok_or_else(|| format!("{} nulls", node.null_count()))
    }

    /// Takes the next buffer: a slice of the file.
    fn buffer(&mut self, what: &str) -> Result<Bytes, String> {
        if self.next_buffer >= self.buffers.len() {
            return Err(format!("no {what}"));
        }
        let buffer = self.buffers.get(self.next_buffer);
        self.next_buffer += 1;
        let place = || {
            let begin = self.body.start.checked_add(usize::try_from(buffer.offset()).ok()?)?;
            let end = begin.checked_add(usize::try_from(buffer.length()).ok()?)?;
            (end <= self.body.end && begin.is_multiple_of(ALIGNMENT)).then_some(begin..end)
        };
        let place = place().ok_or_else(|| format!("{what} outside of the body"))?;
        Ok(self.file.slice(place))
    }

    /// Takes the next buffer, which has this length.
    fn exact(&mut self, bytes: Option<usize>, what: &str) -> Result<Bytes, String> {
        let buffer = self.buffer(what)?;
        if Some(buffer.len()) == bytes {
            return Ok(buffer);
        }
        Err(format!("{} bytes of {what} for {} rows", buffer.len(), self.rows))
    }

    /// Takes the bitmap of a column, which is there when a row is null.
    fn bitmap(&mut self, nulls: usize) -> Result<Option<Bytes>, String> {
        let rows = self.rows;
        let bytes = if nulls > 0 { rows.div_ceil(8) } else { 0 };
        let bitmap = self.exact(Some(bytes), "validity")?;
        if nulls == 0 {
            return Ok(None);
        }
        let ones: usize = bitmap.iter().map(|byte| byte.count_ones() as usize).sum();
        if ones != rows - nulls {
            return Err(format!("{ones} values and {nulls} nulls in {rows} rows"));
        }
        Ok(Some(bitmap))
    }
}

fn check_offsets(offsets: &[u32], bytes: usize) -> Result<(), String> {
    let (first, last) = (offsets.first().copied(), offsets.last().map(|last| *last as usize));
    if first != Some(0) || last != Some(bytes) || !offsets.is_sorted() {
        return Err(format!("offsets that are not those of {bytes} bytes"));
    }
    Ok(())
}
