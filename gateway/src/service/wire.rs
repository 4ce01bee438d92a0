//! From the wire and back: one unary call over bytes, which the RPCs share.
//!
//! tonic's generated server makes its whole machinery anew for the types of each RPC. Here the
//! machinery knows bytes and [`Answer`]s only, and an RPC is one function between them.

use std::convert::Infallible;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use futures::FutureExt;
use futures::future::BoxFuture;
use millstream_catalog::model::limits::{MESSAGE_BYTES_MAX, RESPONSE_BYTES_MAX};
use prost::Message;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Request, Response, Status};

use super::{Service, routes};

/// A message on its way out.
pub(super) trait Answer: Send {
    /// Writes it as the wire has it.
    fn write(&self, to: &mut EncodeBuf<'_>) -> Result<(), Status>;
}

impl<M: Message> Answer for M {
    fn write(&self, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        self.encode(to).map_err(|e| Status::internal(format!("an answer was not written: {e}")))
    }
}

/// What an RPC ends with.
pub(super) type Outcome = Result<Response<Box<dyn Answer>>, Status>;

/// An RPC: its message is still bytes.
pub(super) type Call = fn(Service, Request<Bytes>) -> BoxFuture<'static, Outcome>;

/// The message of a request; strings of bytes in it are slices of `bytes`.
///
/// # Errors
/// INVALID_ARGUMENT, which clients do not try again.
pub(super) fn message<M: Message + Default>(rpc: &str, bytes: Bytes) -> Result<M, Status> {
    M::decode(bytes).map_err(|e| Status::invalid_argument(format!("{rpc}: {e}")))
}

/// Bytes in, an [`Answer`] out.
#[derive(Clone, Copy, Debug)]
struct Raw;

impl Codec for Raw {
    type Encode = Box<dyn Answer>;
    type Decode = Bytes;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Box<dyn Answer>;
    type Error = Status;

    fn encode(&mut self, item: Box<dyn Answer>, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.write(to)
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        // Not a copy: the buffer of the request is given away.
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// One request of one RPC.
struct Unary {
    service: Service,
    call: Call,
}

impl UnaryService<Bytes> for Unary {
    type Response = Box<dyn Answer>;
    type Future = BoxFuture<'static, Outcome>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        (self.call)(self.service.clone(), request)
    }
}

/// The gRPC server of a [`Service`].
#[derive(Clone)]
pub struct Wire(Service);

impl Wire {
    /// Serves a service.
    pub fn new(service: Service) -> Wire {
        Wire(service)
    }
}

impl NamedService for Wire {
    const NAME: &'static str = "milvus.proto.milvus.MilvusService";
}

impl tonic::codegen::Service<http::Request<Body>> for Wire {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let rpc = request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/'));
        let call =
            rpc.filter(|(service, _)| *service == Self::NAME).and_then(|(_, rpc)| routes(rpc));
        let Some(call) = call else {
            let unknown = Status::unimplemented("millstream does not serve this RPC").into_http();
            return std::future::ready(Ok(unknown)).boxed();
        };
        let service = self.0.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(Raw)
                .apply_max_message_size_config(Some(MESSAGE_BYTES_MAX), Some(RESPONSE_BYTES_MAX));
            Ok(grpc.unary(Unary { service, call }, request).await)
        })
    }
}
