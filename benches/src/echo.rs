//! A bare gRPC server: what a request costs before anybody does anything with it.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use millstream_gateway::pb::{AllocTimestampRequest, AllocTimestampResponse};
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::client::Failure;

/// Answers every RPC of the service with the same timestamp.
#[derive(Clone, Copy, Debug)]
struct Echo;

impl UnaryService<AllocTimestampRequest> for Echo {
    type Response = AllocTimestampResponse;
    type Future = Ready<Result<Response<AllocTimestampResponse>, Status>>;

    fn call(&mut self, _: Request<AllocTimestampRequest>) -> Self::Future {
        let status = Some(Default::default());
        ready(Ok(Response::new(AllocTimestampResponse { status, timestamp: 1 << 58 })))
    }
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move { Ok(Grpc::new(ProstCodec::default()).unary(Echo, request).await) })
    }
}

impl NamedService for Echo {
    const NAME: &'static str = "milvus.proto.milvus.MilvusService";
}

/// Starts it on a thread of its own, with one thread for its connections as `millstream` has on
/// two cores; it ends with the process.
///
/// # Errors
/// When there is no port or no thread.
pub fn start() -> Result<SocketAddr, Failure> {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    std::thread::Builder::new().name("echo".to_owned()).spawn(move || {
        runtime.block_on(async move {
            let listener = TcpListener::from_std(listener)?;
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            let served = Server::builder().add_service(Echo).serve_with_incoming(incoming).await;
            served.map_err(std::io::Error::other)
        })
    })?;
    Ok(address)
}
