//! Columns of an answer: from the workers' values to a client's `FieldData`.

use bytes::{BufMut, Bytes, BytesMut};
use millstream_catalog::model::FieldSchema;
use millstream_dataflow::api::{Column, Values};

use crate::pb::schema::{
    BoolArray, DoubleArray, FieldData, FloatArray, IDs, IntArray, LongArray, ScalarField,
    StringArray, VectorField, field_data::Field, i_ds::IdField, scalar_field, vector_field,
};

/// A column under its field's name.
pub fn field_data(field: &FieldSchema, column: Column) -> FieldData {
    let data = match column.values {
        Values::FloatVector { dim, data } => Field::Vectors(VectorField {
            dim: i64::from(dim),
            data: Some(vector_field::Data::FloatVector(FloatArray { data: vec![data] })),
        }),
        scalars => Field::Scalars(ScalarField { data: Some(scalar_data(scalars)) }),
    };
    FieldData {
        r#type: field.data_type as i32,
        field_name: field.name.clone(),
        field_id: field.id.0,
        is_dynamic: field.is_dynamic,
        field: Some(data),
        ..FieldData::default()
    }
}

fn scalar_data(values: Values) -> scalar_field::Data {
    use scalar_field::Data;
    match values {
        Values::Bool(data) => Data::BoolData(BoolArray { data }),
        Values::Int(data) => Data::IntData(IntArray { data }),
        Values::Long(data) => Data::LongData(LongArray { data }),
        Values::Float(values) => Data::FloatData(floats(&values)),
        Values::Double(data) => Data::DoubleData(DoubleArray { data }),
        Values::Text(texts) => Data::StringData(message(texts.iter().map(String::as_bytes))),
        Values::Json(texts) => Data::JsonData(message(texts.iter().map(|t| &t[..]))),
        Values::FloatVector { data, .. } => Data::FloatData(FloatArray { data: vec![data] }),
    }
}

fn floats(values: &[f32]) -> FloatArray {
    let mut bytes = BytesMut::with_capacity(values.len() * 4);
    for value in values {
        bytes.put_f32_le(*value);
    }
    FloatArray { data: vec![bytes.freeze()] }
}

/// The encoding of a message of `repeated bytes value = 1`.
pub fn message<'a>(values: impl Iterator<Item = &'a [u8]>) -> Bytes {
    let mut bytes = BytesMut::new();
    for value in values {
        bytes.put_u8(1 << 3 | 2);
        prost::encoding::encode_varint(value.len() as u64, &mut bytes);
        bytes.put_slice(value);
    }
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
    use prost::Message;

    use super::*;

    #[test]
    fn texts_are_encoded_as_a_string_array() {
        let texts = ["", "a", "größer"];
        let bytes = message(texts.iter().map(|t| t.as_bytes()));
        assert_eq!(StringArray::decode(bytes).unwrap().data, texts);
    }
}
