//! Output fields: what a read must fetch, and how the fetched columns become an answer.

use std::borrow::Cow;
use std::collections::HashSet;

use bytes::Bytes;
use millstream_catalog::model::limits::DYNAMIC_FIELD;
use millstream_catalog::model::{CollectionSchema, Fault, FieldId};
use millstream_dataflow::api::{Column, Values};
use serde_json::{Map, Value};

use super::data;
use crate::pb::schema::FieldData;

/// The most output fields of one request, dynamic keys among them.
const NAMES_MAX: usize = 16_384;

/// What a client wants of each row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Fields to fetch, in the order of the answer.
    pub fields: Vec<FieldId>,
    /// Names as the client gave them, `*` spelled out.
    pub names: Vec<String>,
    /// Keys to keep of the dynamic field; all of them when empty.
    pub dynamic_keys: Vec<String>,
}

impl Output {
    /// Resolves the names that a client gave.
    pub fn resolve(schema: &CollectionSchema, wanted: &[String]) -> Result<Output, Fault> {
        if wanted.len() > NAMES_MAX {
            return Err(Fault::plain(format!(
                "maximum output fields' number should be limited to {NAMES_MAX}, but got {}",
                wanted.len()
            )));
        }
        let mut output = Output::default();
        let mut all_keys = false;
        let (mut names, mut keys) = (HashSet::new(), HashSet::new());
        for name in wanted.iter().map(|n| n.trim()) {
            if name == "*" {
                for field in schema.fields.iter().filter(|f| f.is_stored()) {
                    output.add(field.id, Cow::Borrowed(&field.name), &mut names);
                    all_keys |= field.is_dynamic;
                }
            } else if let Some(field) = schema.field(name) {
                if !field.is_stored() {
                    let text = format!("not allowed to retrieve raw data of field {name}");
                    return Err(Fault::plain(text));
                }
                output.add(field.id, Cow::Borrowed(name), &mut names);
                all_keys |= field.is_dynamic;
            } else if let Some(dynamic) = schema.dynamic_field() {
                let key = dynamic_key(name);
                output.add(dynamic.id, key.clone(), &mut names);
                if keys.insert(key.clone()) {
                    output.dynamic_keys.push(key.into_owned());
                }
            } else {
                return Err(Fault::plain(format!("field {name} not exist")));
            }
        }
        if all_keys {
            output.dynamic_keys.clear();
        }
        Ok(output)
    }

    /// Adds the primary key unless it is there.
    pub fn with_field(mut self, id: FieldId, name: &str) -> Output {
        let mut names = self.names.iter().cloned().map(Cow::Owned).collect();
        self.add(id, Cow::Borrowed(name), &mut names);
        self
    }

    fn add<'n>(&mut self, id: FieldId, name: Cow<'n, str>, names: &mut HashSet<Cow<'n, str>>) {
        if !self.fields.contains(&id) {
            self.fields.push(id);
        }
        if !names.contains(&name) {
            self.names.push(name.clone().into_owned());
            names.insert(name);
        }
    }

    /// The columns of an answer under the names of their fields.
    pub fn render(
        &self,
        schema: &CollectionSchema,
        columns: Vec<Column>,
    ) -> Result<Vec<FieldData>, Fault> {
        let mut rendered = Vec::with_capacity(columns.len());
        for mut column in columns {
            let Some(field) = schema.field_by_id(column.field) else {
                let text = format!("the answer holds field {}, which is unknown", column.field);
                return Err(Fault::internal(text));
            };
            if field.is_dynamic && !self.dynamic_keys.is_empty() {
                column.values = keep_keys(column.values, &self.dynamic_keys);
            }
            rendered.push(data::field_data(field, column));
        }
        Ok(rendered)
    }
}

/// The key that an output name means: `k`, `$meta["k"]` and `$meta['k']` are the same.
fn dynamic_key(name: &str) -> Cow<'_, str> {
    let inner = name
        .strip_prefix(DYNAMIC_FIELD)
        .and_then(|rest| rest.strip_prefix('['))
        .and_then(|rest| rest.strip_suffix(']'))
        .map(|quoted| quoted.trim_matches(['"', '\'']));
    Cow::Borrowed(inner.unwrap_or(name))
}

fn keep_keys(values: Values, keys: &[String]) -> Values {
    let keys: HashSet<&str> = keys.iter().map(String::as_str).collect();
    match values {
        Values::Json(rows) => Values::Json(rows.iter().map(|row| kept(row, &keys)).collect()),
        other => other,
    }
}

fn kept(row: &Bytes, keys: &HashSet<&str>) -> Bytes {
    let Ok(mut map) = serde_json::from_slice::<Map<String, Value>>(row) else {
        return row.clone();
    };
    map.retain(|key, _| keys.contains(key.as_str()));
    serde_json::to_vec(&map).map_or_else(|_| row.clone(), Bytes::from)
}

#[cfg(test)]
mod tests {
    use millstream_catalog::model::{DataType, FieldSchema};

    use super::*;

    fn field(id: i64, name: &str, data_type: DataType) -> FieldSchema {
        FieldSchema {
            is_primary: id == 100,
            is_dynamic: name == DYNAMIC_FIELD,
            dim: 2,
            is_function_output: data_type == DataType::SparseFloatVector,
            ..FieldSchema::new(FieldId(id), name, data_type)
        }
    }

    fn schema(dynamic: bool) -> CollectionSchema {
        let mut fields =
            vec![field(100, "id", DataType::Int64), field(101, "v", DataType::FloatVector)];
        if dynamic {
            fields.push(field(102, DYNAMIC_FIELD, DataType::Json));
        }
        CollectionSchema {
            name: "c".into(),
            description: String::new(),
            enable_dynamic_field: dynamic,
            fields,
            version: 0,
            functions: Vec::new(),
        }
    }

    fn resolve(dynamic: bool, names: &[&str]) -> Result<Output, Fault> {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        Output::resolve(&schema(dynamic), &names)
    }

    #[test]
    fn a_star_means_every_field_and_every_dynamic_key() {
        let output = resolve(true, &["*", "color"]).unwrap();
        assert_eq!(output.fields, [FieldId(100), FieldId(101), FieldId(102)]);
        assert_eq!(output.names, ["id", "v", "$meta", "color"]);
        assert!(output.dynamic_keys.is_empty());
    }

    #[test]
    fn an_unknown_name_is_a_dynamic_key_or_an_error() {
        let output = resolve(true, &["color", "$meta[\"size\"]"]).unwrap();
        assert_eq!(output.fields, [FieldId(102)]);
        assert_eq!(output.dynamic_keys, ["color", "size"]);
        assert_eq!(resolve(false, &["color"]).unwrap_err().message, "field color not exist");
    }

    #[test]
    fn a_name_that_is_given_often_is_returned_once_and_too_many_are_refused() {
        let names = ["color", "id", "color", "$meta[\"color\"]", "id", "$meta['id']"];
        let output = resolve(true, &names).unwrap();
        assert_eq!(output.fields, [FieldId(102), FieldId(100)]);
        assert_eq!(output.names, ["color", "id"]);
        assert_eq!(output.dynamic_keys, ["color", "id"]);
        let again = resolve(true, &names).unwrap().with_field(FieldId(100), "id");
        assert_eq!(again, output);
        let keys: Vec<String> = (0..=NAMES_MAX).map(|key| format!("k{key}")).collect();
        assert_eq!(Output::resolve(&schema(true), &keys[1..]).unwrap().names.len(), NAMES_MAX);
        let refused = Output::resolve(&schema(true), &keys).unwrap_err().message;
        assert!(refused.contains("limited to 16384, but got 16385"), "{refused}");
    }

    #[test]
    fn only_the_wanted_keys_of_the_dynamic_field_are_returned() {
        let output = resolve(true, &["color"]).unwrap();
        let row = Bytes::from_static(br#"{"color":"red","size":3}"#);
        let column = Column {
            field: FieldId(102),
            data_type: DataType::Json,
            values: Values::Json(vec![row, Bytes::from_static(b"{}")]),
            validity: None,
        };
        let rendered = output.render(&schema(true), vec![column]).unwrap();
        assert!(rendered[0].is_dynamic);
        let text = format!("{:?}", rendered[0].field);
        assert!(text.contains("red") && !text.contains("size"), "{text}");
    }

    #[test]
    fn what_a_function_fills_is_not_returned() {
        let mut schema = schema(true);
        schema.fields.push(field(103, "bm25", DataType::SparseFloatVector));
        let resolve = |name: &str| Output::resolve(&schema, &[name.to_owned()]);
        assert_eq!(resolve("*").unwrap().fields, [FieldId(100), FieldId(101), FieldId(102)]);
        let refused = resolve("bm25").unwrap_err().message;
        assert_eq!(refused, "not allowed to retrieve raw data of field bm25");
    }
}
