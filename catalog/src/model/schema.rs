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

    /// Whether values have different lengths: text, JSON, arrays and sparse vectors.
    pub const fn is_variable(self) -> bool {
        matches!(
            self,
            DataType::VarChar | DataType::Json | DataType::Array | DataType::SparseFloatVector
        )
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

/// How two vectors, or a text and a document, are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Metric {
    /// Squared Euclidean distance; smaller is nearer.
    L2,
    /// Inner product; larger is nearer.
    Ip,
    /// Cosine similarity in `[-1, 1]`; larger is nearer.
    Cosine,
    /// Number of bits that differ; smaller is nearer.
    Hamming,
    /// `1 - |a and b| / |a or b|` of two bit sets, in `[0, 1]`; smaller is nearer.
    Jaccard,
    /// 0 when the query's bits are all set in the row, otherwise no hit.
    Substructure,
    /// 0 when the row's bits are all set in the query, otherwise no hit.
    Superstructure,
    /// The BM25 score of a document for the terms of a text; larger is better.
    Bm25,
}

impl Metric {
    /// The metric of Milvus's name, in any case.
    pub fn from_name(name: &str) -> Option<Metric> {
        match name.to_ascii_uppercase().as_str() {
            "L2" => Some(Metric::L2),
            "IP" => Some(Metric::Ip),
            "COSINE" => Some(Metric::Cosine),
            "HAMMING" => Some(Metric::Hamming),
            "JACCARD" => Some(Metric::Jaccard),
            "SUBSTRUCTURE" => Some(Metric::Substructure),
            "SUPERSTRUCTURE" => Some(Metric::Superstructure),
            "BM25" => Some(Metric::Bm25),
            _ => None,
        }
    }

    /// Milvus's name.
    pub const fn name(self) -> &'static str {
        match self {
            Metric::L2 => "L2",
            Metric::Ip => "IP",
            Metric::Cosine => "COSINE",
            Metric::Hamming => "HAMMING",
            Metric::Jaccard => "JACCARD",
            Metric::Substructure => "SUBSTRUCTURE",
            Metric::Superstructure => "SUPERSTRUCTURE",
            Metric::Bm25 => "BM25",
        }
    }

    /// Whether a larger score is the better one.
    pub const fn larger_is_better(self) -> bool {
        matches!(self, Metric::Ip | Metric::Cosine | Metric::Bm25)
    }
}

/// The value of a field that a row does not give. Floats are kept as bits, so that schemas compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DefaultValue {
    /// Of a Bool field.
    Bool(bool),
    /// Of a field of any integer type, in its range.
    Int(i64),
    /// Of a Float or Double field: the bits of an f64.
    FloatBits(u64),
    /// Of a VarChar field.
    Text(String),
}

/// What a function of a schema computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FunctionKind {
    /// A text field becomes the BM25 weights of its terms. The output is a sparse vector field
    /// that no client writes or reads; it is searched with texts.
    Bm25,
}

/// A function from fields to a field, carried out by the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionSchema {
    /// Id within the collection.
    pub id: i64,
    /// Name.
    pub name: String,
    /// Free text of the user.
    pub description: String,
    /// What it computes.
    pub kind: FunctionKind,
    /// The fields it reads.
    pub inputs: Vec<FieldId>,
    /// The fields it fills.
    pub outputs: Vec<FieldId>,
    /// Parameters as the client gave them, to describe them back.
    pub params: Vec<(String, String)>,
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
    /// Type of the elements of an Array field.
    pub element_type: Option<DataType>,
    /// Most elements of an Array value, otherwise 0.
    pub max_capacity: u32,
    /// Whether a row may have no value.
    pub nullable: bool,
    /// The value of rows that give none.
    pub default_value: Option<DefaultValue>,
    /// Whether the value chooses the partition of a row.
    pub is_partition_key: bool,
    /// Whether compaction orders rows by this field.
    pub is_clustering_key: bool,
    /// Whether a function of the schema fills this field.
    pub is_function_output: bool,
}

impl FieldSchema {
    /// A plain field: no key, not nullable, without dimension or lengths.
    pub fn new(id: FieldId, name: impl Into<String>, data_type: DataType) -> FieldSchema {
        FieldSchema {
            id,
            name: name.into(),
            description: String::new(),
            data_type,
            is_primary: false,
            auto_id: false,
            is_dynamic: false,
            dim: 0,
            max_length: 0,
            type_params: Vec::new(),
            element_type: None,
            max_capacity: 0,
            nullable: false,
            default_value: None,
            is_partition_key: false,
            is_clustering_key: false,
            is_function_output: false,
        }
    }

    /// Bytes of one value, if all values have the same width: scalars and dense vectors.
    pub const fn width(&self) -> Option<usize> {
        let dim = self.dim as usize;
        match self.data_type {
            DataType::FloatVector => Some(dim * 4),
            DataType::Float16Vector | DataType::BFloat16Vector => Some(dim * 2),
            DataType::Int8Vector => Some(dim),
            DataType::BinaryVector => Some(dim.div_ceil(8)),
            other => other.scalar_width(),
        }
    }

    /// The value of a type parameter, as the client gave it.
    pub fn type_param(&self, key: &str) -> Option<&str> {
        self.type_params.iter().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
    }

    /// Whether rows are stored with a value of this field: all fields but those that a function
    /// fills, whose values live in an index of their own.
    pub const fn is_stored(&self) -> bool {
        !self.is_function_output
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
    /// Fields in the user's order, the dynamic field, if any, then those that were added later.
    pub fields: Vec<FieldSchema>,
    /// Counts changes of the schema, from 0.
    pub version: u32,
    /// Functions that fill fields.
    pub functions: Vec<FunctionSchema>,
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

    /// The field whose values choose the partitions of rows, if one does.
    pub fn partition_key(&self) -> Option<&FieldSchema> {
        self.fields.iter().find(|f| f.is_partition_key)
    }

    /// The hidden field of dynamic keys.
    pub fn dynamic_field(&self) -> Option<&FieldSchema> {
        self.fields.iter().find(|f| f.is_dynamic)
    }

    /// The function that fills a field.
    pub fn function_of(&self, output: FieldId) -> Option<&FunctionSchema> {
        self.functions.iter().find(|f| f.outputs.contains(&output))
    }

    /// All vector fields.
    pub fn vector_fields(&self) -> impl Iterator<Item = &FieldSchema> {
        self.fields.iter().filter(|f| f.data_type.is_vector())
    }
}
