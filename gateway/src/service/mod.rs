//! The services: one file for each noun of the protocol, each RPC short: convert, call, convert.
//!
//! Every RPC passes one door, [`Service::serve`]: a place in its queue, a deadline, a net for
//! panics, metrics, and the slow log. Errors are `Status` in an answer that is otherwise gRPC OK,
//! because clients retry other gRPC errors for minutes. Whom the door does not admit is told by
//! gRPC itself, as by Milvus; clients do not retry that.

mod alias;
mod alter;
mod analyzer;
mod by_keys;
mod collection;
mod data;
mod database;
mod flush;
mod grant;
mod hits;
mod hybrid;
mod index;
mod keys;
mod load;
mod partition;
mod query;
mod ranking;
mod read;
mod search;
mod size;
mod system;
mod update;
mod user;

pub use size::Limited;
pub use system::VERSION;
pub(crate) use system::problems;

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use millstream_catalog::model::limits::{DEFAULT_DATABASE, RESPONSE_BYTES_MAX};
use millstream_catalog::model::{Code, Fault};
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response};

use crate::auth::Caller;
use crate::convert::status::Reply;
use crate::deadlines::Elapsed;
use crate::gateway::{Gateway, TIMEOUT};
use crate::pb;
use crate::queue::Queue;

/// How much longer a request may take than each of its parts.
const GRACE: Duration = Duration::from_millis(100);

/// What is known of a request beside its message.
#[derive(Debug)]
pub struct Context {
    database: Option<String>,
    timeout: Duration,
    caller: Option<Caller>,
}

impl Context {
    fn new(metadata: &MetadataMap) -> Context {
        let database = metadata.get("dbname").and_then(|v| v.to_str().ok());
        let timeout = metadata.get("grpc-timeout").and_then(|v| v.to_str().ok());
        Context {
            database: database.filter(|name| !name.is_empty()).map(str::to_owned),
            timeout: timeout.and_then(parse_timeout).map_or(TIMEOUT, |t| t.min(TIMEOUT)),
            caller: None,
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

    /// Runs one request to its answer, whatever happens.
    async fn serve<R: Reply>(
        &self,
        rpc: &'static str,
        queue: Option<&Queue>,
        context: &Context,
        call: impl Future<Output = Result<R, Fault>>,
    ) -> R {
        let begun = Instant::now();
        let guarded = AssertUnwindSafe(async {
            let _place = match queue {
                Some(queue) => Some(queue.enter().await?),
                None => None,
            };
            size::fitting(rpc, call.await?, RESPONSE_BYTES_MAX)
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
        outcome.unwrap_or_else(|fault| {
            let code = fault.code as i32;
            tracing::debug!(rpc, code, reason = %fault.message, "request failed");
            R::failed_in(rpc, fault)
        })
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

macro_rules! queue {
    ($gateway:ident, none) => {
        None
    };
    ($gateway:ident, $queue:ident) => {
        Some(&$gateway.queues.$queue)
    };
}

/// The table of RPCs: name, function of the generated trait, message, answer, queue, handler.
macro_rules! rpcs {
    ($(
        $rpc:literal $name:ident($request:ident) -> $reply:ident, $queue:ident, $handler:path;
    )*) => {
        /// The RPCs that are served.
        pub const RPCS: &[&str] = &[$($rpc),*];

        #[tonic::async_trait]
        impl pb::milvus_service_server::MilvusService for Service {
            $(
                async fn $name(
                    &self,
                    request: Request<pb::$request>,
                ) -> Result<Response<pb::$reply>, tonic::Status> {
                    let (metadata, extensions, message) = request.into_parts();
                    let context = Context::of(&metadata, &extensions);
                    let gateway = &self.gateway;
                    let admitted = gateway.door.admit(gateway, &context, &message).await;
                    if let Err(refused) = admitted {
                        gateway.telemetry.answered($rpc, false, Duration::ZERO);
                        return Err(refused);
                    }
                    let call = $handler(gateway, &context, message);
                    let queue = queue!(gateway, $queue);
                    Ok(Response::new(self.serve($rpc, queue, &context, call).await))
                }
            )*
        }
    };
}

rpcs! {
    "Connect" connect(ConnectRequest) -> ConnectResponse, none, system::connect;
    "GetVersion" get_version(GetVersionRequest) -> GetVersionResponse, none, system::version;
    "CheckHealth" check_health(CheckHealthRequest) -> CheckHealthResponse, none, system::health;
    "GetComponentStates" get_component_states(GetComponentStatesRequest)
        -> ComponentStates, none, system::components;
    "AllocTimestamp" alloc_timestamp(AllocTimestampRequest)
        -> AllocTimestampResponse, none, system::alloc_timestamp;
    "ListResourceGroups" list_resource_groups(ListResourceGroupsRequest)
        -> ListResourceGroupsResponse, none, system::resource_groups;

    "CreateDatabase" create_database(CreateDatabaseRequest) -> Status, ddl, database::create;
    "DropDatabase" drop_database(DropDatabaseRequest) -> Status, ddl, database::drop_database;
    "AlterDatabase" alter_database(AlterDatabaseRequest) -> Status, ddl, database::alter;
    "ListDatabases" list_databases(ListDatabasesRequest)
        -> ListDatabasesResponse, none, database::list;
    "DescribeDatabase" describe_database(DescribeDatabaseRequest)
        -> DescribeDatabaseResponse, none, database::describe;

    "CreateCollection" create_collection(CreateCollectionRequest)
        -> Status, ddl, collection::create;
    "DropCollection" drop_collection(DropCollectionRequest)
        -> Status, ddl, collection::drop_collection;
    "HasCollection" has_collection(HasCollectionRequest) -> BoolResponse, none, collection::has;
    "DescribeCollection" describe_collection(DescribeCollectionRequest)
        -> DescribeCollectionResponse, none, collection::describe;
    "ShowCollections" show_collections(ShowCollectionsRequest)
        -> ShowCollectionsResponse, none, collection::show;
    "GetCollectionStatistics" get_collection_statistics(GetCollectionStatisticsRequest)
        -> GetCollectionStatisticsResponse, dql, collection::statistics;

    "RenameCollection" rename_collection(RenameCollectionRequest)
        -> Status, ddl, collection::rename;
    "AlterCollection" alter_collection(AlterCollectionRequest) -> Status, ddl, alter::collection;
    "AlterCollectionField" alter_collection_field(AlterCollectionFieldRequest)
        -> Status, ddl, alter::field;

    "CreateAlias" create_alias(CreateAliasRequest) -> Status, ddl, alias::create;
    "DropAlias" drop_alias(DropAliasRequest) -> Status, ddl, alias::drop_alias;
    "AlterAlias" alter_alias(AlterAliasRequest) -> Status, ddl, alias::alter;
    "DescribeAlias" describe_alias(DescribeAliasRequest)
        -> DescribeAliasResponse, none, alias::describe;
    "ListAliases" list_aliases(ListAliasesRequest) -> ListAliasesResponse, none, alias::list;

    "CreatePartition" create_partition(CreatePartitionRequest) -> Status, ddl, partition::create;
    "DropPartition" drop_partition(DropPartitionRequest) -> Status, ddl, partition::drop_partition;
    "HasPartition" has_partition(HasPartitionRequest) -> BoolResponse, none, partition::has;
    "ShowPartitions" show_partitions(ShowPartitionsRequest)
        -> ShowPartitionsResponse, none, partition::show;
    "GetPartitionStatistics" get_partition_statistics(GetPartitionStatisticsRequest)
        -> GetPartitionStatisticsResponse, dql, partition::statistics;

    "LoadCollection" load_collection(LoadCollectionRequest) -> Status, ddl, load::load_collection;
    "ReleaseCollection" release_collection(ReleaseCollectionRequest)
        -> Status, ddl, load::release_collection;
    "LoadPartitions" load_partitions(LoadPartitionsRequest) -> Status, ddl, load::load_partitions;
    "ReleasePartitions" release_partitions(ReleasePartitionsRequest)
        -> Status, ddl, load::release_partitions;
    "GetLoadingProgress" get_loading_progress(GetLoadingProgressRequest)
        -> GetLoadingProgressResponse, none, load::progress;
    "GetLoadState" get_load_state(GetLoadStateRequest) -> GetLoadStateResponse, none, load::state;

    "CreateIndex" create_index(CreateIndexRequest) -> Status, ddl, index::create;
    "AlterIndex" alter_index(AlterIndexRequest) -> Status, ddl, alter::index;
    "DropIndex" drop_index(DropIndexRequest) -> Status, ddl, index::drop_index;
    "DescribeIndex" describe_index(DescribeIndexRequest)
        -> DescribeIndexResponse, none, index::describe;
    "GetIndexStatistics" get_index_statistics(GetIndexStatisticsRequest)
        -> GetIndexStatisticsResponse, none, index::statistics;
    "GetIndexState" get_index_state(GetIndexStateRequest)
        -> GetIndexStateResponse, none, index::state;
    "GetIndexBuildProgress" get_index_build_progress(GetIndexBuildProgressRequest)
        -> GetIndexBuildProgressResponse, none, index::progress;

    "Insert" insert(InsertRequest) -> MutationResult, dml, data::insert;
    "Upsert" upsert(UpsertRequest) -> MutationResult, dml, data::upsert;
    "Delete" delete(DeleteRequest) -> MutationResult, dml, data::delete;
    "Flush" flush(FlushRequest) -> FlushResponse, none, flush::flush;
    "GetFlushState" get_flush_state(GetFlushStateRequest)
        -> GetFlushStateResponse, none, flush::flush_state;
    "FlushAll" flush_all(FlushAllRequest) -> FlushAllResponse, none, flush::flush_all;
    "GetFlushAllState" get_flush_all_state(GetFlushAllStateRequest)
        -> GetFlushAllStateResponse, none, flush::flush_all_state;

    "Search" search(SearchRequest) -> SearchResults, dql, search::search;
    "HybridSearch" hybrid_search(HybridSearchRequest) -> SearchResults, dql, hybrid::search;
    "RunAnalyzer" run_analyzer(RunAnalyzerRequest)
        -> RunAnalyzerResponse, dql, analyzer::run;
    "Query" query(QueryRequest) -> QueryResults, dql, query::query;

    "CreateCredential" create_credential(CreateCredentialRequest) -> Status, none, user::create;
    "UpdateCredential" update_credential(UpdateCredentialRequest) -> Status, none, user::update;
    "DeleteCredential" delete_credential(DeleteCredentialRequest) -> Status, none, user::delete;
    "ListCredUsers" list_cred_users(ListCredUsersRequest)
        -> ListCredUsersResponse, none, user::names;
    "SelectUser" select_user(SelectUserRequest) -> SelectUserResponse, none, user::select;
    "CreateRole" create_role(CreateRoleRequest) -> Status, none, user::create_role;
    "AlterRole" alter_role(AlterRoleRequest) -> Status, none, user::alter_role;
    "DropRole" drop_role(DropRoleRequest) -> Status, none, user::drop_role;
    "OperateUserRole" operate_user_role(OperateUserRoleRequest)
        -> Status, none, user::operate_role;
    "SelectRole" select_role(SelectRoleRequest) -> SelectRoleResponse, none, user::select_role;
    "OperatePrivilege" operate_privilege(OperatePrivilegeRequest)
        -> Status, none, grant::operate;
    "OperatePrivilegeV2" operate_privilege_v2(OperatePrivilegeV2Request)
        -> Status, none, grant::operate_v2;
    "SelectGrant" select_grant(SelectGrantRequest) -> SelectGrantResponse, none, grant::select;
    "CreatePrivilegeGroup" create_privilege_group(CreatePrivilegeGroupRequest)
        -> Status, none, grant::create_group;
    "DropPrivilegeGroup" drop_privilege_group(DropPrivilegeGroupRequest)
        -> Status, none, grant::drop_group;
    "ListPrivilegeGroups" list_privilege_groups(ListPrivilegeGroupsRequest)
        -> ListPrivilegeGroupsResponse, none, grant::groups;
    "OperatePrivilegeGroup" operate_privilege_group(OperatePrivilegeGroupRequest)
        -> Status, none, grant::alter_group;
    "BackupRBAC" backup_rbac(BackupRbacMetaRequest)
        -> BackupRbacMetaResponse, none, grant::backup;
    "RestoreRBAC" restore_rbac(RestoreRbacMetaRequest) -> Status, none, grant::restore;
}

#[cfg(test)]
mod tests {
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
