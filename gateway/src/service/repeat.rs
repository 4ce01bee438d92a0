//! Changes of metadata that a client repeats because the answer was lost: they are made once.

use std::sync::Arc;

use blake2::Blake2s256;
use blake2::digest::{FixedOutput, Update};
use futures::future::BoxFuture;
use millstream_catalog::model::Fault;
use millstream_catalog::origin::{self, ClientRequest};
use prost::Message;

use super::{Context, admit};
use crate::auth::table::Target;
use crate::convert::status::{Reply, success};
use crate::ddl;
use crate::gateway::Gateway;

/// What a change of metadata is known by.
pub(super) struct Change {
    database: String,
    /// The request, if its client names it.
    request: Option<Arc<ClientRequest>>,
    /// Whether it counts among the changes whose rate is limited.
    limited: bool,
}

impl Change {
    pub(super) fn of<M: Target + Message>(rpc: &str, context: &Context, message: &M) -> Change {
        let database = context.database(message.database()).to_owned();
        let request = context.request_id().map(|id| {
            let user = context.caller().map_or("", |caller| &caller.0);
            let client = digest(&[user.as_bytes(), id.as_bytes()]);
            let what = [rpc.as_bytes(), database.as_bytes(), &message.encode_to_vec()];
            Arc::new(ClientRequest { client, digest: digest(&what) })
        });
        Change { database, request, limited: true }
    }

    /// The same, of which there may be any number in a second.
    pub(super) fn unlimited(self) -> Change {
        Change { limited: false, ..self }
    }

    /// Lets it through, or says why not.
    async fn admit(&self, gateway: &Gateway, rpc: &str) -> Result<(), Fault> {
        if self.limited { admit::ddl(gateway, rpc, &self.database).await } else { Ok(()) }
    }
}

/// Hexadecimal digits that stand for some texts.
fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Blake2s256::default();
    for part in parts {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.finalize_fixed().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a change, unless the same request of the same client has made it.
pub(super) async fn once<R: Reply>(
    gateway: &Arc<Gateway>,
    rpc: &'static str,
    change: Change,
    call: BoxFuture<'_, Result<R, Fault>>,
) -> Result<R, Fault> {
    let Some(request) = change.request.clone() else {
        change.admit(gateway, rpc).await?;
        return call.await;
    };
    if gateway.catalog.request_done(&request).await? {
        // It is decided; that it is carried to its end, nobody may have seen to.
        ddl::roll_forward(gateway).await?;
        tracing::debug!(rpc, "a request that was carried out before is answered again");
        return Ok(R::default().with_status(success()));
    }
    change.admit(gateway, rpc).await?;
    origin::within(request, call).await
}

#[cfg(test)]
mod tests {
    use tonic::metadata::MetadataMap;

    use super::*;
    use crate::pb;

    fn request(id: &str, database: &str, collection: &str) -> Option<Arc<ClientRequest>> {
        let mut metadata = MetadataMap::new();
        metadata.insert("client-request-id", id.parse().unwrap());
        metadata.insert("dbname", database.parse().unwrap());
        let message = pb::DropCollectionRequest {
            collection_name: collection.to_owned(),
            ..pb::DropCollectionRequest::default()
        };
        Change::of("DropCollection", &Context::new(&metadata), &message).request
    }

    #[test]
    fn a_request_is_known_by_its_id_and_by_all_that_it_says() {
        let first = request("1", "a", "c").unwrap();
        assert_eq!(request("1", "a", "c").unwrap(), first);
        let same_client = |other: Option<Arc<ClientRequest>>| {
            let other = other.unwrap();
            (other.client == first.client, other.digest == first.digest)
        };
        assert_eq!(same_client(request("2", "a", "c")), (false, true));
        assert_eq!(same_client(request("1", "b", "c")), (true, false));
        assert_eq!(same_client(request("1", "a", "d")), (true, false));
        assert_eq!(request("", "a", "c"), None);
        assert_eq!(digest(&[b"ab", b"c"]).len(), 64);
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
    }
}
