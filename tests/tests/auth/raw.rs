//! Any RPC by its name, with a message made from its descriptor.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use millstream_gateway::pb::DESCRIPTORS;
use millstream_tests::site::Site;
use prost::Message;
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorSet};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

const SERVICE: &str = "milvus.proto.milvus.MilvusService";

/// The RPCs of the service, each with a message whose names are filled in.
pub(crate) fn rpcs(names: &BTreeMap<&str, &str>) -> Vec<(String, Bytes)> {
    let set = FileDescriptorSet::decode(DESCRIPTORS).expect("our own descriptors");
    let messages: BTreeMap<String, &DescriptorProto> = set
        .file
        .iter()
        .flat_map(|file| {
            let all = file.message_type.iter();
            all.map(move |m| (format!(".{}.{}", file.package(), m.name()), m))
        })
        .collect();
    let methods = set.file.iter().flat_map(|file| &file.service).flat_map(|s| &s.method);
    methods
        .map(|method| {
            let message = messages[method.input_type()];
            (method.name().to_owned(), filled(message, names))
        })
        .collect()
}

/// A message whose texts have the names that are given for their fields.
fn filled(message: &DescriptorProto, names: &BTreeMap<&str, &str>) -> Bytes {
    let mut out = Vec::new();
    for field in message.field.iter().filter(|f| f.r#type() == Type::String) {
        if let Some(name) = names.get(field.name()) {
            let number = u32::try_from(field.number()).expect("a field number");
            prost::encoding::encode_key(
                number,
                prost::encoding::WireType::LengthDelimited,
                &mut out,
            );
            prost::encoding::encode_varint(name.len() as u64, &mut out);
            out.extend_from_slice(name.as_bytes());
        }
    }
    out.into()
}

/// Messages as bytes.
#[derive(Clone, Copy, Default)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Plain;
    type Decoder = Plain;

    fn encoder(&mut self) -> Plain {
        Plain
    }

    fn decoder(&mut self) -> Plain {
        Plain
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// A connection for calls by name.
pub(crate) struct Raw(tonic::client::Grpc<Channel>);

impl Raw {
    pub(crate) fn new(site: &Site) -> Raw {
        let endpoint = Endpoint::from_shared(format!("http://{}", site.server.address));
        Raw(tonic::client::Grpc::new(endpoint.expect("an address").connect_lazy()))
    }

    /// Calls an RPC, perhaps with a header of credentials.
    pub(crate) async fn call(
        &mut self,
        rpc: &str,
        message: &Bytes,
        header: Option<&[u8]>,
    ) -> Result<Bytes, Status> {
        let path = PathAndQuery::try_from(format!("/{SERVICE}/{rpc}")).expect("a path");
        let mut request = Request::new(message.clone());
        if let Some(header) = header {
            let value = http::HeaderValue::from_bytes(header).expect("a header's value");
            let mut headers = request.metadata().clone().into_headers();
            headers.insert("authorization", value);
            *request.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers);
        }
        self.0.ready().await.expect("a connection");
        self.0.unary(request, path, Plain).await.map(tonic::Response::into_inner)
    }
}
