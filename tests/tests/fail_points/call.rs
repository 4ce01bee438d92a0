//! One type for the requests that change metadata, and one way to send them.

use std::sync::Arc;

use futures::future::BoxFuture;
use millstream_gateway::pb::common::Status;
use millstream_gateway::pb::{MutationResult, TruncateCollectionResponse};
use millstream_tests::client::{Answer, Client, accept};
use tonic::Request;

type Send =
    dyn Fn(Client, Option<String>) -> BoxFuture<'static, Answer<()>> + std::marker::Send + Sync;

/// A request that can be sent as often as one likes.
#[derive(Clone)]
pub(crate) struct Call {
    rpc: &'static str,
    send: Arc<Send>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.rpc)
    }
}

impl Call {
    pub(crate) fn new(
        rpc: &'static str,
        send: impl Fn(Client, Option<String>) -> BoxFuture<'static, Answer<()>>
        + std::marker::Send
        + Sync
        + 'static,
    ) -> Call {
        Call { rpc, send: Arc::new(send) }
    }

    /// Sends it.
    pub(crate) async fn send(&self, client: &Client) -> Answer<()> {
        (self.send)(client.clone(), None).await
    }

    /// Sends it under an id by which the server knows that it is repeated.
    pub(crate) async fn send_as(&self, client: &Client, id: &str) -> Answer<()> {
        (self.send)(client.clone(), Some(id.to_owned())).await
    }
}

/// A message, under an id if there is one.
pub(crate) fn under<T>(message: T, id: Option<String>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(id) = id {
        let id = id.parse().expect("an id of plain letters");
        request.metadata_mut().insert("client-request-id", id);
    }
    request
}

/// An answer that says whether the request was refused.
pub(crate) trait Outcome {
    fn outcome(&self) -> Answer<()>;
}

impl Outcome for Status {
    fn outcome(&self) -> Answer<()> {
        accept(Some(self))
    }
}

impl Outcome for TruncateCollectionResponse {
    fn outcome(&self) -> Answer<()> {
        accept(self.status.as_ref())
    }
}

impl Outcome for MutationResult {
    fn outcome(&self) -> Answer<()> {
        accept(self.status.as_ref())
    }
}

/// A request of an RPC: its method, its message and the fields that matter.
macro_rules! call {
    ($rpc:ident $type:ident { $($field:ident $(: $value:expr)?),* $(,)? }) => {{
        let message = millstream_gateway::pb::$type { $($field $(: $value)?,)* ..Default::default() };
        $crate::call::Call::new(stringify!($rpc), move |client, id| {
            let message = $crate::call::under(message.clone(), id);
            Box::pin(async move {
                let answer = client.rpc().$rpc(message).await;
                let answer = millstream_tests::client::message(answer)?;
                $crate::call::Outcome::outcome(&answer)
            })
        })
    }};
}
pub(crate) use call;
