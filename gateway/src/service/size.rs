//! Messages that are too large: what a client is told of its request, and of an answer.
//!
//! gRPC's own word for both is "out of range", which clients take for a fault of the network and
//! try again for minutes.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::TryFutureExt;
use futures::future::MapOk;
use millstream_catalog::model::{Code, Fault};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::NamedService;

use crate::convert::status::Reply;

/// gRPC's numbers of "out of range" and "resource exhausted".
const OUT_OF_RANGE: &str = "11";
const RESOURCE_EXHAUSTED: &str = "8";
const GRPC_STATUS: &str = "grpc-status";

/// The answer, unless it is longer than `most` bytes.
pub(super) fn fitting<R: Reply>(rpc: &str, answer: R, most: usize) -> Result<R, Fault> {
    let bytes = answer.encoded_len();
    if bytes <= most {
        return Ok(answer);
    }
    let what = rpc.to_ascii_lowercase();
    let text = format!(
        "{what} results exceed the maxOutputSize Limit: {bytes} bytes, more than {most}: ask for \
         fewer rows or fields"
    );
    Err(Fault::new(Code::ParameterTooLarge, text))
}

/// A gRPC service that refuses requests beyond its limit as "resource exhausted".
///
/// Answers are within theirs, so that nothing else of a service is out of range.
#[derive(Clone, Debug)]
pub struct Limited<S>(S);

impl<S> Limited<S> {
    /// Wraps a service.
    pub fn new(service: S) -> Limited<S> {
        Limited(service)
    }
}

impl<S: NamedService> NamedService for Limited<S> {
    const NAME: &'static str = S::NAME;
}

type Answer = http::Response<Body>;

impl<S> Service<http::Request<Body>> for Limited<S>
where
    S: Service<http::Request<Body>, Response = Answer, Error = Infallible>,
{
    type Response = Answer;
    type Error = Infallible;
    type Future = MapOk<S::Future, fn(Answer) -> Answer>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.0.call(request).map_ok(told as fn(Answer) -> Answer)
    }
}

fn told(mut answer: Answer) -> Answer {
    if let Some(status) = answer.headers_mut().get_mut(GRPC_STATUS)
        && *status == OUT_OF_RANGE
    {
        *status = http::HeaderValue::from_static(RESOURCE_EXHAUSTED);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::{QueryResults, Status};

    #[test]
    fn an_answer_that_is_too_large_is_refused_by_its_size() {
        let answer = QueryResults { collection_name: "x".repeat(98), ..QueryResults::default() };
        assert_eq!(fitting("Query", answer.clone(), 100).unwrap(), answer);
        let fault = fitting("Query", answer, 99).unwrap_err();
        assert_eq!(fault.code, Code::ParameterTooLarge);
        assert!(
            fault.message.starts_with(
                "query results exceed the maxOutputSize Limit: 100 bytes, more than 99"
            ),
            "{fault}"
        );
        assert!(fitting("DropCollection", Status::default(), 0).is_ok());
    }

    #[test]
    fn out_of_range_is_told_as_resource_exhausted_and_nothing_else_changes() {
        let answer = |status: &'static str| {
            let mut answer = http::Response::new(Body::default());
            answer.headers_mut().insert(GRPC_STATUS, http::HeaderValue::from_static(status));
            told(answer).headers()[GRPC_STATUS].clone()
        };
        assert_eq!(answer("11"), "8");
        assert_eq!((answer("0"), answer("12")), ("0".parse().unwrap(), "12".parse().unwrap()));
        assert!(told(http::Response::new(Body::default())).headers().is_empty());
    }
}
