//! The messages of Milvus's protocol, generated from `proto/` by build.rs.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::clone_on_ref_ptr,
    unused_qualifications
)]

/// `milvus.proto.*`.
pub mod milvus {
    pub mod proto {
        pub mod common {
            tonic::include_proto!("milvus.proto.common");
        }
        pub mod schema {
            tonic::include_proto!("milvus.proto.schema");
        }
        pub mod rg {
            tonic::include_proto!("milvus.proto.rg");
        }
        pub mod feder {
            tonic::include_proto!("milvus.proto.feder");
        }
        pub mod milvus {
            tonic::include_proto!("milvus.proto.milvus");
        }
    }
}

pub use milvus::proto::common::Status;
pub use milvus::proto::feder::{ListIndexedSegmentRequest, ListIndexedSegmentResponse};
pub use milvus::proto::milvus::*;
pub use milvus::proto::{common, rg, schema};

/// The true descriptors of everything above, as a serialized `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
