//! Fetches the values of chosen rows into columns of an answer.

use bytes::{BufMut, Bytes, BytesMut};
use millstream_catalog::model::{Code, DataType, Fault, cell};
use millstream_segment::{ColumnSlice, ColumnSpec, Selection};

use crate::api::{Column, Values};

/// The most bytes that one worker's share of an answer may hold.
const ANSWER_BYTES_MAX: usize = 512 << 20;
/// What a value of a variable size takes beside its bytes.
const VALUE_BYTES: usize = 32;

/// The bytes that an answer may still take.
pub(crate) struct Budget(usize);

impl Budget {
    /// That of a whole answer.
    pub(crate) fn of_answer() -> Budget {
        Budget(ANSWER_BYTES_MAX)
    }

    fn take(&mut self, bytes: usize) -> Result<usize, Fault> {
        match self.0.checked_sub(bytes) {
            Some(left) => self.0 = left,
            None => {
                let text = format!(
                    "query results exceed the maxOutputSize Limit: the answer is larger than \
                     {ANSWER_BYTES_MAX} bytes, ask for fewer rows or fields"
                );
                return Err(Fault::new(Code::ParameterTooLarge, text));
            }
        }
        Ok(bytes)
    }
}

/// A row as (place of its chunk in the selection, offset in the chunk).
pub(crate) type Place = (u32, u32);

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
    budget: &mut Budget,
) -> Result<Column, Fault> {
    let spec = &selection.specs()[index];
    let slices: Vec<ColumnSlice<'_>> =
        selection.chunks.iter().map(|chunk| chunk.column(index)).collect();
    let values = values(spec, &slices, places, budget)?;
    let validity = validity(selection, places, index);
    Ok(Column { field: spec.field, data_type: spec.data_type, values, validity })
}

fn values(
    spec: &ColumnSpec,
    slices: &[ColumnSlice<'_>],
    places: &[Place],
    budget: &mut Budget,
) -> Result<Values, Fault> {
    let at = || places.iter().map(|&(chunk, row)| (&slices[chunk as usize], row as usize));
    macro_rules! plain {
        ($slice:ident, $values:ident, $map:expr) => {
            Values::$values({
                budget.take(places.len() * 8)?;
                at().filter_map(|(slice, row)| match slice {
                    ColumnSlice::$slice(values) => Some($map(values[row])),
                    _ => None,
                })
                .collect()
            })
        };
    }
    let dense = |budget: &mut Budget, width: usize| {
        budget.take(places.len().saturating_mul(width))?;
        Ok::<_, Fault>(dense(slices, places, spec.dim, width))
    };
    let cells = |budget: &mut Budget, part: fn(&[u8]) -> &[u8]| {
        let mut cells = Vec::with_capacity(places.len());
        each_value(at(), budget, |value| cells.push(Bytes::copy_from_slice(part(value))))?;
        Ok::<_, Fault>(cells)
    };
    Ok(match spec.data_type {
        DataType::Bool => plain!(Bool, Bool, |v| v != 0),
        DataType::Int8 => plain!(Int8, Int, i32::from),
        DataType::Int16 => plain!(Int16, Int, i32::from),
        DataType::Int32 => plain!(Int32, Int, |v| v),
        DataType::Int64 => plain!(Int64, Long, |v| v),
        DataType::Float => plain!(Float, Float, |v| v),
        DataType::Double => plain!(Double, Double, |v| v),
        DataType::FloatVector => {
            Values::FloatVector { dim: spec.dim as u32, data: dense(budget, spec.dim * 4)? }
        }
        DataType::Float16Vector | DataType::BFloat16Vector => {
            Values::Dense { width: spec.dim as u32 * 2, data: dense(budget, spec.dim * 2)? }
        }
        DataType::Int8Vector => {
            Values::Dense { width: spec.dim as u32, data: dense(budget, spec.dim)? }
        }
        DataType::BinaryVector => {
            let width = spec.dim.div_ceil(8);
            Values::Dense { width: width as u32, data: dense(budget, width)? }
        }
        DataType::Json => Values::Json(cells(budget, cell::json_text)?),
        DataType::SparseFloatVector => Values::Sparse(cells(budget, |cell| cell)?),
        DataType::Array => {
            let element = spec.element.unwrap_or(DataType::Array);
            Values::Array { element, cells: cells(budget, |cell| cell)? }
        }
        DataType::VarChar => {
            let mut texts = Vec::with_capacity(places.len());
            each_value(at(), budget, |text| {
                texts.push(String::from_utf8_lossy(text).into_owned())
            })?;
            Values::Text(texts)
        }
    })
}

/// Which of the rows have a value; `None` when all have.
fn validity(selection: &Selection, places: &[Place], index: usize) -> Option<Vec<bool>> {
    let chunks: Vec<Option<&[u8]>> =
        selection.chunks.iter().map(|chunk| chunk.validity(index)).collect();
    if chunks.iter().all(Option::is_none) {
        return None;
    }
    let valid = |&(chunk, row): &Place| chunks[chunk as usize].is_none_or(|v| v[row as usize] != 0);
    let validity: Vec<bool> = places.iter().map(valid).collect();
    validity.contains(&false).then_some(validity)
}

/// Dense vectors of `width` bytes, in their little-endian form.
fn dense(slices: &[ColumnSlice<'_>], places: &[Place], dim: usize, width: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(places.len() * width);
    for &(chunk, row) in places {
        let row = row as usize;
        let part = row * dim..(row + 1) * dim;
        match &slices[chunk as usize] {
            ColumnSlice::Vector { data, .. } => {
                data[part].iter().for_each(|&x| out.put_f32_le(x));
            }
            ColumnSlice::Half { data, .. } | ColumnSlice::BHalf { data, .. } => {
                data[part].iter().for_each(|&x| out.put_u16_le(x));
            }
            ColumnSlice::Int8s { data, .. } => data[part].iter().for_each(|&x| out.put_i8(x)),
            ColumnSlice::Binary { data } => out.put_slice(&data[row * width..(row + 1) * width]),
            _ => {}
        }
    }
    out.freeze()
}

fn each_value<'s>(
    at: impl Iterator<Item = (&'s ColumnSlice<'s>, usize)>,
    budget: &mut Budget,
    mut f: impl FnMut(&'s [u8]),
) -> Result<(), Fault> {
    for (slice, row) in at {
        if let ColumnSlice::Var { offsets, bytes } = slice {
            let value = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
            budget.take(value.len() + VALUE_BYTES)?;
            f(value);
        }
    }
    Ok(())
}
