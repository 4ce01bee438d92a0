//! The edge: Milvus's messages to model types and back. Nothing behind it sees a protobuf.

pub mod columns;
pub mod data;
pub mod index;
pub mod output;
pub mod params;
pub mod placeholder;
pub mod properties;
pub mod protobuf;
pub mod query;
pub mod rank;
pub mod schema;
pub mod search;
pub mod status;
pub mod templates;
pub mod var_column;
