//! Indexes on scalar fields. Filters are evaluated over columns, so a definition is only kept.

use millstream_catalog::model::{DataType, Fault, FieldSchema, Props};

use super::{AUTOINDEX, Definition, Given, keep_rest};

/// What the values under a JSON path can be taken for.
const CASTS: [&str; 7] =
    ["BOOL", "DOUBLE", "VARCHAR", "JSON", "ARRAY_BOOL", "ARRAY_DOUBLE", "ARRAY_VARCHAR"];

/// Whether a name is that of an index type for scalars.
pub(super) fn is_type(name: &str) -> bool {
    matches!(
        name,
        "STL_SORT" | "Trie" | "TRIE" | "marisa-trie" | "INVERTED" | "BITMAP" | "NGRAM" | "RTREE"
    )
}

/// Checks the parameters of a new index on a scalar field.
pub(super) fn define(
    field: &FieldSchema,
    index_type: &str,
    given: &Given<'_>,
) -> Result<Definition, Fault> {
    if index_type != AUTOINDEX && !is_type(index_type) {
        return Err(Fault::invalid(format!(
            "invalid index type: {index_type}, the field {} is {}",
            field.name,
            field.data_type.name()
        )));
    }
    let mut kept: Props = vec![("index_type".to_owned(), index_type.to_owned())];
    if field.data_type == DataType::Json {
        kept.push(("json_path".to_owned(), json_path(field, given)?));
    }
    if !fits(field, index_type) {
        return Err(Fault::invalid(format!(
            "{index_type} are not supported on {} field: {}",
            field.data_type.name(),
            field.name
        )));
    }
    if index_type == "NGRAM" {
        check_grams(field, given)?;
    }
    keep_rest(&mut kept, given.extra);
    Ok(Definition { params: kept, exact_in_place: false })
}

fn fits(field: &FieldSchema, index_type: &str) -> bool {
    let data_type = field.data_type;
    let of_element = field.element_type.unwrap_or(data_type);
    let numeric =
        |ty: DataType| ty.is_integer() || matches!(ty, DataType::Float | DataType::Double);
    let text = data_type == DataType::VarChar;
    match index_type {
        "STL_SORT" => numeric(data_type) || text,
        "Trie" | "TRIE" | "marisa-trie" => text,
        "INVERTED" => true,
        "BITMAP" => {
            let of_few =
                of_element.is_integer() || matches!(of_element, DataType::Bool | DataType::VarChar);
            !field.is_primary && of_few
        }
        "NGRAM" => text || data_type == DataType::Json,
        _ => index_type == AUTOINDEX,
    }
}

/// The path that an index on a JSON field is for.
fn json_path(field: &FieldSchema, given: &Given<'_>) -> Result<String, Fault> {
    let name = &field.name;
    let (Some(path), Some(cast)) = (given.get("json_path"), given.get("json_cast_type")) else {
        return Err(Fault::invalid(format!(
            "create index on JSON field is not supported without json_path and json_cast_type, \
             field name = {name}"
        )));
    };
    if CASTS.contains(&cast.to_ascii_uppercase().as_str()) {
        return Ok(path);
    }
    Err(Fault::invalid(format!(
        "json_cast_type {cast} is not supported, supported: [{}], field name = {name}",
        CASTS.join(" ")
    )))
}

fn check_grams(field: &FieldSchema, given: &Given<'_>) -> Result<(), Fault> {
    let gram = |key: &str| given.get(key).and_then(|text| text.trim().parse::<u32>().ok());
    match (gram("min_gram"), gram("max_gram")) {
        (Some(min), Some(max)) if min > 0 && min <= max => Ok(()),
        _ => Err(Fault::invalid(format!(
            "Ngram index must specify both min_gram and max_gram, 0 < min_gram <= max_gram, \
             field name = {}",
            field.name
        ))),
    }
}
