//! The dynamic field of updates: the keys that are given take the place of the older row's, and the
//! other keys of the older row stay.

use millstream_catalog::model::cell::json_text;
use millstream_catalog::model::limits::{DYNAMIC_FIELD, JSON_LENGTH_MAX};
use millstream_catalog::model::object::{members, merged};
use millstream_catalog::model::{Code, Fault, FieldId};
use millstream_expr::json_cell;
use millstream_segment::{Batch, ColumnInput, Input, Origins, ShardWriter};

/// The most bytes that the dynamic fields of one record of updates become.
const MERGED_BYTES_MAX: usize = 1 << 30;

/// What becomes of the dynamic field of an update.
pub(super) enum Dynamic {
    /// It is what is given.
    Given,
    /// Nothing is given: each row has that of its older row.
    Older(FieldId),
    /// These cells.
    Merged { field: FieldId, offsets: Vec<u8>, bytes: Vec<u8> },
}

impl Dynamic {
    /// Puts the column in place of the one that is given.
    pub(super) fn put<'a>(&'a self, inputs: &mut Vec<(FieldId, ColumnInput<'a>)>) {
        match self {
            Dynamic::Given => {}
            Dynamic::Older(field) => inputs.retain(|(of, _)| of != field),
            Dynamic::Merged { field, offsets, bytes } => {
                let column = ColumnInput::from(Input::Var { offsets, bytes });
                let given = inputs.iter_mut().filter(|(of, _)| of == field);
                given.for_each(|(_, input)| *input = column);
            }
        }
    }
}

/// Joins the dynamic field of each row of an update with that of its older row.
///
/// # Errors
/// When one becomes larger than a JSON value may be, or all together too large.
pub(super) fn merge(
    writer: &ShardWriter,
    dynamic: Option<(FieldId, usize)>,
    batch: &Batch<'_>,
    origins: &Origins,
) -> Result<Dynamic, Fault> {
    let Some((field, place)) = dynamic else { return Ok(Dynamic::Given) };
    let Some(given) = batch.column(field) else { return Ok(Dynamic::Given) };
    let older = |row| writer.older(origins, row, place);
    let is_empty = |cell| members(json_text(cell)).next().is_none();
    let mut rows = 0..batch.rows;
    if rows.clone().all(|row| older(row).is_none()) {
        return Ok(Dynamic::Given);
    }
    if rows.clone().all(|row| older(row).is_some() && is_empty(given.values.text(row))) {
        return Ok(Dynamic::Older(field));
    }
    let mut bytes = Vec::new();
    let mut offsets = Vec::with_capacity((batch.rows + 1) * 4);
    offsets.extend([0; 4]);
    rows.try_for_each(|row| {
        let new = given.values.text(row);
        match older(row) {
            None => bytes.extend_from_slice(new),
            Some(old) if is_empty(new) => bytes.extend_from_slice(old),
            Some(old) => push(&merged(json_text(old), json_text(new)), &mut bytes)?,
        }
        if bytes.len() > MERGED_BYTES_MAX {
            let text = format!(
                "the dynamic fields of the updated rows exceed {MERGED_BYTES_MAX} bytes: update \
                 fewer rows at once"
            );
            return Err(Fault::new(Code::ParameterTooLarge, text));
        }
        offsets.extend((bytes.len() as u32).to_le_bytes());
        Ok(())
    })?;
    Ok(Dynamic::Merged { field, offsets, bytes })
}

fn push(text: &[u8], cells: &mut Vec<u8>) -> Result<(), Fault> {
    if text.len() > JSON_LENGTH_MAX {
        return Err(Fault::invalid(format!(
            "the length ({}) of json field ({DYNAMIC_FIELD}) exceeds max length \
             ({JSON_LENGTH_MAX})",
            text.len()
        )));
    }
    json_cell(text, cells).map_err(|error| {
        Fault::invalid(format!("the value of json field ({DYNAMIC_FIELD}) is not JSON: {error}"))
    })
}
