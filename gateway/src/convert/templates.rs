//! Values of `{name}` placeholders in filters.

use std::collections::HashMap;

use millstream_catalog::model::Fault;
use millstream_expr::TemplateValue;

use crate::pb::schema as wire;

/// The values of `{name}` placeholders in a filter.
pub fn templates(
    values: HashMap<String, wire::TemplateValue>,
) -> Result<Vec<(String, TemplateValue)>, Fault> {
    let convert = |(name, value): (String, wire::TemplateValue)| match template(value, 0) {
        Some(value) => Ok((name, value)),
        None => {
            let text = format!("the value of template {{{name}}} is of a type not supported yet");
            Err(Fault::invalid(text))
        }
    };
    values.into_iter().map(convert).collect()
}

fn template(value: wire::TemplateValue, depth: u32) -> Option<TemplateValue> {
    use wire::template_value::Val;
    Some(match value.val? {
        Val::BoolVal(v) => TemplateValue::Bool(v),
        Val::Int64Val(v) => TemplateValue::Int(v),
        Val::FloatVal(v) => TemplateValue::Float(v),
        Val::StringVal(v) => TemplateValue::Text(v),
        Val::ArrayVal(array) => template_list(array, depth)?,
        Val::BytesVal(_) => return None,
    })
}

fn template_list(array: wire::TemplateArrayValue, depth: u32) -> Option<TemplateValue> {
    use wire::template_array_value::Data;
    if depth > 8 {
        return None;
    }
    let list = match array.data {
        None => Vec::new(),
        Some(Data::BoolData(a)) => a.data.into_iter().map(TemplateValue::Bool).collect(),
        Some(Data::LongData(a)) => a.data.into_iter().map(TemplateValue::Int).collect(),
        Some(Data::DoubleData(a)) => a.data.into_iter().map(TemplateValue::Float).collect(),
        Some(Data::StringData(a)) => a.data.into_iter().map(TemplateValue::Text).collect(),
        Some(Data::ArrayData(a)) => {
            a.data.into_iter().map(|a| template_list(a, depth + 1)).collect::<Option<_>>()?
        }
        Some(Data::JsonData(_)) => return None,
    };
    Some(TemplateValue::List(list))
}
