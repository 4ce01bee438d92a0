//! Schemas: the fields of a collection and their types.

use serde::{Deserialize, Serialize};

use super::ids::FieldId;

/// Type of a field. The discriminants are Milvus's wire numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum DataType {
    Bool = 1,
    Int8 = 2,
    Int16 = 3,
    Int32 = 4,
    Int64 = 5,
    Float = 10,
    Double = 11,
    VarChar = 21,
    Array = 22,
    Json = 23,
    BinaryVector = 100,
    FloatVector = 101,
    Float16Vector = 102,
    BFloat16Vector = 103,
    SparseFloatVector = 104,
    Int8Vector = 105,
}

impl DataType {
    /// The type of a wire number, if it is one that the project knows.
    pub const fn from_number(number: i32) -> Option<DataType> {
        Some(match number {
            1 => DataType::Bool,
            2 => DataType::Int8,
            3 => DataType::Int16,
            4 => DataType::Int32,
            5 => DataType::Int64,
            10 => DataType::Float,
            11 => DataType::Double,
            21 => DataType::VarChar,
            22 => DataType::Array,
            23 => DataType::Json,
            100 => DataType::BinaryVector,
            101 => DataType::FloatVector,
            102 => DataType::Float16Vector,
            103 => DataType::BFloat16Vector,
            104 => DataType::SparseFloatVector,
            105 => DataType::Int8Vector,
            _ => return None,
        })
    }

    /// Milvus's name of the type, as its error texts spell it.
    pub const fn name(self) -> &'static str {
        match self {
            DataType::Bool => "Bool",
            DataType::Int8 => "Int8",
            DataType::Int16 => "Int16",
            DataType::Int32 => "Int32",
            DataType::Int64 => "Int64",
            DataType::Float => "Float",
            DataType::Double => "Double",
            DataType::VarChar => "VarChar",
            DataType::Array => "Array",
            DataType::Json => "JSON",
            DataType::BinaryVector => "BinaryVector",
            DataType::FloatVector => "FloatVector",
            DataType::Float16Vector => "Float16Vector",
            DataType::BFloat16Vector => "BFloat16Vector",
            DataType::SparseFloatVector => "SparseFloatVector",
            DataType::Int8Vector => "Int8Vector",
        }
    }

    /// Whether values of this type are vectors.
    pub const fn is_vector(self) -> bool {
        (self as i32) >= 100
    }

    /// Whether values are of integer type.
    pub const fn is_integer(self) -> bool {
        matches!(self, DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64)
    }

    /// Whether values have different lengths: text and JSON.
    pub const fn is_variable(self) -> bool {
        matches!(self, DataType::VarChar | DataType::Json)
    }

    /// Bytes of one value of a scalar of fixed width.
    pub const fn scalar_width(self) -> Option<usize> {
        match self {
            DataType::Bool | DataType::Int8 => Some(1),
            DataType::Int16 => Some(2),
            DataType::Int32 | DataType::Float => Some(4),
            DataType::Int64 | DataType::Double => Some(8),
            _ => None,
        }
    }
}

/// How two float vectors are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Metric {
    /// Squared Euclidean distance; smaller is nearer.
    L2,
    /// Inner product; larger is nearer.
    Ip,
    /// Cosine similarity in `[-1, 1]`; larger is nearer.
    Cosine,
}

impl Metric {
    /// The metric of Milvus's name, in any case.
    pub fn from_name(name: &str) -> Option<Metric> {
        match name.to_ascii_uppercase().as_str() {
            "L2" => Some(Metric::L2),
            "IP" => Some(Metric::Ip),
            "COSINE" => Some(Metric::Cosine),
            _ => None,
        }
    }

    /// Milvus's name.
    pub const fn name(self) -> &'static str {
        match self {
            Metric::L2 => "L2",
            Metric::Ip => "IP",
            Metric::Cosine => "COSINE",
        }
    }
}

/// One field of a schema.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldSchema {
    /// Id within the collection, from [`super::limits::FIRST_FIELD_ID`] on.
    pub id: FieldId,
    /// Name.
    pub name: String,
    /// Free text of the user.
    pub description: String,
    /// Type of the values.
    pub data_type: DataType,
    /// Whether this is the primary key.
    pub is_primary: bool,
    /// Whether the server makes the primary keys.
    pub auto_id: bool,
    /// Whether this is the hidden field of dynamic keys.
    pub is_dynamic: bool,
    /// Dimension of a vector field, otherwise 0.
    pub dim: u32,
    /// Longest VarChar value in bytes, otherwise 0.
    pub max_length: u32,
    /// `type_params` as the client gave them, to describe them back.
    pub type_params: Vec<(String, String)>,
}

impl FieldSchema {
    /// Bytes of one value, if all values have the same width: scalars and float vectors.
    pub const fn width(&self) -> Option<usize> {
        match self.data_type {
            DataType::FloatVector => Some(self.dim as usize * 4),
            other => other.scalar_width(),
        }
    }
}

/// The fields of a collection and their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionSchema {
    /// Name of the collection when the schema was made.
    pub name: String,
    /// Free text of the user.
    pub description: String,
    /// Whether rows may carry keys that are no field.
    pub enable_dynamic_field: bool,
    /// Fields in the user's order; the dynamic field, if any, is the last.
    pub fields: Vec<FieldSchema>,
    /// Counts changes of the schema, from 0.
    pub version: u32,
}

impl CollectionSchema {
    /// The primary key field. Every validated schema has one; `None` on one that is not validated.
    pub fn primary(&self) -> Option<&FieldSchema> {
        self.fields.iter().find(|f| f.is_primary)
    }

    /// The field with a name.
    pub fn field(&self, name: &str) -> Option<&FieldSchema> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// The field with an id.
    pub fn field_by_id(&self, id: FieldId) -> Option<&FieldSchema> {
        self.fields.iter().find(|f| f.id == id)
    }

    /// The hidden field of dynamic keys.
    pub fn dynamic_field(&self) -> Option<&FieldSchema> {
        self.fields.iter().find(|f| f.is_dynamic)
    }

    /// All vector fields.
    pub fn vector_fields(&self) -> impl Iterator<Item = &FieldSchema> {
        self.fields.iter().filter(|f| f.data_type.is_vector())
    }
}
