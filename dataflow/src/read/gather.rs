//! Fetches the values of chosen rows into columns of an answer.

use bytes::{BufMut, Bytes, BytesMut};
use millstream_catalog::model::{Code, DataType, Fault};
use millstream_segment::{ColumnSlice, Selection};

use crate::api::{Column, Values};

/// The most bytes that one column of one answer may hold.
const COLUMN_BYTES_MAX: usize = 256 << 20;

/// A row as (place of its chunk in the selection, offset in the chunk).
pub(super) type Place = (u32, u32);

/// The places of numbered rows.
pub(super) fn places(selection: &Selection, numbers: &[u32]) -> Vec<Place> {
    let place = |&number: &u32| {
        let after = selection.chunks.partition_point(|c| c.base <= number);
        let at = after.saturating_sub(1);
        (at as u32, number - selection.chunks[at].base)
    };
    numbers.iter().map(place).collect()
}

/// One column of the rows at `places`, in their order.
///
/// # Errors
/// When the values are larger than an answer may be.
pub(crate) fn gather(
    selection: &Selection,
    places: &[Place],
    index: usize,
) -> Result<Column, Fault> {
    let spec = selection.specs()[index];
    let slices: Vec<ColumnSlice<'_>> =
        selection.chunks.iter().map(|chunk| chunk.column(index)).collect();
    let at = || places.iter().map(|&(chunk, row)| (&slices[chunk as usize], row as usize));
    macro_rules! plain {
        ($slice:ident, $values:ident, $map:expr) => {
            Values::$values(
                at().filter_map(|(slice, row)| match slice {
                    ColumnSlice::$slice(values) => Some($map(values[row])),
                    _ => None,
                })
                .collect(),
            )
        };
    }
    let values = match spec.data_type {
        DataType::Bool => plain!(Bool, Bool, |v| v != 0),
        DataType::Int8 => plain!(Int8, Int, i32::from),
        DataType::Int16 => plain!(Int16, Int, i32::from),
        DataType::Int32 => plain!(Int32, Int, |v| v),
        DataType::Int64 => plain!(Int64, Long, |v| v),
        DataType::Float => plain!(Float, Float, |v| v),
        DataType::Double => plain!(Double, Double, |v| v),
        DataType::FloatVector => vectors(at(), spec.dim, places.len())?,
        DataType::Json => {
            let mut json = Vec::with_capacity(places.len());
            each_text(at(), |text| json.push(Bytes::copy_from_slice(text)))?;
            Values::Json(json)
        }
        _ => {
            let mut texts = Vec::with_capacity(places.len());
            each_text(at(), |text| texts.push(String::from_utf8_lossy(text).into_owned()))?;
            Values::Text(texts)
        }
    };
    Ok(Column { field: spec.field, data_type: spec.data_type, values })
}

fn vectors<'s>(
    at: impl Iterator<Item = (&'s ColumnSlice<'s>, usize)>,
    dim: usize,
    rows: usize,
) -> Result<Values, Fault> {
    let bytes = bounded(rows.saturating_mul(dim * 4))?;
    let mut out = BytesMut::with_capacity(bytes);
    for (slice, row) in at {
        if let ColumnSlice::Vector { data, .. } = slice {
            data[row * dim..(row + 1) * dim].iter().for_each(|&x| out.put_f32_le(x));
        }
    }
    Ok(Values::FloatVector { dim: dim as u32, data: out.freeze() })
}

fn each_text<'s>(
    at: impl Iterator<Item = (&'s ColumnSlice<'s>, usize)>,
    mut f: impl FnMut(&'s [u8]),
) -> Result<(), Fault> {
    let mut total = 0usize;
    for (slice, row) in at {
        if let ColumnSlice::Var { offsets, bytes } = slice {
            let text = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
            total = bounded(total + text.len())?;
            f(text);
        }
    }
    Ok(())
}

fn bounded(bytes: usize) -> Result<usize, Fault> {
    if bytes <= COLUMN_BYTES_MAX {
        return Ok(bytes);
    }
    let text =
        format!("the answer is larger than {COLUMN_BYTES_MAX} bytes: ask for fewer rows or fields");
    Err(Fault::new(Code::ParameterTooLarge, text))
}
