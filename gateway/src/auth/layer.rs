//! A gRPC service behind the door: nothing of a message is read before its sender is known.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, Either};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

use super::{Caller, Door};
use crate::gateway::Gateway;

type Answer = http::Response<Body>;

/// Lets the requests of known callers pass, with the [`Caller`] among their extensions.
#[derive(Clone)]
pub struct Guarded<S> {
    inner: S,
    gateway: Arc<Gateway>,
}

impl<S> Guarded<S> {
    /// Puts a service behind the door of a gateway.
    pub fn new(gateway: &Arc<Gateway>, inner: S) -> Guarded<S> {
        Guarded { inner, gateway: Arc::clone(gateway) }
    }

    fn door(&self) -> &Door {
        &self.gateway.door
    }
}

impl<S: NamedService> NamedService for Guarded<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<http::Request<Body>> for Guarded<S>
where
    S: Service<http::Request<Body>, Response = Answer, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = Either<S::Future, BoxFuture<'static, Result<Answer, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // Only the door says who calls.
        request.extensions_mut().remove::<Caller>();
        if !self.door().is_on() {
            return Either::Left(self.inner.call(request));
        }
        if let Some(caller) = self.door().remembered(request.headers()) {
            request.extensions_mut().insert(caller);
            return Either::Left(self.inner.call(request));
        }
        // The one that is ready serves this request; its clone gets ready for the next.
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        let gateway = Arc::clone(&self.gateway);
        let late = async move {
            match gateway.door.caller(request.headers()).await {
                Ok(caller) => {
                    request.extensions_mut().insert(caller);
                    ready.call(request).await
                }
                Err(refused) => Ok(refused.into_http()),
            }
        };
        Either::Right(late.boxed())
    }
}
