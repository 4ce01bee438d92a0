//! Nulls and default values: from a client's `valid_data` to one value for each row.
//!
//! Clients send either a value for every row, meaningless where the row is null, or only the values
//! of the rows that have one. Both become a column with a slot for each row.

use bytes::{Bytes, BytesMut};
use millstream_catalog::model::{DataType, DefaultValue, Fault, FieldSchema};

use super::super::var_column::VarColumn;
use super::{BatchColumn, BatchValues, check_rows};

/// Which rows have a value; at least one has none.
pub(super) struct Nulls {
    /// One byte a row, 1 for a value.
    valid: Vec<u8>,
    nulls: usize,
}

impl Nulls {
    /// Reads and checks `valid_data`; none when every row has a value.
    pub(super) fn from_wire(
        field: &FieldSchema,
        rows: u32,
        given: &[bool],
    ) -> Result<Option<Nulls>, Fault> {
        if given.is_empty() {
            return Ok(None);
        }
        let name = &field.name;
        if given.len() != rows as usize {
            let text = format!("the length of valid_data of field({name}) is wrong");
            return Err(Fault::expected(text, rows, given.len()));
        }
        let nulls = given.iter().filter(|valid| !**valid).count();
        if nulls == 0 {
            return Ok(None);
        }
        if !field.nullable && field.default_value.is_none() {
            let ty = field.data_type.name();
            return Err(Fault::invalid(format!(
                "null values are not allowed, the {ty} field {name} is not nullable"
            )));
        }
        Ok(Some(Nulls { valid: given.iter().map(|valid| u8::from(*valid)).collect(), nulls }))
    }

    /// Whether no row has a value.
    pub(super) fn is_all(&self) -> bool {
        self.nulls == self.valid.len()
    }

    /// One value for each row: the default, or zero or nothing, where the client gave none.
    pub(super) fn spread(
        &self,
        field: &FieldSchema,
        values: BatchValues,
    ) -> Result<BatchValues, Fault> {
        let count = values.len();
        let fill = Fill(field.default_value.as_ref());
        let spread = match values {
            BatchValues::Bool(v) => self.slots(v, fill.bool()).map(BatchValues::Bool),
            BatchValues::Int(v) => self.slots(v, fill.int() as i32).map(BatchValues::Int),
            BatchValues::Long(v) => self.slots(v, fill.int()).map(BatchValues::Long),
            BatchValues::Double(v) => self.slots(v, fill.float()).map(BatchValues::Double),
            BatchValues::Fixed(bytes, width) => {
                let fill = (fill.float() as f32).to_le_bytes();
                self.chunks(&bytes, width, &fill).map(|bytes| BatchValues::Fixed(bytes, width))
            }
            BatchValues::Var(mut column) => {
                let fits = column.spread(&self.valid, self.nulls, fill.text());
                fits.then_some(BatchValues::Var(column))
            }
        };
        let rows = u32::try_from(self.valid.len()).unwrap_or(u32::MAX);
        match spread {
            Some(values) => Ok(values),
            None => Err(check_rows(field, rows, count)
                .err()
                .unwrap_or_else(|| Fault::internal("values that fit the rows were not laid out"))),
        }
    }

    fn slots<T: Copy>(&self, mut values: Vec<T>, fill: T) -> Option<Vec<T>> {
        if values.len() == self.valid.len() {
            let rows = values.iter_mut().zip(&self.valid).filter(|(_, valid)| **valid == 0);
            rows.for_each(|(value, _)| *value = fill);
            return Some(values);
        }
        if values.len() + self.nulls != self.valid.len() {
            return None;
        }
        let mut given = values.into_iter();
        let value = |valid: &u8| if *valid == 0 { Some(fill) } else { given.next() };
        self.valid.iter().map(value).collect()
    }

    fn chunks(&self, bytes: &[u8], width: usize, fill: &[u8]) -> Option<Bytes> {
        let count = bytes.len() / width.max(1);
        let is_full = count == self.valid.len();
        if !is_full && count + self.nulls != self.valid.len() {
            return None;
        }
        let mut given = bytes.chunks_exact(width);
        let mut out = BytesMut::with_capacity(self.valid.len() * width);
        for valid in &self.valid {
            let value = if *valid == 1 || is_full { given.next() } else { None };
            let value = if *valid == 1 { value } else { None };
            out.extend_from_slice(value.unwrap_or(fill));
        }
        Some(out.freeze())
    }

    /// The validity of the column: none when null rows took the default value.
    pub(super) fn into_validity(self, field: &FieldSchema) -> Option<Vec<u8>> {
        field.default_value.is_none().then_some(self.valid)
    }
}

/// The value of rows that give none.
struct Fill<'a>(Option<&'a DefaultValue>);

impl Fill<'_> {
    fn bool(&self) -> bool {
        matches!(self.0, Some(DefaultValue::Bool(true)))
    }

    fn int(&self) -> i64 {
        match self.0 {
            Some(DefaultValue::Int(v)) => *v,
            _ => 0,
        }
    }

    fn float(&self) -> f64 {
        match self.0 {
            Some(DefaultValue::FloatBits(bits)) => f64::from_bits(*bits),
            _ => 0.0,
        }
    }

    fn text(&self) -> Bytes {
        match self.0 {
            Some(DefaultValue::Text(text)) => Bytes::copy_from_slice(text.as_bytes()),
            _ => Bytes::new(),
        }
    }
}

/// The column of a field that the client gives in no row: its default value, or nulls.
pub(super) fn absent(field: &FieldSchema, rows: u32) -> BatchColumn {
    let fill = Fill(field.default_value.as_ref());
    let count = rows as usize;
    let values = match field.data_type {
        DataType::Bool => BatchValues::Bool(vec![fill.bool(); count]),
        // A default value is in range: it was checked against the type.
        DataType::Int8 | DataType::Int16 | DataType::Int32 => {
            BatchValues::Int(vec![fill.int() as i32; count])
        }
        DataType::Int64 => BatchValues::Long(vec![fill.int(); count]),
        DataType::Float => {
            let bytes = (fill.float() as f32).to_le_bytes().repeat(count);
            BatchValues::Fixed(bytes.into(), 4)
        }
        DataType::Double => BatchValues::Double(vec![fill.float(); count]),
        DataType::VarChar | DataType::Array | DataType::Json | DataType::SparseFloatVector => {
            BatchValues::Var(VarColumn::repeated(fill.text(), rows))
        }
        DataType::BinaryVector
        | DataType::FloatVector
        | DataType::Float16Vector
        | DataType::BFloat16Vector
        | DataType::Int8Vector => {
            let width = field.width().unwrap_or_default();
            BatchValues::Fixed(vec![0; width * count].into(), width)
        }
    };
    let validity = field.default_value.is_none().then(|| vec![0; count]);
    BatchColumn { field: field.id, data_type: field.data_type, values, validity }
}
