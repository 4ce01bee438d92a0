//! Arrays: from an encoded `ArrayArray` to cells, checked, without decoding a message for each row.

use millstream_catalog::model::{DataType, Fault, FieldSchema, cell};

use super::super::data::kind_of;
use super::super::protobuf::{Broken, Fields, Value};
use super::super::var_column::VarColumn;
use super::{check_finite, int_range};

/// What a row's values are called on the wire, by the number of their field in `ScalarField`.
const KINDS: [&str; 10] =
    ["none", "bool", "int", "long", "float", "double", "string", "bytes", "array", "json"];

fn name_of(kind: u64) -> &'static str {
    usize::try_from(kind).ok().and_then(|kind| KINDS.get(kind)).copied().unwrap_or("other")
}

/// The cells of a column of arrays.
pub(super) fn column(field: &FieldSchema, message: &[u8]) -> Result<VarColumn, Fault> {
    let mut reader = Reader {
        field,
        element: field.element_type.unwrap_or(DataType::VarChar),
        out: Vec::with_capacity(message.len()),
        ends: Vec::new(),
        texts: Vec::new(),
    };
    match reader.rows(message) {
        Ok(()) => Ok(VarColumn::from_ends(reader.out.into(), reader.ends)),
        Err(Trouble::Fault(fault)) => Err(fault),
        Err(Trouble::Broken) => Err(super::unreadable(field)),
    }
}

enum Trouble {
    Broken,
    Fault(Fault),
}

impl From<Broken> for Trouble {
    fn from(_: Broken) -> Trouble {
        Trouble::Broken
    }
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Trouble {
        Trouble::Fault(fault)
    }
}

struct Reader<'a> {
    field: &'a FieldSchema,
    element: DataType,
    out: Vec<u8>,
    /// Where the cell of each row ends in `out`.
    ends: Vec<usize>,
    /// Texts of one row, as spans of the message.
    texts: Vec<(usize, usize)>,
}

impl Reader<'_> {
    fn rows(&mut self, message: &[u8]) -> Result<(), Trouble> {
        let mut rows = Fields::new(message);
        while let Some(field) = rows.field()? {
            match field {
                (1, Value::Run(start, end)) => {
                    self.row(message, rows.within(start, end))?;
                    self.ends.push(self.out.len());
                }
                (2, Value::Varint(_)) => {} // the element type, which the schema knows
                _ => return Err(Trouble::Broken),
            }
        }
        Ok(())
    }

    /// One `ScalarField`. Without data it is an empty array.
    fn row(&mut self, message: &[u8], mut scalars: Fields<'_>) -> Result<(), Trouble> {
        let start = self.out.len();
        let mut count = 0;
        self.texts.clear();
        while let Some((kind, value)) = scalars.field()? {
            let Value::Run(from, to) = value else { return Err(Trouble::Broken) };
            if kind != u64::from(kind_of(self.element)) {
                return Err(self.mismatch(kind).into());
            }
            let mut values = scalars.within(from, to);
            while let Some((1, value)) = values.field()? {
                count += self.values(message, values, value)?;
            }
        }
        if self.element == DataType::VarChar {
            let texts = self.texts.iter().map(|&(from, to)| &message[from..to]);
            cell::push_texts(texts, &mut self.out);
        }
        let max = self.field.max_capacity as usize;
        if count > max {
            let (row, name) = (self.ends.len(), &self.field.name);
            return Err(Fault::expected(
                format!(
                    "the length ({count}) of {row}th array {name} exceeds max capacity ({max})"
                ),
                "valid length array",
                "array length exceeds max capacity",
            )
            .into());
        }
        let width = self.element.scalar_width();
        if matches!(self.element, DataType::Float) {
            check_finite(&self.out[start..], &self.field.name)?;
        }
        if width.is_some_and(|width| self.out.len() - start != count * width) {
            return Err(Trouble::Broken);
        }
        Ok(())
    }

    /// Appends one value, or a run of packed ones; says how many.
    fn values(
        &mut self,
        message: &[u8],
        within: Fields<'_>,
        value: Value,
    ) -> Result<usize, Trouble> {
        match (self.element, value) {
            (DataType::VarChar, Value::Run(start, end)) => self.text(message, start, end),
            (DataType::Float, Value::Run(start, end)) => {
                self.out.extend_from_slice(&message[start..end]);
                Ok((end - start) / 4)
            }
            (DataType::Float, Value::Fixed32(bits)) => {
                self.out.extend_from_slice(&bits.to_le_bytes());
                Ok(1)
            }
            (DataType::Double, Value::Run(start, end)) => {
                let values = &message[start..end];
                for value in values.chunks_exact(8) {
                    self.double(value.try_into().unwrap_or_default())?;
                }
                Ok(values.len().div_ceil(8))
            }
            (DataType::Double, Value::Fixed64(bits)) => {
                self.double(bits.to_le_bytes())?;
                Ok(1)
            }
            (DataType::VarChar | DataType::Float | DataType::Double, _) => Err(Trouble::Broken),
            (_, Value::Varint(value)) => {
                self.int(value)?;
                Ok(1)
            }
            (_, Value::Run(start, end)) => {
                let mut packed = within.within(start, end);
                let mut count = 0;
                while let Some(value) = packed.packed()? {
                    self.int(value)?;
                    count += 1;
                }
                Ok(count)
            }
            (_, Value::Fixed32(_) | Value::Fixed64(_)) => Err(Trouble::Broken),
        }
    }

    fn text(&mut self, message: &[u8], start: usize, end: usize) -> Result<usize, Trouble> {
        let (row, name) = (self.ends.len(), &self.field.name);
        let (length, max) = (end - start, self.field.max_length as usize);
        if length > max {
            return Err(Fault::invalid(format!(
                "the length ({length}) of {row}th array {name} has an element that exceeds max \
                 length ({max})"
            ))
            .into());
        }
        if std::str::from_utf8(&message[start..end]).is_err() {
            let text = format!("the {row}th array {name} has an element that is not valid UTF-8");
            return Err(Fault::invalid(text).into());
        }
        self.texts.push((start, end));
        Ok(1)
    }

    fn double(&mut self, bytes: [u8; 8]) -> Result<(), Trouble> {
        let value = f64::from_le_bytes(bytes);
        if !value.is_finite() {
            return Err(super::not_finite(value, &self.field.name).into());
        }
        self.out.extend_from_slice(&bytes);
        Ok(())
    }

    fn int(&mut self, value: u64) -> Result<(), Trouble> {
        // Varints of negative numbers are those of the 64-bit number.
        match self.element {
            DataType::Bool => self.out.push(u8::from(value != 0)),
            DataType::Int64 => self.out.extend_from_slice(&value.to_le_bytes()),
            element => {
                let value = value as i32;
                let (low, high) = int_range(element);
                if !(low..=high).contains(&value) {
                    let (row, name) = (self.ends.len(), &self.field.name);
                    return Err(Fault::invalid(format!(
                        "the {row}th array has an element ({value}) out of range: [{low}, {high}], \
                         field name = {name}"
                    ))
                    .into());
                }
                let width = element.scalar_width().unwrap_or(4);
                self.out.extend_from_slice(&value.to_le_bytes()[..width]);
            }
        }
        Ok(())
    }

    fn mismatch(&self, kind: u64) -> Fault {
        let (row, name) = (self.ends.len(), &self.field.name);
        Fault::expected(
            format!(
                "insert data does not match, the {row}th value of array field '{name}' with \
                 elements of {}",
                self.element.name()
            ),
            format!("need {} array", name_of(u64::from(kind_of(self.element)))),
            format!("got {} array", name_of(kind)),
        )
    }
}
