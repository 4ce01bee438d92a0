//! Writing a table: the framing from memory, the values straight from their pieces.

use std::io::{self, Write};

use super::input::{Piece, TableColumn, Values};
use super::layout::{
    CONTINUATION, Layout, MAGIC, PREFIX_BYTES, footer, padded, schema, schema_message,
};
use crate::checksum::{Summed, Written};
use crate::error::WriteError;
use crate::map::ALIGNMENT;

/// Offsets and bitmaps are put together in blocks of this size.
const BLOCK_BYTES: usize = 64 << 10;

/// Writes one table: an Arrow IPC file of one record batch, uncompressed, every buffer at a
/// multiple of 64 bytes. All input is checked before the first byte is written.
///
/// `metadata` becomes the schema's; its keys are unique and not `millstream:table`. Takes memory
/// for the framing only, whatever the size of the values.
pub fn write_table(
    out: &mut (impl Write + ?Sized),
    columns: &[TableColumn<'_>],
    metadata: &[(String, String)],
) -> Result<Written, WriteError> {
    let layout = Layout::of(columns)?;
    let schema = schema(columns, metadata)?;
    let mut out = Summed::new(out);
    out.write_all(MAGIC)?;
    pad(&mut out)?;
    write_message(&mut out, &schema_message(&schema))?;
    let begin = out.written().bytes;
    let message_bytes = write_message(&mut out, &layout.message())?;
    let footer = footer(&schema, layout.block(begin, message_bytes)?);
    for (column, shape) in columns.iter().zip(&layout.shapes) {
        write_column(&mut out, column, shape.nulls > 0)?;
    }
    let written = out.written().bytes - begin;
    debug_assert_eq!(written, (message_bytes + layout.body_bytes) as u64, "the body fits its plan");
    // The end of the stream, for those who read it as one.
    out.write_all(&CONTINUATION)?;
    out.write_all(&[0; 4])?;
    out.write_all(&footer)?;
    out.write_all(&length(footer.len())?)?;
    out.write_all(MAGIC)?;
    out.flush()?;
    Ok(out.written())
}

fn length(bytes: usize) -> Result<[u8; 4], WriteError> {
    let length = i32::try_from(bytes);
    let length = length.map_err(|_| WriteError::Input("a table of too many columns".into()))?;
    Ok(length.to_le_bytes())
}

/// Fills up to where the next buffer begins.
fn pad<W: Write + ?Sized>(out: &mut Summed<'_, W>) -> io::Result<()> {
    let past = (out.written().bytes % ALIGNMENT as u64) as usize;
    out.write_all(&[0; ALIGNMENT][..(ALIGNMENT - past) % ALIGNMENT])
}

/// Writes a message so that what follows is aligned; the bytes that it takes with its prefix.
fn write_message<W: Write + ?Sized>(
    out: &mut Summed<'_, W>,
    message: &[u8],
) -> Result<usize, WriteError> {
    let bytes = padded(PREFIX_BYTES + message.len());
    out.write_all(&CONTINUATION)?;
    out.write_all(&length(bytes - PREFIX_BYTES)?)?;
    out.write_all(message)?;
    pad(out)?;
    Ok(bytes)
}

fn write_column<W: Write + ?Sized>(
    out: &mut Summed<'_, W>,
    column: &TableColumn<'_>,
    nulls: bool,
) -> io::Result<()> {
    if nulls {
        write_validity(out, column)?;
        pad(out)?;
    }
    if column.kind.width().is_none() {
        write_offsets(out, &column.pieces)?;
        pad(out)?;
    }
    for piece in &column.pieces {
        out.write_all(piece.bytes())?;
    }
    pad(out)
}

/// One bit a row, the first in the lowest bit.
fn write_validity<W: Write + ?Sized>(
    out: &mut Summed<'_, W>,
    column: &TableColumn<'_>,
) -> io::Result<()> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let (mut byte, mut filled) = (0_u8, 0_u32);
    for piece in &column.pieces {
        for row in 0..piece.rows(column.kind) {
            let valid = piece.validity.is_none_or(|validity| validity[row] != 0);
            byte |= u8::from(valid) << filled;
            filled += 1;
            if filled == 8 {
                block.push(byte);
                (byte, filled) = (0, 0);
                if block.len() == BLOCK_BYTES {
                    out.write_all(&block)?;
                    block.clear();
                }
            }
        }
    }
    if filled > 0 {
        block.push(byte);
    }
    out.write_all(&block)
}

/// `rows + 1` offsets from zero, across all pieces.
fn write_offsets<W: Write + ?Sized>(
    out: &mut Summed<'_, W>,
    pieces: &[Piece<'_>],
) -> io::Result<()> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    block.push(0_u32);
    let mut base = 0_u32;
    for piece in pieces {
        let Values::Var { offsets, .. } = piece.values else { continue };
        let Some((first, rest)) = offsets.split_first() else { continue };
        for part in rest.chunks(BLOCK_BYTES / 4) {
            // The total was checked, so no sum overflows.
            block.extend(part.iter().map(|offset| base + (offset - first)));
            out.write_all(bytemuck::cast_slice(&block))?;
            block.clear();
        }
        base += offsets.last().map_or(0, |last| last - first);
    }
    out.write_all(bytemuck::cast_slice(&block))
}
