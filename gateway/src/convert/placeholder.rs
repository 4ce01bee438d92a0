//! Query vectors: from a serialized placeholder group to floats, row-major.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::model::limits::TOPK_MAX;
use millstream_catalog::model::{Fault, FieldSchema};
use prost::Message;

use super::columns::check_finite;
use crate::pb::common::{PlaceholderGroup, PlaceholderType};

/// The query vectors of a search on a float vector field, `[nq, dim]`, and nq.
pub fn float_queries(
    field: &FieldSchema,
    group: &Bytes,
    nq_given: i64,
) -> Result<(Arc<[f32]>, usize), Fault> {
    let group = PlaceholderGroup::decode(group.clone())
        .map_err(|e| Fault::invalid(format!("placeholder_group cannot be decoded: {e}")))?;
    let [placeholder] = group.placeholders.as_slice() else {
        return Err(Fault::invalid(format!(
            "placeholder_group must hold one placeholder, but holds {}",
            group.placeholders.len()
        )));
    };
    let nq = placeholder.values.len();
    check_nq(nq as u64)?;
    if nq_given > 0 && nq_given.unsigned_abs() != nq as u64 {
        let text = "nq does not agree with the number of query vectors";
        return Err(Fault::expected(text, nq_given, nq));
    }
    if placeholder.r#type != PlaceholderType::FloatVector as i32 {
        let found = PlaceholderType::try_from(placeholder.r#type)
            .map_or("unknown type", |t| t.as_str_name());
        return Err(Fault::expected(
            "vector type must be the same as the type of the field",
            "FloatVector",
            found,
        ));
    }
    let width = field.dim as usize * 4;
    let mut floats = Vec::with_capacity(nq * field.dim as usize);
    for value in &placeholder.values {
        if value.len() != width {
            return Err(Fault::invalid(format!(
                "vector dimension mismatch, expected vector size(byte) {width}, actual {}",
                value.len()
            )));
        }
        check_finite(value)?;
        floats.extend(value.chunks_exact(4).map(|v| f32::from_le_bytes([v[0], v[1], v[2], v[3]])));
    }
    Ok((floats.into(), nq))
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

#[cfg(test)]
mod tests {
    use millstream_catalog::model::{DataType, FieldId};

    use super::*;
    use crate::pb::common::PlaceholderValue;

    fn field() -> FieldSchema {
        FieldSchema {
            id: FieldId(101),
            name: "v".into(),
            description: String::new(),
            data_type: DataType::FloatVector,
            is_primary: false,
            auto_id: false,
            is_dynamic: false,
            dim: 2,
            max_length: 0,
            type_params: Vec::new(),
        }
    }

    fn group(kind: PlaceholderType, values: Vec<Vec<u8>>) -> Bytes {
        let values = values.into_iter().map(Bytes::from).collect();
        let placeholders =
            vec![PlaceholderValue { r#type: kind as i32, values, ..Default::default() }];
        PlaceholderGroup { placeholders }.encode_to_vec().into()
    }

    fn vector(x: f32, y: f32) -> Vec<u8> {
        [x.to_le_bytes(), y.to_le_bytes()].concat()
    }

    #[test]
    fn queries_are_laid_out_one_after_the_other() {
        let group = group(PlaceholderType::FloatVector, vec![vector(1.0, 2.0), vector(3.0, 4.0)]);
        let (floats, nq) = float_queries(&field(), &group, 0).unwrap();
        assert_eq!((&floats[..], nq), (&[1.0, 2.0, 3.0, 4.0][..], 2));
    }

    #[test]
    fn bad_queries_are_refused() {
        let text = |group: &Bytes, nq| float_queries(&field(), group, nq).unwrap_err().message;
        let float = PlaceholderType::FloatVector;
        assert!(text(&group(float, vec![]), 0).contains("should be in range [1, 16384]"));
        assert!(text(&group(float, vec![vec![0; 4]]), 0).contains("vector dimension mismatch"));
        assert!(text(&group(float, vec![vector(f32::NAN, 0.0)]), 0).contains("'NaN'"));
        assert!(text(&group(float, vec![vector(0.0, 0.0)]), 2).contains("nq does not agree"));
        let binary = group(PlaceholderType::BinaryVector, vec![vec![0]]);
        assert!(text(&binary, 0).contains("[expected=FloatVector][actual=BinaryVector]"));
        assert!(text(&Bytes::from_static(b"\xff"), 0).contains("cannot be decoded"));
    }
}
