//! Hits as an answer has them: without those before the offset, rounded, in the protocol's form.

use millstream_catalog::model::{Collection, Fault};
use millstream_dataflow::api::SearchReply;

use crate::convert::data;
use crate::convert::output::Output;
use crate::convert::schema::primary_field;
use crate::pb::schema::i_ds::IdField;
use crate::pb::schema::{FieldData, SearchResultData};

/// Drops the first `offset` hits of each query; of grouped ones the first groups.
pub(super) fn skip(reply: &mut SearchReply, offset: u32) {
    if offset == 0 {
        return;
    }
    let mut keep = Vec::with_capacity(reply.scores.len());
    for hits in &mut reply.hits {
        let first = keep.len();
        let (mut kept, mut groups) = (0, 0);
        for hit in 0..*hits {
            let begins = match &reply.groups {
                Some(_) if hit == 0 => true,
                Some(column) => {
                    let at = first + hit as usize;
                    !column.same_group(at - 1, at)
                }
                None => true,
            };
            groups += u32::from(begins);
            keep.push(groups > offset);
            kept += u32::from(groups > offset);
        }
        *hits = kept;
    }
    let mut kept = keep.iter();
    reply.scores.retain(|_| kept.next().copied().unwrap_or(false));
    reply.pks.retain(&keep);
    reply.groups.iter_mut().for_each(|column| column.retain(&keep));
    reply.columns.iter_mut().for_each(|column| column.retain(&keep));
}

/// Rounds scores to so many decimals.
pub(super) fn round(scores: &mut [f32], decimals: Option<u32>) {
    let Some(decimals) = decimals else { return };
    let factor = 10_f64.powi(decimals.cast_signed());
    for score in scores {
        *score = ((f64::from(*score) * factor).round() / factor) as f32;
    }
}

/// The results of a search.
pub(super) fn results(
    collection: &Collection,
    output: &Output,
    reply: SearchReply,
) -> Result<SearchResultData, Fault> {
    let topks: Vec<i64> = reply.hits.iter().map(|h| i64::from(*h)).collect();
    let pk = primary_field(&collection.schema)?;
    let mut ids = data::ids(reply.pks.values);
    if ids.id_field.is_none() {
        ids.id_field = Some(IdField::IntId(Default::default()));
    }
    let group = reply.groups.map(|column| {
        let field = collection.schema.field_by_id(column.field);
        field.map_or_else(FieldData::default, |field| data::field_data(field, column))
    });
    Ok(SearchResultData {
        num_queries: i64::try_from(topks.len()).unwrap_or(i64::MAX),
        top_k: topks.iter().copied().max().unwrap_or(0),
        fields_data: output.render(&collection.schema, reply.columns)?,
        scores: reply.scores,
        ids: Some(ids),
        topks,
        output_fields: output.names.clone(),
        primary_field_name: pk.name.clone(),
        group_by_field_values: group.clone().into_iter().collect(),
        group_by_field_value: group,
        ..SearchResultData::default()
    })
}

#[cfg(test)]
mod tests {
    use millstream_catalog::model::{DataType, FieldId, Timestamp};
    use millstream_dataflow::api::{Column, Values};

    use super::*;

    fn column(values: Values) -> Column {
        Column { field: FieldId(100), data_type: DataType::Int64, values, validity: None }
    }

    fn vectors(rows: &[u8]) -> Values {
        let data: Vec<u8> = rows.iter().flat_map(|r| [*r; 4]).collect();
        Values::FloatVector { dim: 1, data: data.into() }
    }

    fn reply() -> SearchReply {
        SearchReply {
            as_of: Timestamp(1),
            hits: vec![3, 0, 1, 2],
            pks: column(Values::Long(vec![1, 2, 3, 4, 5, 6])),
            scores: vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
            groups: None,
            columns: vec![column(vectors(&[1, 2, 3, 4, 5, 6]))],
        }
    }

    #[test]
    fn an_offset_drops_the_first_hits_of_each_query() {
        let mut reply = reply();
        skip(&mut reply, 1);
        assert_eq!(reply.hits, [2, 0, 0, 1]);
        assert_eq!(reply.pks.values, Values::Long(vec![2, 3, 6]));
        assert_eq!(reply.scores, [0.2, 0.3, 0.6]);
        assert_eq!(reply.columns[0].values, vectors(&[2, 3, 6]));
    }

    #[test]
    fn an_offset_over_groups_drops_whole_groups() {
        let mut reply = reply();
        reply.groups = Some(column(Values::Long(vec![7, 7, 8, 7, 7, 7])));
        skip(&mut reply, 1);
        assert_eq!(reply.hits, [1, 0, 0, 0]);
        assert_eq!(reply.pks.values, Values::Long(vec![3]));
        assert_eq!(reply.groups, Some(column(Values::Long(vec![8]))));
    }

    #[test]
    fn scores_are_rounded_to_decimals() {
        let mut scores = [0.123_45, -2.5, 1e30];
        round(&mut scores, Some(2));
        assert_eq!(scores, [0.12, -2.5, 1e30]);
        round(&mut scores, None);
        assert_eq!(scores, [0.12, -2.5, 1e30]);
    }
}
