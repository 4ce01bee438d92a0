//! What the columns of a shard hold, from the schema of its collection.

use std::sync::Arc;

use millstream_catalog::model::{CollectionSchema, DataType, DefaultValue, FieldId, FieldSchema};
use thiserror::Error;

/// Computes `1 / |x|` of each row of vectors of a type: dimension, `rows` vectors in their own
/// little-endian form, row-major and aligned, and `rows` results. Called for Float, Float16,
/// BFloat16 and Int8 vectors.
pub type NormFn = fn(DataType, usize, &[u8], &mut [f32]);

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSpec {
    /// The field.
    pub field: FieldId,
    /// Its type.
    pub data_type: DataType,
    /// Dimension of a dense vector field, otherwise 0.
    pub dim: usize,
    /// Type of the elements of an Array field.
    pub element: Option<DataType>,
    /// Whether a row may have no value.
    pub nullable: bool,
    /// The value of rows that give none, in the form of a batch; it goes before null.
    pub default: Option<Arc<[u8]>>,
    /// Whether an update joins the value that it gives with that of the older row.
    pub merges: bool,
}

impl ColumnSpec {
    /// A column without nulls and without a default.
    pub fn new(field: FieldId, data_type: DataType, dim: usize) -> ColumnSpec {
        let (nullable, merges) = (false, false);
        ColumnSpec { field, data_type, dim, nullable, default: None, element: None, merges }
    }

    /// The columns of the stored fields of a schema, in its order, and the place of the primary key
    /// among them.
    ///
    /// # Errors
    /// [`SpecError`] when a field has no column form or there is no usable primary key.
    pub fn of_schema(schema: &CollectionSchema) -> Result<(Vec<ColumnSpec>, usize), SpecError> {
        let mut specs = Vec::with_capacity(schema.fields.len());
        let mut pk = None;
        for field in schema.fields.iter().filter(|f| f.is_stored()) {
            let (data_type, width) = (field.data_type, field.width());
            if width.is_none_or(|width| width == 0) && !data_type.is_variable() {
                return Err(SpecError::Unsupported { field: field.id, data_type });
            }
            if field.is_primary {
                pk = Some(specs.len());
            }
            specs.push(ColumnSpec {
                element: field.element_type,
                nullable: field.nullable,
                merges: field.is_dynamic,
                default: default_bytes(field).map(Arc::from),
                ..ColumnSpec::new(field.id, data_type, field.dim as usize)
            });
        }
        let key = |&pk: &usize| matches!(specs[pk].data_type, DataType::Int64 | DataType::VarChar);
        let pk = pk.filter(key).ok_or(SpecError::NoPrimaryKey)?;
        Ok((specs, pk))
    }

    /// Bytes of one value in a batch; `None` for values of different lengths.
    pub fn width(&self) -> Option<usize> {
        match self.data_type {
            DataType::FloatVector => Some(self.dim * 4),
            DataType::Float16Vector | DataType::BFloat16Vector => Some(self.dim * 2),
            DataType::Int8Vector => Some(self.dim),
            DataType::BinaryVector => Some(self.dim.div_ceil(8)),
            other => other.scalar_width(),
        }
    }

    /// Whether every row must give a value.
    pub fn is_required(&self) -> bool {
        self.default.is_none() && !self.nullable
    }

    /// Whether inverse norms are kept beside the values.
    pub(crate) fn has_norms(&self) -> bool {
        matches!(
            self.data_type,
            DataType::FloatVector
                | DataType::Float16Vector
                | DataType::BFloat16Vector
                | DataType::Int8Vector
        )
    }

    /// Bytes of one row in buffers of fixed width; offsets count for values of different lengths.
    pub(crate) fn row_bytes(&self) -> usize {
        self.width().unwrap_or(4) + if self.has_norms() { 4 } else { 0 }
    }
}

/// The default of a field as the bytes of one value; `None` when it has none of its own type.
fn default_bytes(field: &FieldSchema) -> Option<Vec<u8>> {
    match (field.default_value.as_ref()?, field.data_type) {
        (DefaultValue::Bool(value), DataType::Bool) => Some(vec![u8::from(*value)]),
        (DefaultValue::Int(value), ty) if ty.is_integer() => {
            Some(value.to_le_bytes()[..ty.scalar_width()?].to_vec())
        }
        (DefaultValue::FloatBits(bits), DataType::Double) => Some(bits.to_le_bytes().to_vec()),
        (DefaultValue::FloatBits(bits), DataType::Float) => {
            Some((f64::from_bits(*bits) as f32).to_le_bytes().to_vec())
        }
        (DefaultValue::Text(text), DataType::VarChar) => Some(text.as_bytes().to_vec()),
        _ => None,
    }
}
