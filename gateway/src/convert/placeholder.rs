//! Query vectors: from a serialized placeholder group to the form of the field they are for.

use bytes::{Bytes, BytesMut};
use millstream_catalog::model::limits::TOPK_MAX;
use millstream_catalog::model::{DataType, Fault, FieldSchema};
use millstream_dataflow::api::QueryVectors;
use prost::Message;

use super::columns::{check_bytes_finite, check_sparse};
use crate::pb::common::{PlaceholderGroup, PlaceholderType, PlaceholderValue};

/// The queries of a search on a field, and their number, nq.
///
/// # Errors
/// When they are not what the field is compared with, or `nq_given` is another number.
pub fn queries(
    field: &FieldSchema,
    group: &Bytes,
    nq_given: i64,
) -> Result<(QueryVectors, usize), Fault> {
    let mut group = PlaceholderGroup::decode(group.clone())
        .map_err(|e| Fault::invalid(format!("placeholder_group cannot be decoded: {e}")))?;
    let count = group.placeholders.len();
    let (1, Some(placeholder)) = (count, group.placeholders.pop()) else {
        let text = format!("placeholder_group must hold one placeholder, but holds {count}");
        return Err(Fault::invalid(text));
    };
    let nq = placeholder.values.len();
    check_nq(nq as u64)?;
    if nq_given > 0 && nq_given.unsigned_abs() != nq as u64 {
        let text = "nq does not agree with the number of query vectors";
        return Err(Fault::expected(text, nq_given, nq));
    }
    check_type(field, placeholder.r#type)?;
    let queries = match field.data_type {
        _ if field.is_function_output => QueryVectors::Text(texts(field, placeholder)?),
        DataType::SparseFloatVector => {
            placeholder.values.iter().try_for_each(|row| check_sparse(row, &field.name))?;
            QueryVectors::Sparse(placeholder.values)
        }
        DataType::FloatVector => QueryVectors::Float(floats(field, &placeholder)?.into()),
        _ => QueryVectors::Bytes(dense(field, placeholder)?),
    };
    Ok((queries, nq))
}

/// The queries must be of the field's type; of the field that a function fills, texts.
fn check_type(field: &FieldSchema, given: i32) -> Result<(), Fault> {
    let name = &field.name;
    let expected = match field.data_type {
        _ if field.is_function_output => PlaceholderType::VarChar,
        DataType::BinaryVector => PlaceholderType::BinaryVector,
        DataType::Float16Vector => PlaceholderType::Float16Vector,
        DataType::BFloat16Vector => PlaceholderType::BFloat16Vector,
        DataType::SparseFloatVector => PlaceholderType::SparseFloatVector,
        DataType::Int8Vector => PlaceholderType::Int8Vector,
        _ => PlaceholderType::FloatVector,
    };
    if given == expected as i32 {
        return Ok(());
    }
    let found = PlaceholderType::try_from(given).map_or("unknown type", |t| t.as_str_name());
    let text = match found.starts_with("EmbList") {
        true => format!("embedding lists are not supported yet, field name = {name}"),
        false => format!("vector type must be the same as the type of the field {name}"),
    };
    Err(Fault::expected(text, expected.as_str_name(), found))
}

fn check_nq(nq: u64) -> Result<(), Fault> {
    if (1..=TOPK_MAX).contains(&nq) {
        return Ok(());
    }
    Err(Fault::plain(format!(
        "nq (number of search vector per search request) should be in range [1, {TOPK_MAX}], \
         but got {nq}"
    )))
}

fn check_dense(field: &FieldSchema, value: &[u8]) -> Result<(), Fault> {
    let width = field.width().unwrap_or_default();
    if value.len() != width {
        return Err(Fault::invalid(format!(
            "vector dimension mismatch, expected vector size(byte) {width}, actual {}, \
             field name = {}",
            value.len(),
            field.name
        )));
    }
    check_bytes_finite(field.data_type, value, &field.name)
}

fn floats(field: &FieldSchema, placeholder: &PlaceholderValue) -> Result<Vec<f32>, Fault> {
    let mut floats = Vec::with_capacity(placeholder.values.len() * field.dim as usize);
    for value in &placeholder.values {
        check_dense(field, value)?;
        floats.extend(value.as_chunks::<4>().0.iter().map(|v| f32::from_le_bytes(*v)));
    }
    Ok(floats)
}

/// One query stays the request's bytes; several are put one after the other.
fn dense(field: &FieldSchema, mut placeholder: PlaceholderValue) -> Result<Bytes, Fault> {
    placeholder.values.iter().try_for_each(|value| check_dense(field, value))?;
    if placeholder.values.len() == 1 {
        return Ok(placeholder.values.remove(0));
    }
    let total = placeholder.values.iter().map(Bytes::len).sum();
    let mut bytes = BytesMut::with_capacity(total);
    placeholder.values.iter().for_each(|value| bytes.extend_from_slice(value));
    Ok(bytes.freeze())
}

fn texts(field: &FieldSchema, placeholder: PlaceholderValue) -> Result<Vec<String>, Fault> {
    let text = |value: Bytes| {
        String::from_utf8(value.into()).map_err(|_| {
            let name = &field.name;
            Fault::invalid(format!("a text to search for is not valid UTF-8, field name = {name}"))
        })
    };
    placeholder.values.into_iter().map(text).collect()
}

#[cfg(test)]
mod tests {
    use millstream_catalog::model::FieldId;

    use super::*;

    fn field(data_type: DataType) -> FieldSchema {
        FieldSchema { dim: 8, ..FieldSchema::new(FieldId(101), "v", data_type) }
    }

    fn group(kind: PlaceholderType, values: &[&[u8]]) -> Bytes {
        let values = values.iter().map(|v| Bytes::copy_from_slice(v)).collect();
        let placeholders =
            vec![PlaceholderValue { r#type: kind as i32, values, ..Default::default() }];
        PlaceholderGroup { placeholders }.encode_to_vec().into()
    }

    fn float_bytes(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|v| v.to_le_bytes()).collect()
    }

    #[test]
    fn queries_are_laid_out_one_after_the_other() {
        let (a, b) = (float_bytes(&[1.0; 8]), float_bytes(&[2.0; 8]));
        let group_of_two = group(PlaceholderType::FloatVector, &[&a, &b]);
        let (found, nq) = queries(&field(DataType::FloatVector), &group_of_two, 0).unwrap();
        assert_eq!((found, nq), (QueryVectors::Float([[1.0; 8], [2.0; 8]].concat().into()), 2));
        for (data_type, kind, width) in [
            (DataType::BinaryVector, PlaceholderType::BinaryVector, 1),
            (DataType::Int8Vector, PlaceholderType::Int8Vector, 8),
            (DataType::Float16Vector, PlaceholderType::Float16Vector, 16),
            (DataType::BFloat16Vector, PlaceholderType::BFloat16Vector, 16),
        ] {
            let group = group(kind, &[&vec![1; width], &vec![2; width]]);
            let (found, nq) = queries(&field(data_type), &group, 2).unwrap();
            let all = [vec![1; width], vec![2; width]].concat();
            assert_eq!((found, nq), (QueryVectors::Bytes(all.into()), 2), "{data_type:?}");
        }
    }

    #[test]
    fn a_field_of_a_function_is_searched_with_texts() {
        let field = FieldSchema { is_function_output: true, ..field(DataType::SparseFloatVector) };
        let (found, _) =
            queries(&field, &group(PlaceholderType::VarChar, &[b"two words"]), 0).unwrap();
        assert_eq!(found, QueryVectors::Text(vec!["two words".into()]));
        let bad = queries(&field, &group(PlaceholderType::VarChar, &[b"\xff"]), 0).unwrap_err();
        assert!(bad.message.contains("not valid UTF-8"), "{bad}");
        let sparse = queries(&field, &group(PlaceholderType::SparseFloatVector, &[b""]), 0);
        let text = sparse.unwrap_err().message;
        assert!(text.contains("[expected=VarChar][actual=SparseFloatVector]"), "{text}");
    }

    #[test]
    fn bad_queries_are_refused() {
        let v = field(DataType::FloatVector);
        let text = |group: &Bytes, nq| queries(&v, group, nq).unwrap_err().message;
        let float = PlaceholderType::FloatVector;
        assert!(text(&group(float, &[]), 0).contains("should be in range [1, 16384]"));
        assert!(text(&group(float, &[&[0; 4]]), 0).contains("vector dimension mismatch"));
        let nan = float_bytes(&[f32::NAN; 8]);
        assert!(text(&group(float, &[&nan]), 0).contains("'NaN'"));
        assert!(text(&group(float, &[&[0; 32]]), 2).contains("nq does not agree"));
        let binary = group(PlaceholderType::BinaryVector, &[&[0]]);
        assert!(text(&binary, 0).contains("[expected=FloatVector][actual=BinaryVector]"));
        let lists = group(PlaceholderType::EmbListFloatVector, &[&[0; 32]]);
        assert!(text(&lists, 0).contains("embedding lists are not supported yet"));
        assert!(text(&Bytes::from_static(b"\xff"), 0).contains("cannot be decoded"));
    }
}
