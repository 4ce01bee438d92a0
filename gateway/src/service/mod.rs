//! The services: one file for each noun of the protocol, each RPC short: convert, call, convert.
//!
//! Every RPC passes one door, [`Service::serve`]: a place in its queue, a deadline, a net for
//! panics, metrics, and the slow log. Errors are `Status` in an answer that is otherwise gRPC OK,
//! because clients retry other gRPC errors for minutes. Whom the door does not admit is told by
//! gRPC itself, as by Milvus; clients do not retry that.

mod admit;
mod alias;
mod alter;
mod analyzer;
mod by_keys;
mod collection;
mod compaction;
mod data;
mod database;
mod fields;
mod flush;
mod grant;
mod hits;
mod hybrid;
mod index;
mod keys;
mod load;
mod metrics;
mod partition;
mod query;
mod ranking;
mod read;
mod repeat;
mod resource;
mod search;
mod segment;
mod size;
mod system;
mod update;
mod user;
mod wire;

pub use size::Limited;
pub use system::VERSION;
pub(crate) use system::problems;
pub use wire::Wire;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use millstream_catalog::model::limits::{DEFAULT_DATABASE, RESPONSE_BYTES_MAX};
use millstream_catalog::model::{Code, Fault};
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Response};

use crate::auth::{Asked, Caller};
use crate::convert::status::Reply;
use crate::deadlines::Elapsed;
use crate::gateway::{Gateway, TIMEOUT};
use crate::pb;
use crate::queue::Queue;
use wire::Answer;

/// How much longer a request may take than each of its parts.
const GRACE: Duration = Duration::from_millis(100);

/// What is known of a request beside its message.
#[derive(Debug)]
pub struct Context {
    database: Option<String>,
    timeout: Duration,
    caller: Option<Caller>,
    request_id: Option<String>,
}

impl Context {
    fn new(metadata: &MetadataMap) -> Context {
        let database = metadata.get("dbname").and_then(|v| v.to_str().ok());
        let request_id = metadata.get("client-request-id").and_then(|v| v.to_str().ok());
        let request_id = request_id.filter(|id| !id.is_empty());
        let timeout = metadata.get("grpc-timeout").and_then(|v| v.to_str().ok());
        Context {
            database: database.filter(|name| !name.is_empty()).map(str::to_owned),
            timeout: timeout.and_then(parse_timeout).map_or(TIMEOUT, |t| t.min(TIMEOUT)),
            caller: None,
            request_id: request_id.map(str::to_owned),
        }
    }

    /// The same of a request that came through the door.
    fn of(metadata: &MetadataMap, extensions: &Extensions) -> Context {
        Context { caller: extensions.get::<Caller>().cloned(), ..Context::new(metadata) }
    }

    /// Who asks; nobody when nobody has to say.
    pub fn caller(&self) -> Option<&Caller> {
        self.caller.as_ref()
    }

    /// The client's own name for the request, under which it may be repeated.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The database of a request: the message decides, then the metadata, then the default.
    pub fn database<'a>(&'a self, in_message: &'a str) -> &'a str {
        if !in_message.is_empty() {
            return in_message;
        }
        self.database.as_deref().unwrap_or(DEFAULT_DATABASE)
    }

    /// Time that the request may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The same in milliseconds.
    pub fn timeout_ms(&self) -> u64 {
        u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX)
    }
}

/// gRPC's spelling of a duration: at most eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(count * 3_600),
        "M" => Duration::from_secs(count * 60),
        "S" => Duration::from_secs(count),
        "m" => Duration::from_millis(count),
        "u" => Duration::from_micros(count),
        "n" => Duration::from_nanos(count),
        _ => return None,
    })
}

/// The gRPC service over a gateway.
#[derive(Clone)]
pub struct Service {
    gateway: Arc<Gateway>,
}

impl Service {
    /// Serves a gateway.
    pub fn new(gateway: Arc<Gateway>) -> Service {
        Service { gateway }
    }

    /// Asks the door, and counts whom it refuses.
    async fn admit(
        &self,
        rpc: &'static str,
        context: &Context,
        asked: Asked<'_>,
    ) -> Result<(), tonic::Status> {
        let gateway = &self.gateway;
        let admitted = gateway.door.admit(gateway, context, asked).await;
        if admitted.is_err() {
            gateway.telemetry.answered(rpc, false, Duration::ZERO);
        }
        admitted
    }

    /// Runs one request to its answer, whatever happens.
    async fn serve<R: Reply>(
        &self,
        rpc: &'static str,
        queue: Option<&Queue>,
        context: &Context,
        call: impl Future<Output = Result<R, Fault>> + Send,
    ) -> R {
        let mut answer = None;
        let outcome = {
            // This is compiled for every RPC, what `run` does only once.
            let filled = pin!(async {
                answer = Some(size::fitting(rpc, call.await?, RESPONSE_BYTES_MAX)?);
                Ok(())
            });
            self.run(rpc, queue, context, filled).await
        };
        let outcome = outcome.and_then(|()| answer.ok_or_else(|| Fault::internal("no answer")));
        outcome.unwrap_or_else(|fault| R::failed_in(rpc, fault))
    }

    /// Runs a call in its queue, until its deadline, with a net for panics, and counts it.
    async fn run(
        &self,
        rpc: &'static str,
        queue: Option<&Queue>,
        context: &Context,
        call: Pin<&mut (dyn Future<Output = Result<(), Fault>> + Send)>,
    ) -> Result<(), Fault> {
        let begun = Instant::now();
        let guarded = AssertUnwindSafe(async {
            let _place = match queue {
                Some(queue) => Some(queue.enter().await?),
                None => None,
            };
            call.await
        });
        // A little more than its parts have, whose errors say more.
        let limit = context.timeout + GRACE;
        let outcome = self.gateway.deadlines.limit(limit, guarded.catch_unwind()).await;
        let outcome = match outcome {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => Err(panicked(rpc, panic.as_ref())),
            Err(Elapsed) => {
                let ms = context.timeout_ms();
                Err(Fault::new(Code::Timeout, format!("{rpc} was not done within {ms} ms")))
            }
        };
        let took = begun.elapsed();
        self.gateway.telemetry.answered(rpc, outcome.is_ok(), took);
        if took >= self.gateway.slow {
            let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            tracing::warn!(rpc, took_ms, database = context.database, "slow request");
        }
        if let Err(fault) = &outcome {
            let code = fault.code as i32;
            tracing::debug!(rpc, code, reason = %fault.message, "request failed");
        }
        outcome
    }
}

fn panicked(rpc: &str, panic: &(dyn std::any::Any + Send)) -> Fault {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("unknown");
    tracing::error!(rpc, panic = text, "a request panicked; this is a mistake of the server");
    Fault::internal(format!("{rpc} failed by a mistake of the server: {text}"))
}

/// The call of a handler: a change of metadata is let through and made once; one of roles and
/// privileges has no queue and no rate. Passwords are in no digest of a request, not even there.
macro_rules! called {
    (ddl, $rpc:literal, $gateway:ident, $context:ident, $message:ident, $handler:path) => {{
        let change = repeat::Change::of($rpc, &$context, &$message);
        // A box, so that what is around it is compiled only once.
        let call = Box::pin($handler($gateway, &$context, $message));
        repeat::once($gateway, $rpc, change, call)
    }};
    (once, $rpc:literal, $gateway:ident, $context:ident, $message:ident, $handler:path) => {{
        let change = repeat::Change::of($rpc, &$context, &$message).unlimited();
        let call = Box::pin($handler($gateway, &$context, $message));
        repeat::once($gateway, $rpc, change, call)
    }};
    ($queue:ident, $rpc:literal, $gateway:ident, $context:ident, $message:ident, $handler:path) => {
        $handler($gateway, &$context, $message)
    };
}

macro_rules! queue {
    ($gateway:ident, none) => {
        None
    };
    ($gateway:ident, once) => {
        None
    };
    ($gateway:ident, $queue:ident) => {
        Some(&$gateway.queues.$queue)
    };
}

/// The table of RPCs: name, message, answer, queue, handler.
macro_rules! rpcs {
    ($($rpc:literal ($request:ident) -> $reply:ident, $queue:ident, $handler:path;)*) => {
        /// The RPCs that are served.
        pub const RPCS: &[&str] = &[$($rpc),*];

        /// The messages and answers of [`RPCS`], by their names in Rust.
        #[cfg(test)]
        const TYPES: &[(&str, &str)] = &[$((stringify!($request), stringify!($reply))),*];

        /// What serves an RPC.
        fn routes(rpc: &str) -> Option<wire::Call> {
            Some(match rpc {
                $($rpc => |service, request| Box::pin(async move {
                    let (metadata, extensions, bytes) = request.into_parts();
                    let context = Context::of(&metadata, &extensions);
                    let gateway = &service.gateway;
                    let message: pb::$request = wire::message($rpc, bytes)?;
                    service.admit($rpc, &context, Asked::of(&message, &context)).await?;
                    let call = called!($queue, $rpc, gateway, context, message, $handler);
                    let queue = queue!(gateway, $queue);
                    let answer: pb::$reply = service.serve($rpc, queue, &context, call).await;
                    let answer: Box<dyn Answer> = Box::new(answer);
                    Ok(Response::new(answer))
                }),)*
                _ => return None,
            })
        }
    };
}

rpcs! {
    "Connect" (ConnectRequest) -> ConnectResponse, none, system::connect;
    "GetVersion" (GetVersionRequest) -> GetVersionResponse, none, system::version;
    "CheckHealth" (CheckHealthRequest) -> CheckHealthResponse, none, system::health;
    "GetComponentStates" (GetComponentStatesRequest)
        -> ComponentStates, none, system::components;
    "AllocTimestamp" (AllocTimestampRequest)
        -> AllocTimestampResponse, none, system::alloc_timestamp;
    "GetMetrics" (GetMetricsRequest) -> GetMetricsResponse, none, metrics::get;

    "CreateResourceGroup" (CreateResourceGroupRequest)
        -> Status, ddl, resource::create;
    "DropResourceGroup" (DropResourceGroupRequest)
        -> Status, ddl, resource::drop_group;
    "UpdateResourceGroups" (UpdateResourceGroupsRequest)
        -> Status, ddl, resource::update;
    "TransferNode" (TransferNodeRequest) -> Status, ddl, resource::transfer_node;
    "TransferReplica" (TransferReplicaRequest)
        -> Status, ddl, resource::transfer_replica;
    "ListResourceGroups" (ListResourceGroupsRequest)
        -> ListResourceGroupsResponse, none, resource::list;
    "DescribeResourceGroup" (DescribeResourceGroupRequest)
        -> DescribeResourceGroupResponse, none, resource::describe;

    "CreateDatabase" (CreateDatabaseRequest) -> Status, ddl, database::create;
    "DropDatabase" (DropDatabaseRequest) -> Status, ddl, database::drop_database;
    "AlterDatabase" (AlterDatabaseRequest) -> Status, ddl, database::alter;
    "ListDatabases" (ListDatabasesRequest)
        -> ListDatabasesResponse, none, database::list;
    "DescribeDatabase" (DescribeDatabaseRequest)
        -> DescribeDatabaseResponse, none, database::describe;

    "CreateCollection" (CreateCollectionRequest)
        -> Status, ddl, collection::create;
    "DropCollection" (DropCollectionRequest)
        -> Status, ddl, collection::drop_collection;
    "HasCollection" (HasCollectionRequest) -> BoolResponse, none, collection::has;
    "DescribeCollection" (DescribeCollectionRequest)
        -> DescribeCollectionResponse, none, collection::describe;
    "ShowCollections" (ShowCollectionsRequest)
        -> ShowCollectionsResponse, none, collection::show;
    "GetCollectionStatistics" (GetCollectionStatisticsRequest)
        -> GetCollectionStatisticsResponse, dql, collection::statistics;

    "RenameCollection" (RenameCollectionRequest)
        -> Status, ddl, collection::rename;
    "AlterCollection" (AlterCollectionRequest) -> Status, ddl, alter::collection;
    "AlterCollectionField" (AlterCollectionFieldRequest)
        -> Status, ddl, alter::field;
    "AddCollectionField" (AddCollectionFieldRequest)
        -> Status, ddl, fields::add;
    "AlterCollectionSchema" (AlterCollectionSchemaRequest)
        -> AlterCollectionSchemaResponse, ddl, fields::alter_schema;
    "TruncateCollection" (TruncateCollectionRequest)
        -> TruncateCollectionResponse, ddl, collection::truncate;

    "CreateAlias" (CreateAliasRequest) -> Status, ddl, alias::create;
    "DropAlias" (DropAliasRequest) -> Status, ddl, alias::drop_alias;
    "AlterAlias" (AlterAliasRequest) -> Status, ddl, alias::alter;
    "DescribeAlias" (DescribeAliasRequest)
        -> DescribeAliasResponse, none, alias::describe;
    "ListAliases" (ListAliasesRequest) -> ListAliasesResponse, none, alias::list;

    "CreatePartition" (CreatePartitionRequest) -> Status, ddl, partition::create;
    "DropPartition" (DropPartitionRequest) -> Status, ddl, partition::drop_partition;
    "HasPartition" (HasPartitionRequest) -> BoolResponse, none, partition::has;
    "ShowPartitions" (ShowPartitionsRequest)
        -> ShowPartitionsResponse, none, partition::show;
    "GetPartitionStatistics" (GetPartitionStatisticsRequest)
        -> GetPartitionStatisticsResponse, dql, partition::statistics;

    "LoadCollection" (LoadCollectionRequest) -> Status, ddl, load::load_collection;
    "ReleaseCollection" (ReleaseCollectionRequest)
        -> Status, ddl, load::release_collection;
    "LoadPartitions" (LoadPartitionsRequest) -> Status, ddl, load::load_partitions;
    "ReleasePartitions" (ReleasePartitionsRequest)
        -> Status, ddl, load::release_partitions;
    "GetLoadingProgress" (GetLoadingProgressRequest)
        -> GetLoadingProgressResponse, none, load::progress;
    "GetLoadState" (GetLoadStateRequest) -> GetLoadStateResponse, none, load::state;

    "CreateIndex" (CreateIndexRequest) -> Status, ddl, index::create;
    "AlterIndex" (AlterIndexRequest) -> Status, ddl, alter::index;
    "DropIndex" (DropIndexRequest) -> Status, ddl, index::drop_index;
    "DescribeIndex" (DescribeIndexRequest)
        -> DescribeIndexResponse, none, index::describe;
    "GetIndexStatistics" (GetIndexStatisticsRequest)
        -> GetIndexStatisticsResponse, none, index::statistics;
    "GetIndexState" (GetIndexStateRequest)
        -> GetIndexStateResponse, none, index::state;
    "GetIndexBuildProgress" (GetIndexBuildProgressRequest)
        -> GetIndexBuildProgressResponse, none, index::progress;

    "Insert" (InsertRequest) -> MutationResult, dml, data::insert;
    "Upsert" (UpsertRequest) -> MutationResult, dml, data::upsert;
    "Delete" (DeleteRequest) -> MutationResult, dml, data::delete;
    "Flush" (FlushRequest) -> FlushResponse, none, flush::flush;
    "GetFlushState" (GetFlushStateRequest)
        -> GetFlushStateResponse, none, flush::flush_state;
    "FlushAll" (FlushAllRequest) -> FlushAllResponse, none, flush::flush_all;
    "GetFlushAllState" (GetFlushAllStateRequest)
        -> GetFlushAllStateResponse, none, flush::flush_all_state;
    "ManualCompaction" (ManualCompactionRequest)
        -> ManualCompactionResponse, none, compaction::compact;
    "GetCompactionState" (GetCompactionStateRequest)
        -> GetCompactionStateResponse, none, compaction::state;
    "GetCompactionStateWithPlans" (GetCompactionPlansRequest)
        -> GetCompactionPlansResponse, none, compaction::plans;

    "GetPersistentSegmentInfo" (GetPersistentSegmentInfoRequest)
        -> GetPersistentSegmentInfoResponse, none, segment::persistent;
    "GetQuerySegmentInfo" (GetQuerySegmentInfoRequest)
        -> GetQuerySegmentInfoResponse, none, segment::loaded;
    "GetReplicas" (GetReplicasRequest) -> GetReplicasResponse, none, segment::replicas;
    "LoadBalance" (LoadBalanceRequest) -> Status, none, segment::balance;
    "ListIndexedSegment" (ListIndexedSegmentRequest)
        -> ListIndexedSegmentResponse, none, segment::indexed;

    "Search" (SearchRequest) -> SearchResults, dql, search::search;
    "HybridSearch" (HybridSearchRequest) -> SearchResults, dql, hybrid::search;
    "RunAnalyzer" (RunAnalyzerRequest)
        -> RunAnalyzerResponse, dql, analyzer::run;
    "Query" (QueryRequest) -> QueryResults, dql, query::query;

    "CreateCredential" (CreateCredentialRequest) -> Status, none, user::create;
    "UpdateCredential" (UpdateCredentialRequest) -> Status, none, user::update;
    "DeleteCredential" (DeleteCredentialRequest) -> Status, none, user::delete;
    "ListCredUsers" (ListCredUsersRequest)
        -> ListCredUsersResponse, none, user::names;
    "SelectUser" (SelectUserRequest) -> SelectUserResponse, none, user::select;
    "CreateRole" (CreateRoleRequest) -> Status, once, user::create_role;
    "AlterRole" (AlterRoleRequest) -> Status, once, user::alter_role;
    "DropRole" (DropRoleRequest) -> Status, once, user::drop_role;
    "OperateUserRole" (OperateUserRoleRequest)
        -> Status, once, user::operate_role;
    "SelectRole" (SelectRoleRequest) -> SelectRoleResponse, none, user::select_role;
    "OperatePrivilege" (OperatePrivilegeRequest)
        -> Status, once, grant::operate;
    "OperatePrivilegeV2" (OperatePrivilegeV2Request)
        -> Status, once, grant::operate_v2;
    "SelectGrant" (SelectGrantRequest) -> SelectGrantResponse, none, grant::select;
    "CreatePrivilegeGroup" (CreatePrivilegeGroupRequest)
        -> Status, once, grant::create_group;
    "DropPrivilegeGroup" (DropPrivilegeGroupRequest)
        -> Status, once, grant::drop_group;
    "ListPrivilegeGroups" (ListPrivilegeGroupsRequest)
        -> ListPrivilegeGroupsResponse, none, grant::groups;
    "OperatePrivilegeGroup" (OperatePrivilegeGroupRequest)
        -> Status, once, grant::alter_group;
    "BackupRBAC" (BackupRbacMetaRequest)
        -> BackupRbacMetaResponse, none, grant::backup;
    "RestoreRBAC" (RestoreRbacMetaRequest) -> Status, once, grant::restore;
}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;

    #[test]
    fn a_grpc_timeout_is_read_in_every_unit() {
        assert_eq!(parse_timeout("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse_timeout("100m"), Some(Duration::from_millis(100)));
        assert_eq!(parse_timeout("1H"), Some(Duration::from_secs(3_600)));
        for bad in ["", "S", "5", "5x", "999999999S", "é"] {
            assert_eq!(parse_timeout(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_table_has_the_messages_of_the_service_description() {
        let set = prost_types::FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
        let of = |name: &str| name.rsplit('.').next().unwrap().to_ascii_lowercase();
        let described: std::collections::HashMap<String, (String, String)> = set
            .file
            .iter()
            .flat_map(|file| &file.service)
            .flat_map(|service| &service.method)
            .map(|m| (m.name().to_owned(), (of(m.input_type()), of(m.output_type()))))
            .collect();
        for (rpc, (request, reply)) in RPCS.iter().zip(TYPES) {
            let in_table = (request.to_ascii_lowercase(), reply.to_ascii_lowercase());
            assert_eq!(described.get(*rpc), Some(&in_table), "{rpc}");
            assert!(routes(rpc).is_some(), "{rpc}");
        }
        assert!(routes("Connected").is_none());
    }

    #[test]
    fn the_message_decides_over_the_metadata_over_the_default() {
        let mut metadata = MetadataMap::new();
        assert_eq!(Context::new(&metadata).database(""), "default");
        metadata.insert("dbname", "".parse().unwrap());
        assert_eq!(Context::new(&metadata).database(""), "default");
        metadata.insert("dbname", "a".parse().unwrap());
        assert_eq!(Context::new(&metadata).database(""), "a");
        assert_eq!(Context::new(&metadata).database("b"), "b");
    }
}
