//! Columns of a chunk: one buffer for values of fixed width, two for values of different lengths,
//! and one for which rows have a value, made when the first null comes.

use std::sync::OnceLock;

use bytes::Bytes;
use millstream_catalog::model::DataType;

use crate::chunk::{Plain, Reader, Writer, buffer};
use crate::frozen::FrozenColumn;
use crate::input::{ColumnInput, Input};
use crate::spec::{ColumnSpec, NormFn};

/// The published values of a column. A null row holds zero, or an empty value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ColumnSlice<'a> {
    /// 0 or 1 a row.
    Bool(&'a [u8]),
    /// Int8.
    Int8(&'a [i8]),
    /// Int16.
    Int16(&'a [i16]),
    /// Int32.
    Int32(&'a [i32]),
    /// Int64.
    Int64(&'a [i64]),
    /// Float.
    Float(&'a [f32]),
    /// Double.
    Double(&'a [f64]),
    /// VarChar, JSON, Array or sparse vectors: row `i` is `bytes[offsets[i]..offsets[i + 1]]`;
    /// `rows + 1` offsets.
    Var {
        /// Offsets.
        offsets: &'a [u32],
        /// All values, one after the other.
        bytes: &'a [u8],
    },
    /// Float vectors, row-major `[rows, dim]`, with `1 / |x|` of each row.
    Vector {
        /// Components.
        data: &'a [f32],
        /// Inverse norms; 0 for a zero vector.
        inv_norms: &'a [f32],
    },
    /// Float16 vectors, row-major `[rows, dim]`.
    Half {
        /// Components, as the bits of IEEE half precision.
        data: &'a [u16],
        /// Inverse norms; 0 for a zero vector.
        inv_norms: &'a [f32],
    },
    /// BFloat16 vectors, row-major `[rows, dim]`.
    BHalf {
        /// Components, as the upper halves of f32.
        data: &'a [u16],
        /// Inverse norms; 0 for a zero vector.
        inv_norms: &'a [f32],
    },
    /// Int8 vectors, row-major `[rows, dim]`.
    Int8s {
        /// Components.
        data: &'a [i8],
        /// Inverse norms; 0 for a zero vector.
        inv_norms: &'a [f32],
    },
    /// Binary vectors, row-major `[rows, dim / 8]`.
    Binary {
        /// Eight components a byte, the first in the highest bit.
        data: &'a [u8],
    },
}

/// The writer's end of dense vectors.
pub(crate) struct DenseWriter<T: Plain> {
    data: Writer<T>,
    inv_norms: Writer<f32>,
    /// The writer's own view of what it wrote: norms are computed from aligned memory.
    reader: Reader<T>,
    data_type: DataType,
    dim: usize,
}

/// The readers' end of dense vectors.
pub(crate) struct DenseReader<T: Plain> {
    data: Reader<T>,
    inv_norms: Reader<f32>,
    dim: usize,
}

enum Values {
    U8(Writer<u8>),
    I8(Writer<i8>),
    I16(Writer<i16>),
    I32(Writer<i32>),
    I64(Writer<i64>),
    F32(Writer<f32>),
    F64(Writer<f64>),
    Var { offsets: Writer<u32>, bytes: Writer<u8> },
    Vector(DenseWriter<f32>),
    Half(DenseWriter<u16>),
    Int8s(DenseWriter<i8>),
    Binary { data: Writer<u8>, width: usize },
}

enum Slices {
    U8(Reader<u8>),
    I8(Reader<i8>),
    I16(Reader<i16>),
    I32(Reader<i32>),
    I64(Reader<i64>),
    F32(Reader<f32>),
    F64(Reader<f64>),
    Var { offsets: Reader<u32>, bytes: Reader<u8> },
    Vector(DenseReader<f32>),
    Half(DenseReader<u16>),
    BHalf(DenseReader<u16>),
    Int8s(DenseReader<i8>),
    Binary { data: Reader<u8>, width: usize },
}

/// The writer's end of a column.
pub(crate) struct ColumnWriter {
    values: Values,
    /// There is one as soon as a row of the chunk is null.
    validity: Option<Writer<u8>>,
    rows: usize,
}

/// The readers' end of a column.
pub(crate) struct ColumnReader {
    values: Slices,
    /// Set before the first row that is null is published.
    validity: OnceLock<Reader<u8>>,
}

fn dense<T: Plain>(spec: &ColumnSpec, rows: usize) -> (DenseWriter<T>, DenseReader<T>) {
    let (data_type, dim) = (spec.data_type, spec.dim);
    let (data, data_reader) = buffer(rows * dim);
    let (inv_norms, norms_reader) = buffer(rows);
    let reader = data_reader.clone();
    (
        DenseWriter { data, inv_norms, reader, data_type, dim },
        DenseReader { data: data_reader, inv_norms: norms_reader, dim },
    )
}

/// Makes the two ends of a column for `rows` rows and, of different lengths, `var_bytes` bytes.
pub(crate) fn column(
    spec: &ColumnSpec,
    rows: usize,
    var_bytes: usize,
) -> (ColumnWriter, ColumnReader) {
    let (writer, reader) = values(spec, rows, var_bytes);
    (
        ColumnWriter { values: writer, validity: None, rows },
        ColumnReader { values: reader, validity: OnceLock::new() },
    )
}

fn values(spec: &ColumnSpec, rows: usize, var_bytes: usize) -> (Values, Slices) {
    macro_rules! plain {
        ($variant:ident) => {{
            let (writer, reader) = buffer(rows);
            (Values::$variant(writer), Slices::$variant(reader))
        }};
    }
    macro_rules! dense {
        ($writer:ident, $reader:ident) => {{
            let (writer, reader) = dense(spec, rows);
            (Values::$writer(writer), Slices::$reader(reader))
        }};
    }
    match spec.data_type {
        DataType::Bool => plain!(U8),
        DataType::Int8 => plain!(I8),
        DataType::Int16 => plain!(I16),
        DataType::Int32 => plain!(I32),
        DataType::Int64 => plain!(I64),
        DataType::Float => plain!(F32),
        DataType::Double => plain!(F64),
        DataType::FloatVector => dense!(Vector, Vector),
        DataType::Float16Vector => dense!(Half, Half),
        DataType::BFloat16Vector => dense!(Half, BHalf),
        DataType::Int8Vector => dense!(Int8s, Int8s),
        DataType::BinaryVector => {
            let width = spec.dim.div_ceil(8);
            let (data, reader) = buffer(rows * width);
            (Values::Binary { data, width }, Slices::Binary { data: reader, width })
        }
        DataType::VarChar | DataType::Array | DataType::Json | DataType::SparseFloatVector => {
            let (mut offsets, offsets_reader) = buffer(rows + 1);
            let started = offsets.push(&[0]);
            debug_assert!(started, "a column has room for its first offset");
            let (bytes, bytes_reader) = buffer(var_bytes);
            (
                Values::Var { offsets, bytes },
                Slices::Var { offsets: offsets_reader, bytes: bytes_reader },
            )
        }
    }
}

/// The values of a column of fixed width, of a whole number of rows.
fn frozen_values(spec: &ColumnSpec, values: Bytes, inv_norms: Option<Bytes>) -> Option<Slices> {
    fn dense<T: Plain>(
        dim: usize,
        values: Bytes,
        inv_norms: Option<Bytes>,
    ) -> Option<DenseReader<T>> {
        Some(DenseReader {
            data: Reader::frozen(values)?,
            inv_norms: Reader::frozen(inv_norms?)?,
            dim,
        })
    }
    let dim = spec.dim;
    Some(match spec.data_type {
        DataType::Bool => Slices::U8(Reader::frozen(values)?),
        DataType::Int8 => Slices::I8(Reader::frozen(values)?),
        DataType::Int16 => Slices::I16(Reader::frozen(values)?),
        DataType::Int32 => Slices::I32(Reader::frozen(values)?),
        DataType::Int64 => Slices::I64(Reader::frozen(values)?),
        DataType::Float => Slices::F32(Reader::frozen(values)?),
        DataType::Double => Slices::F64(Reader::frozen(values)?),
        DataType::FloatVector => Slices::Vector(dense(dim, values, inv_norms)?),
        DataType::Float16Vector => Slices::Half(dense(dim, values, inv_norms)?),
        DataType::BFloat16Vector => Slices::BHalf(dense(dim, values, inv_norms)?),
        DataType::Int8Vector => Slices::Int8s(dense(dim, values, inv_norms)?),
        DataType::BinaryVector => {
            Slices::Binary { data: Reader::frozen(values)?, width: dim.div_ceil(8) }
        }
        DataType::VarChar | DataType::Array | DataType::Json | DataType::SparseFloatVector => {
            return None;
        }
    })
}

impl ColumnWriter {
    /// Bytes of different lengths that still fit; unbounded for columns of fixed width.
    pub(crate) fn var_room(&self) -> usize {
        match &self.values {
            Values::Var { bytes, .. } => bytes.room(),
            _ => usize::MAX,
        }
    }

    /// Appends rows `from..to` of `input`, which fits by construction of the chunk, behind the
    /// `before` rows that are there. `reader` is the other end.
    pub(crate) fn append(
        &mut self,
        reader: &ColumnReader,
        input: &ColumnInput<'_>,
        (from, to): (usize, usize),
        before: usize,
        norms: NormFn,
    ) -> bool {
        self.append_validity(reader, input.nulls(from, to), before, to - from)
            && self.append_values(&input.values, from, to, norms)
    }

    /// Costs nothing in a chunk without nulls.
    fn append_validity(
        &mut self,
        reader: &ColumnReader,
        nulls: Option<&[u8]>,
        before: usize,
        count: usize,
    ) -> bool {
        if self.validity.is_none() && nulls.is_none() {
            return true;
        }
        let capacity = self.rows;
        let writer = self.validity.get_or_insert_with(|| {
            let (mut writer, validity) = buffer(capacity);
            let pushed = writer.push(&vec![1; before]);
            let set = reader.validity.set(validity);
            debug_assert!(pushed && set.is_ok(), "the first null of a chunk makes its validity");
            writer
        });
        match nulls {
            Some(valid) => writer.push(valid),
            None => writer.push(&vec![1; count]),
        }
    }

    fn append_values(&mut self, input: &Input<'_>, from: usize, to: usize, norms: NormFn) -> bool {
        let part = |width: usize| match *input {
            Input::Fixed(bytes) => bytes.get(from * width..to * width).unwrap_or_default(),
            Input::Var { .. } => &[],
        };
        match &mut self.values {
            Values::U8(w) => w.push_bytes(part(1)),
            Values::I8(w) => w.push_bytes(part(1)),
            Values::I16(w) => w.push_bytes(part(2)),
            Values::I32(w) => w.push_bytes(part(4)),
            Values::I64(w) => w.push_bytes(part(8)),
            Values::F32(w) => w.push_bytes(part(4)),
            Values::F64(w) => w.push_bytes(part(8)),
            Values::Vector(w) => w.append(part(w.dim * 4), to - from, norms),
            Values::Half(w) => w.append(part(w.dim * 2), to - from, norms),
            Values::Int8s(w) => w.append(part(w.dim), to - from, norms),
            Values::Binary { data, width } => data.push_bytes(part(*width)),
            Values::Var { offsets, bytes } => append_var(offsets, bytes, input, from, to),
        }
    }
}

impl<T: Plain> DenseWriter<T> {
    fn append(&mut self, vectors: &[u8], rows: usize, norms: NormFn) -> bool {
        let before = self.data.len() * size_of::<T>();
        if !self.data.push_bytes(vectors) {
            return false;
        }
        let mut values = vec![0.0; rows];
        norms(self.data_type, self.dim, &self.reader.as_bytes()[before..], &mut values);
        self.inv_norms.push(&values)
    }
}

fn append_var(
    offsets: &mut Writer<u32>,
    bytes: &mut Writer<u8>,
    input: &Input<'_>,
    from: usize,
    to: usize,
) -> bool {
    let Input::Var { offsets: source, bytes: all } = *input else { return false };
    let start = Input::offset(source, from);
    let Some(part) = all.get(start..Input::offset(source, to)) else { return false };
    let base = bytes.len();
    if !bytes.push(part) {
        return false;
    }
    (from + 1..=to).all(|i| {
        let end = base + Input::offset(source, i) - start;
        u32::try_from(end).is_ok_and(|end| offsets.push(&[end]))
    })
}

impl<T: Plain> DenseReader<T> {
    fn slices(&self, rows: usize) -> (&[T], &[f32]) {
        (&self.data.as_slice()[..rows * self.dim], &self.inv_norms.as_slice()[..rows])
    }
}

impl ColumnReader {
    /// A column whose rows `from..to` lie in somebody else's memory; `None` when what lies there does
    /// not have the form of the column.
    pub(crate) fn frozen(
        spec: &ColumnSpec,
        column: &FrozenColumn,
        (from, to): (usize, usize),
    ) -> Option<ColumnReader> {
        let part = |bytes: &Bytes, width: usize| {
            (bytes.len() >= to * width).then(|| bytes.slice(from * width..to * width))
        };
        let validity = OnceLock::new();
        if let Some(bytes) = &column.validity {
            let bytes = part(bytes, 1)?;
            if bytes.contains(&0) {
                validity.set(Reader::frozen(bytes)?).ok()?;
            }
        }
        let values = match &column.offsets {
            Some(offsets) => {
                // One offset more than rows.
                let end = (to + 1) * 4;
                let offsets = (offsets.len() >= end).then(|| offsets.slice(from * 4..end))?;
                let bytes = Reader::frozen(column.values.clone())?;
                Slices::Var { offsets: Reader::frozen(offsets)?, bytes }
            }
            None => {
                let norms = column.inv_norms.as_ref().map(|norms| part(norms, 4));
                frozen_values(spec, part(&column.values, spec.width()?)?, norms.flatten())?
            }
        };
        let is_var = matches!(values, Slices::Var { .. });
        (is_var == spec.width().is_none()).then_some(ColumnReader { values, validity })
    }

    /// The first `rows` values, all of them published.
    pub(crate) fn slice(&self, rows: usize) -> ColumnSlice<'_> {
        match &self.values {
            Slices::U8(r) => ColumnSlice::Bool(&r.as_slice()[..rows]),
            Slices::I8(r) => ColumnSlice::Int8(&r.as_slice()[..rows]),
            Slices::I16(r) => ColumnSlice::Int16(&r.as_slice()[..rows]),
            Slices::I32(r) => ColumnSlice::Int32(&r.as_slice()[..rows]),
            Slices::I64(r) => ColumnSlice::Int64(&r.as_slice()[..rows]),
            Slices::F32(r) => ColumnSlice::Float(&r.as_slice()[..rows]),
            Slices::F64(r) => ColumnSlice::Double(&r.as_slice()[..rows]),
            Slices::Var { offsets, bytes } => {
                ColumnSlice::Var { offsets: &offsets.as_slice()[..=rows], bytes: bytes.as_slice() }
            }
            Slices::Vector(r) => {
                let (data, inv_norms) = r.slices(rows);
                ColumnSlice::Vector { data, inv_norms }
            }
            Slices::Half(r) => {
                let (data, inv_norms) = r.slices(rows);
                ColumnSlice::Half { data, inv_norms }
            }
            Slices::BHalf(r) => {
                let (data, inv_norms) = r.slices(rows);
                ColumnSlice::BHalf { data, inv_norms }
            }
            Slices::Int8s(r) => {
                let (data, inv_norms) = r.slices(rows);
                ColumnSlice::Int8s { data, inv_norms }
            }
            Slices::Binary { data, width } => {
                ColumnSlice::Binary { data: &data.as_slice()[..rows * width] }
            }
        }
    }

    /// Bytes of values of different lengths; 0 in a column of fixed width.
    pub(crate) fn var_bytes(&self) -> usize {
        match &self.values {
            Slices::Var { bytes, .. } => bytes.as_slice().len(),
            _ => 0,
        }
    }

    /// Which of the first `rows` rows have a value; `None` when all have.
    pub(crate) fn validity(&self, rows: usize) -> Option<&[u8]> {
        self.validity.get().map(|validity| &validity.as_slice()[..rows])
    }

    /// The value of a published row as a batch has it.
    pub(crate) fn value(&self, row: usize) -> &[u8] {
        fn of<T: Plain>(reader: &Reader<T>, row: usize, count: usize) -> &[u8] {
            let width = count * size_of::<T>();
            &reader.as_bytes()[row * width..(row + 1) * width]
        }
        match &self.values {
            Slices::U8(r) => of(r, row, 1),
            Slices::I8(r) => of(r, row, 1),
            Slices::I16(r) => of(r, row, 1),
            Slices::I32(r) => of(r, row, 1),
            Slices::I64(r) => of(r, row, 1),
            Slices::F32(r) => of(r, row, 1),
            Slices::F64(r) => of(r, row, 1),
            Slices::Vector(r) => of(&r.data, row, r.dim),
            Slices::Half(r) | Slices::BHalf(r) => of(&r.data, row, r.dim),
            Slices::Int8s(r) => of(&r.data, row, r.dim),
            Slices::Binary { data, width } => of(data, row, *width),
            Slices::Var { offsets, bytes } => {
                let offsets = offsets.as_slice();
                &bytes.as_slice()[offsets[row] as usize..offsets[row + 1] as usize]
            }
        }
    }

    /// Whether a published row has a value.
    pub(crate) fn is_valid(&self, row: usize) -> bool {
        self.validity.get().is_none_or(|validity| validity.as_slice()[row] == 1)
    }
}
