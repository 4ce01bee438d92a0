//! Columns of an answer: from the workers' values to a client's `FieldData`.
//!
//! Numbers and dense vectors move over as they are. Texts, arrays and sparse vectors are written
//! once, in the encoding that the wire has them in.

use bytes::{BufMut, Bytes, BytesMut};
use millstream_catalog::model::{DataType, FieldSchema, cell};
use millstream_dataflow::api::{Column, Values};

use crate::pb::schema::{
    BoolArray, DoubleArray, FieldData, FloatArray, IDs, IntArray, LongArray, ScalarField,
    StringArray, VectorField, field_data::Field, i_ds::IdField, scalar_field, vector_field,
};

/// A column under its field's name.
pub fn field_data(field: &FieldSchema, column: Column) -> FieldData {
    FieldData {
        r#type: field.data_type as i32,
        field_name: field.name.clone(),
        field_id: field.id.0,
        is_dynamic: field.is_dynamic,
        field: Some(values_data(column.data_type, column.values)),
        valid_data: column.validity.unwrap_or_default(),
    }
}

/// A column that is no field's, under a name.
pub fn named(name: &str, column: Column) -> FieldData {
    FieldData {
        r#type: column.data_type as i32,
        field_name: name.to_owned(),
        field: Some(values_data(column.data_type, column.values)),
        valid_data: column.validity.unwrap_or_default(),
        ..FieldData::default()
    }
}

fn values_data(data_type: DataType, values: Values) -> Field {
    use scalar_field::Data;
    let data = match values {
        Values::Bool(data) => Data::BoolData(BoolArray { data }),
        Values::Int(data) => Data::IntData(IntArray { data }),
        Values::Long(data) => Data::LongData(LongArray { data }),
        Values::Float(values) => Data::FloatData(floats(&values)),
        Values::Double(data) => Data::DoubleData(DoubleArray { data }),
        Values::Text(texts) => Data::StringData(message(texts.iter().map(String::as_bytes))),
        Values::Json(texts) => Data::JsonData(message(texts.iter().map(|t| &t[..]))),
        Values::Array { element, cells } => Data::ArrayData(arrays(element, &cells)),
        Values::Sparse(cells) => return sparse(&cells),
        Values::Dense { width, data } => return dense(data_type, width, data),
        Values::FloatVector { dim, data } => {
            return Field::Vectors(VectorField {
                dim: i64::from(dim),
                data: Some(vector_field::Data::FloatVector(FloatArray { data: vec![data] })),
            });
        }
    };
    Field::Scalars(ScalarField { data: Some(data) })
}

fn dense(data_type: DataType, width: u32, data: Bytes) -> Field {
    use vector_field::Data;
    let (dim, data) = match data_type {
        DataType::BinaryVector => (width * 8, Data::BinaryVector(data)),
        DataType::BFloat16Vector => (width / 2, Data::Bfloat16Vector(data)),
        DataType::Int8Vector => (width, Data::Int8Vector(data)),
        _ => (width / 2, Data::Float16Vector(data)),
    };
    Field::Vectors(VectorField { dim: i64::from(dim), data: Some(data) })
}

/// Sparse vectors; the dimension is one more than the largest index.
fn sparse(cells: &[Bytes]) -> Field {
    // Pairs ascend by index.
    let last = |cell: &Bytes| {
        let mut pairs = cell::sparse_pairs(cell);
        pairs.nth(pairs.len().checked_sub(1)?).map(|(index, _)| index)
    };
    let dim = cells.iter().filter_map(last).max().map_or(0, |index| i64::from(index) + 1);
    let mut bytes = BytesMut::from(message(cells.iter().map(|c| &c[..])));
    bytes.put_u8(2 << 3);
    prost::encoding::encode_varint(dim.unsigned_abs(), &mut bytes);
    let data = Some(vector_field::Data::SparseFloatVector(bytes.freeze()));
    Field::Vectors(VectorField { dim, data })
}

/// The encoding of an `ArrayArray`. Every array says its type, also an empty one.
fn arrays(element: DataType, cells: &[Bytes]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(cells.iter().map(|c| c.len() + 8).sum());
    let (mut scalar, mut values) = (BytesMut::new(), BytesMut::new());
    for cell in cells {
        scalar.clear();
        values.clear();
        put_elements(element, cell, &mut values);
        put_run(kind_of(element), &values, &mut scalar);
        put_run(1, &scalar, &mut bytes);
    }
    bytes.put_u8(2 << 3);
    prost::encoding::encode_varint(element as u64, &mut bytes);
    bytes.freeze()
}

/// A field of bytes, a text or a message.
fn put_run(number: u8, run: &[u8], out: &mut BytesMut) {
    out.put_u8(number << 3 | 2);
    prost::encoding::encode_varint(run.len() as u64, out);
    out.put_slice(run);
}

/// The number in `ScalarField` of the values of an element type.
pub const fn kind_of(element: DataType) -> u8 {
    match element {
        DataType::Bool => 1,
        DataType::Int8 | DataType::Int16 | DataType::Int32 => 2,
        DataType::Int64 => 3,
        DataType::Float => 4,
        DataType::Double => 5,
        _ => 6,
    }
}

/// The elements of a cell as a message of `repeated T data = 1`; nothing when there are none.
fn put_elements(element: DataType, cell: &[u8], out: &mut BytesMut) {
    if element == DataType::VarChar {
        let texts = (0..cell::array_len(element, cell)).map(|i| cell::array_text(cell, i));
        texts.for_each(|text| put_run(1, text, out));
        return;
    }
    let Some(width) = element.scalar_width().filter(|_| !cell.is_empty()) else { return };
    if matches!(element, DataType::Float | DataType::Double | DataType::Bool) {
        return put_run(1, cell, out); // packed values are as in the cell
    }
    let number = |bytes: &[u8]| {
        let mut wide = [0; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        let unused = 64 - 8 * bytes.len() as u32;
        // Negative numbers are written as numbers of 64 bits.
        (i64::from_le_bytes(wide) << unused >> unused).cast_unsigned()
    };
    let numbers = || cell.chunks_exact(width).map(number);
    let length: usize = numbers().map(prost::encoding::encoded_len_varint).sum();
    out.put_u8(1 << 3 | 2);
    prost::encoding::encode_varint(length as u64, out);
    numbers().for_each(|n| prost::encoding::encode_varint(n, out));
}

fn floats(values: &[f32]) -> FloatArray {
    let mut bytes = BytesMut::with_capacity(values.len() * 4);
    for value in values {
        bytes.put_f32_le(*value);
    }
    FloatArray { data: vec![bytes.freeze()] }
}

/// The encoding of a message of `repeated bytes value = 1`.
pub fn message<'a>(values: impl Iterator<Item = &'a [u8]> + Clone) -> Bytes {
    let mut bytes = BytesMut::with_capacity(values.clone().map(|v| v.len() + 6).sum());
    values.for_each(|value| put_run(1, value, &mut bytes));
    bytes.freeze()
}

/// Primary keys.
pub fn ids(values: Values) -> IDs {
    let id_field = match values {
        Values::Text(data) => IdField::StrId(StringArray { data }),
        Values::Long(data) => IdField::IntId(LongArray { data }),
        _ => IdField::IntId(LongArray::default()),
    };
    IDs { id_field: Some(id_field) }
}

#[cfg(test)]
mod tests {
    use millstream_catalog::model::FieldId;
    use prost::Message;

    use super::*;
    use crate::pb::schema::{ArrayArray, SparseFloatArray};

    #[test]
    fn texts_are_encoded_as_a_string_array() {
        let texts = ["", "a", "größer"];
        let bytes = message(texts.iter().map(|t| t.as_bytes()));
        assert_eq!(StringArray::decode(bytes).unwrap().data, texts);
    }

    fn column(data_type: DataType, values: Values) -> FieldData {
        let validity = Some(vec![true; values.len()]);
        let field = FieldSchema::new(FieldId(7), "f", data_type);
        field_data(&field, Column { field: field.id, data_type, values, validity })
    }

    fn array_data(element: DataType, cells: Vec<Bytes>) -> ArrayArray {
        let data = column(DataType::Array, Values::Array { element, cells });
        assert_eq!(data.valid_data.len(), 3);
        let Some(Field::Scalars(ScalarField { data: Some(scalar_field::Data::ArrayData(bytes)) })) =
            data.field
        else {
            panic!("no arrays");
        };
        ArrayArray::decode(bytes).unwrap()
    }

    #[test]
    fn arrays_of_every_element_type_are_encoded_as_messages() {
        use scalar_field::Data;
        let cell = |parts: &[&[u8]]| Bytes::from(parts.concat());
        let ints: Vec<Bytes> = vec![cell(&[&[0xfe, 1]]), Bytes::new(), cell(&[&[127]])];
        let sent = array_data(DataType::Int8, ints);
        let of = |data: Vec<i32>| ScalarField { data: Some(Data::IntData(IntArray { data })) };
        assert_eq!(sent.data, [of(vec![-2, 1]), of(vec![]), of(vec![127])]);
        assert_eq!(sent.element_type, DataType::Int8 as i32);
        let longs = [i64::MIN, 0, i64::MAX].map(|v| Bytes::from(v.to_le_bytes().to_vec()));
        let sent = array_data(DataType::Int64, longs.to_vec());
        let of = |data: Vec<i64>| ScalarField { data: Some(Data::LongData(LongArray { data })) };
        assert_eq!(sent.data, [of(vec![i64::MIN]), of(vec![0]), of(vec![i64::MAX])]);
        let bools = vec![cell(&[&[1, 0]]), Bytes::new(), cell(&[&[0]])];
        let sent = array_data(DataType::Bool, bools);
        let of = |data: Vec<bool>| ScalarField { data: Some(Data::BoolData(BoolArray { data })) };
        assert_eq!(sent.data, [of(vec![true, false]), of(vec![]), of(vec![false])]);
        let doubles = [1.5_f64, -0.0, 1e300];
        let sent = array_data(
            DataType::Double,
            doubles.map(|v| Bytes::from(v.to_le_bytes().to_vec())).to_vec(),
        );
        let of =
            |v: f64| ScalarField { data: Some(Data::DoubleData(DoubleArray { data: vec![v] })) };
        assert_eq!(sent.data, doubles.map(of));
    }

    #[test]
    fn arrays_of_texts_are_encoded_as_messages() {
        let cell = |texts: &[&str]| {
            let mut cell = Vec::new();
            cell::push_texts(texts.iter().map(|t| t.as_bytes()), &mut cell);
            Bytes::from(cell)
        };
        let sent = array_data(
            DataType::VarChar,
            vec![cell(&["a", "", "gr\u{f6}\u{df}er"]), cell(&[]), Bytes::new()],
        );
        let Some(scalar_field::Data::StringData(first)) = sent.data[0].data.clone() else {
            panic!("no texts");
        };
        assert_eq!(StringArray::decode(first).unwrap().data, ["a", "", "gr\u{f6}\u{df}er"]);
        let empty = Some(scalar_field::Data::StringData(Bytes::new()));
        assert_eq!((&sent.data[1].data, &sent.data[2].data), (&empty, &empty));
    }

    #[test]
    fn sparse_vectors_say_their_dimension() {
        let pair = |index: u32, value: f32| [index.to_le_bytes(), value.to_le_bytes()].concat();
        let cells = vec![Bytes::from([pair(1, 0.5), pair(9, 2.0)].concat()), Bytes::new()];
        let data = column(DataType::SparseFloatVector, Values::Sparse(cells.clone()));
        let Some(Field::Vectors(VectorField {
            dim: 10,
            data: Some(vector_field::Data::SparseFloatVector(bytes)),
        })) = data.field
        else {
            panic!("no sparse vectors: {data:?}");
        };
        let sent = SparseFloatArray::decode(bytes).unwrap();
        assert_eq!((sent.contents, sent.dim), (cells, 10));
    }

    #[test]
    fn dense_vectors_say_their_dimension_in_components() {
        for (data_type, dim) in [
            (DataType::BinaryVector, 32),
            (DataType::Float16Vector, 2),
            (DataType::BFloat16Vector, 2),
            (DataType::Int8Vector, 4),
        ] {
            let values = Values::Dense { width: 4, data: vec![7; 8].into() };
            let Some(Field::Vectors(vectors)) = column(data_type, values).field else {
                panic!("no vectors");
            };
            assert_eq!(vectors.dim, dim, "{data_type:?}");
        }
    }
}
