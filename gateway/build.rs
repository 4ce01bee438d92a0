//! Turns `proto/` into Rust, without protoc.
//!
//! Two descriptor sets are made. The true one is kept for reflection and for the test that compares
//! it with the clients'. The other one is what the code is generated from: there, a few fields that
//! carry many values have a type with the same encoding on the wire that costs nothing to decode.
//!
//! - `schema.FloatArray.data`: packed floats are chunks of bytes on the wire, so `repeated bytes`,
//!   each a slice of the request. Floats that are not packed, which no client sends, are refused.
//! - `schema.ScalarField.string_data` and `json_data`, `schema.VectorField.sparse_float_vector`: a
//!   message of `repeated bytes` on the wire, so `bytes`: its encoding, read in place.
//! - `schema.ScalarField.array_data`: a message for each row on the wire, so `bytes` as well.

use std::{env, fs, path::PathBuf};

use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{FieldDescriptorProto, FileDescriptorSet};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    println!("cargo:rerun-if-changed=proto");
    let true_set = protox::compile(["milvus.proto", "schema.proto"], ["proto"])?;
    let out_dir = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out_dir.join("descriptors.bin"), true_set.encode_to_vec())?;

    let mut patched = true_set;
    retype(&mut patched, "FloatArray", "data", Type::Bytes)?;
    retype(&mut patched, "ScalarField", "string_data", Type::Bytes)?;
    retype(&mut patched, "ScalarField", "json_data", Type::Bytes)?;
    retype(&mut patched, "ScalarField", "array_data", Type::Bytes)?;
    retype(&mut patched, "VectorField", "sparse_float_vector", Type::Bytes)?;
    // The server is our own (service/wire.rs). `connect` is an RPC here, so the client must not have
    // tonic's own `connect`.
    tonic_prost_build::configure()
        .build_server(false)
        .build_transport(false)
        .bytes(".")
        .compile_fds(patched)?;
    Ok(())
}

/// Gives a field of a message of package `milvus.proto.schema` another type.
fn retype(
    set: &mut FileDescriptorSet,
    message: &str,
    field: &str,
    to: Type,
) -> Result<(), Failure> {
    let found: Option<&mut FieldDescriptorProto> = set
        .file
        .iter_mut()
        .filter(|f| f.package() == "milvus.proto.schema")
        .flat_map(|f| f.message_type.iter_mut())
        .filter(|m| m.name() == message)
        .flat_map(|m| m.field.iter_mut())
        .find(|f| f.name() == field);
    let found = found.ok_or_else(|| format!("schema.proto has no {message}.{field}"))?;
    found.set_type(to);
    found.type_name = None;
    Ok(())
}
