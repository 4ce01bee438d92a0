//! Search by primary keys: the queries are the vectors of rows that are there.

use std::collections::HashMap;

use millstream_catalog::model::limits::TOPK_MAX;
use millstream_catalog::model::{CollectionSchema, DataType, Fault, FieldId, FieldSchema};
use millstream_dataflow::api::{Column, KeyList, QueryRequest, QueryVectors, Target, Values};

use crate::convert::schema::primary_field;
use crate::gateway::Gateway;
use crate::pb::schema::IDs;
use crate::pb::schema::i_ds::IdField;

/// The keys of a request, of the type of the primary key.
pub(super) fn keys(
    schema: &CollectionSchema,
    field: &FieldSchema,
    ids: IDs,
) -> Result<KeyList, Fault> {
    if field.is_function_output {
        return Err(Fault::invalid(format!(
            "search by primary keys is not supported on field {}, which a function fills",
            field.name
        )));
    }
    let pk = primary_field(schema)?;
    let (keys, given) = match ids.id_field {
        Some(IdField::IntId(ids)) => (KeyList::Int(ids.data), DataType::Int64),
        Some(IdField::StrId(ids)) => (KeyList::Text(ids.data), DataType::VarChar),
        None => (KeyList::Int(Vec::new()), pk.data_type),
    };
    if given != pk.data_type {
        let text = format!("the type of the primary keys must be that of field {}", pk.name);
        return Err(Fault::expected(text, pk.data_type.name(), given.name()));
    }
    let nq = keys.len() as u64;
    if !(1..=TOPK_MAX).contains(&nq) {
        return Err(Fault::plain(format!(
            "nq [{nq}] is invalid, nq (number of search vector per search request) should be in \
             range [1, {TOPK_MAX}], but got {nq}"
        )));
    }
    Ok(keys)
}

/// The columns of the rows of these keys at the time of a target, and the row of each key.
///
/// The first column is the primary key.
pub(super) async fn fetch(
    gateway: &Gateway,
    target: &Target,
    fields: &[FieldId],
    keys: &KeyList,
) -> Result<(Vec<Column>, Vec<Option<u32>>), Fault> {
    let request = QueryRequest {
        target: target.clone(),
        filter: None,
        keys: Some(keys.clone()),
        output: fields.to_vec(),
        order: Vec::new(),
        offset: 0,
        limit: None,
    };
    let columns = gateway.dataflow.query(request).await?.columns;
    let rows = match (columns.first().map(|c| &c.values), keys) {
        (Some(Values::Long(found)), KeyList::Int(keys)) => {
            let rows: HashMap<i64, u32> = found.iter().copied().zip(0..).collect();
            keys.iter().map(|key| rows.get(key).copied()).collect()
        }
        (Some(Values::Text(found)), KeyList::Text(keys)) => {
            let rows: HashMap<&str, u32> = found.iter().map(String::as_str).zip(0..).collect();
            keys.iter().map(|key| rows.get(key.as_str()).copied()).collect()
        }
        _ => return Err(Fault::internal("keys of rows are of another type than the primary key")),
    };
    Ok((columns, rows))
}

/// The vectors of rows, in the order of their keys; of the fields the first is the primary key. The
/// rows are looked for in the partitions that are searched.
pub(super) async fn vectors(
    gateway: &Gateway,
    target: &Target,
    fields: &[FieldId; 2],
    keys: KeyList,
) -> Result<QueryVectors, Fault> {
    let (columns, rows) = fetch(gateway, target, fields, &keys).await?;
    let missing: Vec<usize> = (0..rows.len()).filter(|&at| rows[at].is_none()).collect();
    if !missing.is_empty() {
        let names: Vec<String> = missing.into_iter().filter_map(|at| keys.name(at)).collect();
        return Err(Fault::invalid(format!(
            "some of the provided primary key IDs do not exist: missing IDs = [{}]",
            names.join(", ")
        )));
    }
    let rows: Vec<u32> = rows.into_iter().flatten().collect();
    let column = columns.get(1).map(|column| column.take(&rows).values);
    Ok(match column {
        Some(Values::FloatVector { data, .. }) => {
            let (floats, _) = data.as_chunks::<4>();
            QueryVectors::Float(floats.iter().map(|x| f32::from_le_bytes(*x)).collect())
        }
        Some(Values::Dense { data, .. }) => QueryVectors::Bytes(data),
        Some(Values::Sparse(cells)) => QueryVectors::Sparse(cells),
        _ => return Err(Fault::internal("the field to search is not of vector type")),
    })
}
