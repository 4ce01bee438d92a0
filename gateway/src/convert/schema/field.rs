//! One field of a schema: its type, its type parameters, nulls and the default value.

use millstream_catalog::model::limits::{
    ARRAY_CAPACITY_MAX, BINARY_DIM_MAX, BINARY_DIM_MIN, DIM_MAX, DIM_MIN, VARCHAR_LENGTH_MAX,
};
use millstream_catalog::model::{DataType, DefaultValue, Fault, FieldId, FieldSchema};

use crate::convert::params;
use crate::names;
use crate::pb::schema as wire;
use crate::pb::schema::value_field::Data;

/// Reads and validates one field.
pub(super) fn from_wire(
    field: &wire::FieldSchema,
    id: FieldId,
    collection: &str,
) -> Result<FieldSchema, Fault> {
    names::check_field(&field.name)?;
    params::check_pairs("type param", &field.type_params)?;
    params::check_room(&format!("the words about field {}", field.name), field.description.len())?;
    let data_type = type_of(field)?;
    let element_type = match data_type {
        DataType::Array => Some(element_type_of(field)?),
        _ => None,
    };
    let has_texts = data_type == DataType::VarChar || element_type == Some(DataType::VarChar);
    let mut read = FieldSchema {
        description: field.description.clone(),
        is_primary: field.is_primary_key,
        auto_id: field.auto_id,
        dim: if data_type.is_vector() { dim_of(field, data_type, id)? } else { 0 },
        max_length: if has_texts { max_length_of(field, collection)? } else { 0 },
        max_capacity: if element_type.is_some() { max_capacity_of(field, collection)? } else { 0 },
        type_params: params::to_props(field.type_params.clone()),
        element_type,
        nullable: field.nullable,
        is_partition_key: field.is_partition_key,
        is_clustering_key: field.is_clustering_key,
        ..FieldSchema::new(id, field.name.clone(), data_type)
    };
    check_nullable(&read)?;
    if let Some(data) = field.default_value.as_ref().and_then(|v| v.data.as_ref()) {
        read.default_value = Some(default_value(&read, data)?);
    }
    Ok(read)
}

/// The field as a client sees it.
pub(super) fn to_wire(field: &FieldSchema) -> wire::FieldSchema {
    wire::FieldSchema {
        field_id: field.id.0,
        name: field.name.clone(),
        is_primary_key: field.is_primary,
        description: field.description.clone(),
        data_type: field.data_type as i32,
        type_params: params::from_props(&field.type_params),
        auto_id: field.auto_id,
        element_type: field.element_type.map_or(0, |e| e as i32),
        default_value: field.default_value.as_ref().map(|v| default_to_wire(field, v)),
        is_dynamic: field.is_dynamic,
        is_partition_key: field.is_partition_key,
        is_clustering_key: field.is_clustering_key,
        nullable: field.nullable,
        is_function_output: field.is_function_output,
        ..wire::FieldSchema::default()
    }
}

/// Milvus's name of a type number.
fn type_name(number: i32) -> String {
    wire::DataType::try_from(number)
        .map_or_else(|_| number.to_string(), |t| t.as_str_name().to_owned())
}

const STRING: i32 = wire::DataType::String as i32;
const NONE: i32 = wire::DataType::None as i32;

fn no_string() -> Fault {
    Fault::plain("string data type not supported yet, please use VarChar type instead")
}

/// The model's type, if fields of it can be stored.
fn type_of(field: &wire::FieldSchema) -> Result<DataType, Fault> {
    match field.data_type {
        STRING => Err(no_string()),
        NONE => {
            Err(Fault::plain(format!("data type None is not valid, field name = {}", field.name)))
        }
        number => DataType::from_number(number).ok_or_else(|| {
            let name = type_name(number);
            Fault::invalid(format!(
                "data type {name} is not supported yet, field name = {}",
                field.name
            ))
        }),
    }
}

fn element_type_of(field: &wire::FieldSchema) -> Result<DataType, Fault> {
    let name = &field.name;
    match (field.element_type, DataType::from_number(field.element_type)) {
        (STRING, _) => Err(no_string()),
        (NONE, _) => {
            Err(Fault::plain(format!("element data type None is not valid, field name = {name}")))
        }
        (_, Some(element)) if element.scalar_width().is_some() || element == DataType::VarChar => {
            Ok(element)
        }
        (number, _) => {
            let element = type_name(number);
            Err(Fault::invalid(format!(
                "element data type {element} is not valid for an array, field name = {name}"
            )))
        }
    }
}

fn dim_of(field: &wire::FieldSchema, data_type: DataType, id: FieldId) -> Result<u32, Fault> {
    let name = &field.name;
    let given = params::find(&field.type_params, "dim");
    if data_type == DataType::SparseFloatVector {
        return match given {
            None => Ok(0),
            Some(_) => Err(Fault::plain(format!(
                "dim should not be specified for sparse vector field {name}({id})"
            ))),
        };
    }
    let Some(text) = given else {
        return Err(Fault::plain(format!(
            "dimension is not defined in field type params, check type param `dim` for vector \
             field, field name = {name}"
        )));
    };
    let (low, high) = match data_type {
        DataType::BinaryVector => (BINARY_DIM_MIN, BINARY_DIM_MAX),
        _ => (DIM_MIN, DIM_MAX),
    };
    let dim = match text.trim().parse::<u32>() {
        Ok(dim) if (low.min(DIM_MIN)..=high).contains(&dim) => dim,
        _ => {
            return Err(Fault::plain(format!(
                "invalid dimension: {text}. should be in range {low} ~ {high}, field name = {name}"
            )));
        }
    };
    if data_type == DataType::BinaryVector && !dim.is_multiple_of(8) {
        return Err(Fault::plain(format!(
            "invalid dimension: {dim}. binary vector dimension should be multiple of 8. , \
             field name = {name}"
        )));
    }
    Ok(dim)
}

fn max_length_of(field: &wire::FieldSchema, collection: &str) -> Result<u32, Fault> {
    let name = &field.name;
    let Some(text) = params::find(&field.type_params, "max_length") else {
        return Err(Fault::plain(format!(
            "type param(max_length) should be specified for varChar field of collection \
             {collection}, field name = {name}"
        )));
    };
    match text.trim().parse::<u32>() {
        Ok(length) if (1..=VARCHAR_LENGTH_MAX).contains(&length) => Ok(length),
        _ => Err(Fault::plain(format!(
            "the maximum length specified for a VarChar should be in (0, {VARCHAR_LENGTH_MAX}], \
             but got {text}, field name = {name}"
        ))),
    }
}

fn max_capacity_of(field: &wire::FieldSchema, collection: &str) -> Result<u32, Fault> {
    let name = &field.name;
    let Some(text) = params::find(&field.type_params, "max_capacity") else {
        return Err(Fault::plain(format!(
            "type param(max_capacity) should be specified for array field {name} of collection \
             {collection}"
        )));
    };
    match text.trim().parse::<i64>().map(u32::try_from) {
        Ok(Ok(capacity)) if (1..=ARRAY_CAPACITY_MAX).contains(&capacity) => Ok(capacity),
        Ok(_) => Err(Fault::plain(format!(
            "the maximum capacity specified for a Array should be in (0, {ARRAY_CAPACITY_MAX}], \
             but got {text}, field name = {name}"
        ))),
        Err(_) => Err(Fault::plain(format!(
            "the value of max_capacity must be an integer, but got {text}, field name = {name}"
        ))),
    }
}

fn check_nullable(field: &FieldSchema) -> Result<(), Fault> {
    let what = if !field.nullable {
        return Ok(());
    } else if field.is_primary {
        "primary field not support null"
    } else if field.data_type.is_vector() {
        "vector type not support null"
    } else {
        return Ok(());
    };
    let (ty, name) = (field.data_type.name(), &field.name);
    Err(Fault::invalid(format!("{what}, type:{ty}, name:{name}")))
}

/// Reads a default value; it must be of the field's type and one that a row could have.
fn default_value(field: &FieldSchema, data: &Data) -> Result<DefaultValue, Fault> {
    let (ty, name) = (field.data_type, &field.name);
    if field.is_primary {
        return Err(Fault::invalid(format!(
            "primary field not support default_value, name:{name}"
        )));
    }
    if ty.is_vector() || matches!(ty, DataType::Array | DataType::Json) {
        let ty = ty.name();
        return Err(Fault::invalid(format!(
            "type not support default_value, type:{ty}, name:{name}"
        )));
    }
    let finite = |v: f64| match v.is_finite() {
        true => Ok(DefaultValue::FloatBits(v.to_bits())),
        false => Err(Fault::invalid(format!(
            "value '{v}' is not a number or infinity, default_value of field {name}"
        ))),
    };
    match (ty, data) {
        (DataType::Bool, Data::BoolData(v)) => Ok(DefaultValue::Bool(*v)),
        (DataType::Int8 | DataType::Int16 | DataType::Int32, Data::IntData(v)) => {
            let (low, high) = super::super::columns::int_range(ty);
            if !(low..=high).contains(v) {
                return Err(Fault::invalid(format!(
                    "default_value of field {name}: {v} out of range: [{low}, {high}]"
                )));
            }
            Ok(DefaultValue::Int(i64::from(*v)))
        }
        (DataType::Int64, Data::LongData(v)) => Ok(DefaultValue::Int(*v)),
        (DataType::Float, Data::FloatData(v)) => finite(f64::from(*v)),
        (DataType::Double, Data::DoubleData(v)) => finite(*v),
        (DataType::VarChar, Data::StringData(text)) => {
            if text.len() > field.max_length as usize {
                return Err(Fault::invalid(format!(
                    "the length ({}) of default_value of field {name} exceeds max length ({})",
                    text.len(),
                    field.max_length
                )));
            }
            Ok(DefaultValue::Text(text.clone()))
        }
        _ => Err(Fault::invalid(format!(
            "type ({}) of field ({name}) is not equal to the type({}) of default_value: \
             default value type mismatches field schema type",
            ty.name(),
            kind_of(data)
        ))),
    }
}

const fn kind_of(data: &Data) -> &'static str {
    match data {
        Data::BoolData(_) => "DataType_Bool",
        Data::IntData(_) => "DataType_Int",
        Data::LongData(_) => "DataType_Int64",
        Data::FloatData(_) => "DataType_Float",
        Data::DoubleData(_) => "DataType_Double",
        Data::StringData(_) => "DataType_VarChar",
        Data::BytesData(_) => "DataType_Bytes",
        Data::TimestamptzData(_) => "DataType_Timestamptz",
    }
}

fn default_to_wire(field: &FieldSchema, value: &DefaultValue) -> wire::ValueField {
    let data = match (value, field.data_type) {
        (DefaultValue::Bool(v), _) => Data::BoolData(*v),
        (DefaultValue::Int(v), DataType::Int64) => Data::LongData(*v),
        // In range: it was checked against the type when the field was made.
        (DefaultValue::Int(v), _) => Data::IntData(*v as i32),
        (DefaultValue::FloatBits(bits), DataType::Float) => {
            Data::FloatData(f64::from_bits(*bits) as f32)
        }
        (DefaultValue::FloatBits(bits), _) => Data::DoubleData(f64::from_bits(*bits)),
        (DefaultValue::Text(text), _) => Data::StringData(text.clone()),
    };
    wire::ValueField { data: Some(data) }
}
