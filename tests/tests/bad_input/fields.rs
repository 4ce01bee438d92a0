//! A field of every type, by name: what the collections of several tables have.

use millstream_gateway::pb::schema::DataType;

/// Scalars: numbers and truth, then texts and documents.
pub(super) const SCALARS: [(&str, DataType); 9] = [
    ("flag", DataType::Bool),
    ("tiny", DataType::Int8),
    ("small", DataType::Int16),
    ("middle", DataType::Int32),
    ("large", DataType::Int64),
    ("single", DataType::Float),
    ("double", DataType::Double),
    ("word", DataType::VarChar),
    ("doc", DataType::Json),
];
/// Arrays, by the type of their elements.
pub(super) const ELEMENTS: [(&str, DataType); 8] = [
    ("flags", DataType::Bool),
    ("tinies", DataType::Int8),
    ("smalls", DataType::Int16),
    ("middles", DataType::Int32),
    ("larges", DataType::Int64),
    ("singles", DataType::Float),
    ("doubles", DataType::Double),
    ("words", DataType::VarChar),
];
/// Vectors.
pub(super) const VECTORS: [(&str, DataType); 6] = [
    ("floats", DataType::FloatVector),
    ("halves", DataType::Float16Vector),
    ("brains", DataType::BFloat16Vector),
    ("bytes", DataType::Int8Vector),
    ("bits", DataType::BinaryVector),
    ("sparse", DataType::SparseFloatVector),
];
