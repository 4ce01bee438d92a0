//! Columns of a chunk: one buffer for values of fixed width, two for values of varying length.

use millstream_catalog::model::{CollectionSchema, DataType, FieldId};
use thiserror::Error;

use crate::chunk::{Reader, Writer, buffer};

/// Computes `1 / |x|` of each row of `[rows, dim]` vectors into `rows` values.
pub type NormFn = fn(usize, &[f32], &mut [f32]);

/// A schema that growing segments cannot hold.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SpecError {
    /// No field is the primary key, or its type is neither Int64 nor VarChar.
    #[error("the schema has no Int64 or VarChar primary key")]
    NoPrimaryKey,
    /// A field has a type that has no column form.
    #[error("field {field} of type {data_type:?} cannot be stored")]
    Unsupported {
        /// The field.
        field: FieldId,
        /// Its type.
        data_type: DataType,
    },
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// The field.
    pub field: FieldId,
    /// Its type.
    pub data_type: DataType,
    /// Dimension of a vector field, otherwise 0.
    pub dim: usize,
}

impl ColumnSpec {
    /// The columns of a schema, in its order, and the place of the primary key among them.
    ///
    /// # Errors
    /// [`SpecError`] when a field has no column form or there is no usable primary key.
    pub fn of_schema(schema: &CollectionSchema) -> Result<(Vec<ColumnSpec>, usize), SpecError> {
        let mut specs = Vec::with_capacity(schema.fields.len());
        for field in &schema.fields {
            if field.width().is_none() && !field.data_type.is_variable() {
                let data_type = field.data_type;
                return Err(SpecError::Unsupported { field: field.id, data_type });
            }
            let (data_type, dim) = (field.data_type, field.dim as usize);
            specs.push(ColumnSpec { field: field.id, data_type, dim });
        }
        let pk = schema.fields.iter().position(|f| f.is_primary).ok_or(SpecError::NoPrimaryKey)?;
        match specs[pk].data_type {
            DataType::Int64 | DataType::VarChar => Ok((specs, pk)),
            _ => Err(SpecError::NoPrimaryKey),
        }
    }

    /// Bytes of one value in the buffers of fixed width; offsets count for text.
    pub(crate) fn width(&self) -> usize {
        match self.data_type {
            DataType::FloatVector => self.dim * 4 + 4,
            other => other.scalar_width().unwrap_or(4),
        }
    }
}

/// Values to append to one column.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Little-endian values of fixed width, one after the other.
    Fixed(&'a [u8]),
    /// Values of varying length.
    Var {
        /// `rows + 1` little-endian u32 offsets into `bytes`, from 0, not decreasing.
        offsets: &'a [u8],
        /// All values, one after the other.
        bytes: &'a [u8],
    },
}

impl<'a> Input<'a> {
    /// The `i`-th offset of a `Var`; 0 beyond its end.
    fn offset(offsets: &[u8], i: usize) -> usize {
        let at = offsets.get(i * 4..i * 4 + 4).and_then(|b| <[u8; 4]>::try_from(b).ok());
        at.map_or(0, |b| u32::from_le_bytes(b) as usize)
    }

    /// The bytes of row `i` of a `Var` column; empty beyond its end.
    pub(crate) fn text(&self, i: usize) -> &'a [u8] {
        match *self {
            Input::Fixed(_) => &[],
            Input::Var { offsets, bytes } => bytes
                .get(Self::offset(offsets, i)..Self::offset(offsets, i + 1))
                .unwrap_or_default(),
        }
    }

    /// The value of row `i` of an Int64 column; 0 beyond its end.
    pub(crate) fn int(&self, i: usize) -> i64 {
        match *self {
            Input::Fixed(bytes) => bytes
                .get(i * 8..i * 8 + 8)
                .and_then(|b| <[u8; 8]>::try_from(b).ok())
                .map_or(0, i64::from_le_bytes),
            Input::Var { .. } => 0,
        }
    }

    /// Whether this holds exactly `rows` values that a column of `spec` can take.
    pub(crate) fn fits(&self, spec: &ColumnSpec, rows: usize) -> bool {
        match *self {
            Input::Fixed(bytes) => {
                let width = match spec.data_type {
                    DataType::FloatVector => Some(spec.dim * 4),
                    other => other.scalar_width(),
                };
                width.is_some_and(|w| bytes.len() == rows * w)
            }
            Input::Var { offsets, bytes } => {
                spec.data_type.is_variable()
                    && offsets.len() == (rows + 1) * 4
                    && Self::offset(offsets, 0) == 0
                    && Self::offset(offsets, rows) == bytes.len()
                    && (0..rows).all(|i| Self::offset(offsets, i) <= Self::offset(offsets, i + 1))
            }
        }
    }

    /// Bytes of rows `from..to` of a `Var`; 0 for a `Fixed`.
    pub(crate) fn var_bytes(&self, from: usize, to: usize) -> usize {
        match *self {
            Input::Fixed(_) => 0,
            Input::Var { offsets, .. } => {
                Self::offset(offsets, to).saturating_sub(Self::offset(offsets, from))
            }
        }
    }
}

/// The published values of a column.
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
    /// VarChar or JSON: row `i` is `bytes[offsets[i]..offsets[i + 1]]`; `rows + 1` offsets.
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
}

pub(crate) enum ColumnWriter {
    U8(Writer<u8>),
    I8(Writer<i8>),
    I16(Writer<i16>),
    I32(Writer<i32>),
    I64(Writer<i64>),
    F32(Writer<f32>),
    F64(Writer<f64>),
    Var { offsets: Writer<u32>, bytes: Writer<u8> },
    Vector { data: Writer<f32>, inv_norms: Writer<f32>, reader: Reader<f32>, dim: usize },
}

pub(crate) enum ColumnReader {
    U8(Reader<u8>),
    I8(Reader<i8>),
    I16(Reader<i16>),
    I32(Reader<i32>),
    I64(Reader<i64>),
    F32(Reader<f32>),
    F64(Reader<f64>),
    Var { offsets: Reader<u32>, bytes: Reader<u8> },
    Vector { data: Reader<f32>, inv_norms: Reader<f32>, dim: usize },
}

/// Makes the two ends of a column for `rows` rows and, of text, `var_bytes` bytes.
pub(crate) fn column(
    spec: &ColumnSpec,
    rows: usize,
    var_bytes: usize,
) -> (ColumnWriter, ColumnReader) {
    macro_rules! plain {
        ($variant:ident) => {{
            let (writer, reader) = buffer(rows);
            (ColumnWriter::$variant(writer), ColumnReader::$variant(reader))
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
        DataType::FloatVector => {
            let dim = spec.dim;
            let (data, data_reader) = buffer(rows * dim);
            let (inv_norms, norms_reader) = buffer(rows);
            let reader = data_reader.clone();
            (
                ColumnWriter::Vector { data, inv_norms, reader, dim },
                ColumnReader::Vector { data: data_reader, inv_norms: norms_reader, dim },
            )
        }
        _ => {
            let (mut offsets, offsets_reader) = buffer(rows + 1);
            let started = offsets.push(&[0]);
            debug_assert!(started, "a column has room for its first offset");
            let (bytes, bytes_reader) = buffer(var_bytes);
            (
                ColumnWriter::Var { offsets, bytes },
                ColumnReader::Var { offsets: offsets_reader, bytes: bytes_reader },
            )
        }
    }
}

impl ColumnWriter {
    /// Bytes of text that still fit; unbounded for columns of fixed width.
    pub(crate) fn var_room(&self) -> usize {
        match self {
            ColumnWriter::Var { bytes, .. } => bytes.room(),
            _ => usize::MAX,
        }
    }

    /// Appends rows `from..to` of `input`, which fits by construction of the chunk.
    pub(crate) fn append(
        &mut self,
        input: &Input<'_>,
        from: usize,
        to: usize,
        norms: NormFn,
    ) -> bool {
        let part = |width: usize| match *input {
            Input::Fixed(bytes) => bytes.get(from * width..to * width).unwrap_or_default(),
            Input::Var { .. } => &[],
        };
        match self {
            ColumnWriter::U8(w) => w.push_bytes(part(1)),
            ColumnWriter::I8(w) => w.push_bytes(part(1)),
            ColumnWriter::I16(w) => w.push_bytes(part(2)),
            ColumnWriter::I32(w) => w.push_bytes(part(4)),
            ColumnWriter::I64(w) => w.push_bytes(part(8)),
            ColumnWriter::F32(w) => w.push_bytes(part(4)),
            ColumnWriter::F64(w) => w.push_bytes(part(8)),
            ColumnWriter::Vector { data, inv_norms, reader, dim } => {
                let before = data.len();
                if !data.push_bytes(part(*dim * 4)) {
                    return false;
                }
                let mut values = vec![0.0; to - from];
                norms(*dim, &reader.as_slice()[before..], &mut values);
                inv_norms.push(&values)
            }
            ColumnWriter::Var { offsets, bytes } => append_text(offsets, bytes, input, from, to),
        }
    }
}

fn append_text(
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

impl ColumnReader {
    /// The first `rows` values, all of them published.
    pub(crate) fn slice(&self, rows: usize) -> ColumnSlice<'_> {
        match self {
            ColumnReader::U8(r) => ColumnSlice::Bool(&r.as_slice()[..rows]),
            ColumnReader::I8(r) => ColumnSlice::Int8(&r.as_slice()[..rows]),
            ColumnReader::I16(r) => ColumnSlice::Int16(&r.as_slice()[..rows]),
            ColumnReader::I32(r) => ColumnSlice::Int32(&r.as_slice()[..rows]),
            ColumnReader::I64(r) => ColumnSlice::Int64(&r.as_slice()[..rows]),
            ColumnReader::F32(r) => ColumnSlice::Float(&r.as_slice()[..rows]),
            ColumnReader::F64(r) => ColumnSlice::Double(&r.as_slice()[..rows]),
            ColumnReader::Var { offsets, bytes } => {
                ColumnSlice::Var { offsets: &offsets.as_slice()[..=rows], bytes: bytes.as_slice() }
            }
            ColumnReader::Vector { data, inv_norms, dim } => ColumnSlice::Vector {
                data: &data.as_slice()[..rows * dim],
                inv_norms: &inv_norms.as_slice()[..rows],
            },
        }
    }
}
