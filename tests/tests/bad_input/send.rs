//! One type for the requests of all RPCs, and one way to send them.

use millstream_gateway::pb::*;
use millstream_tests::client::{Answer, Client, accept, message};

/// Declares [`Request`] and [`send`] for RPCs whose answer is a status (`plain`) or holds one
/// (`holding`).
macro_rules! requests {
    (plain { $($plain:ident $plain_call:ident $plain_type:ty,)* }
     holding { $($holding:ident $call:ident $type:ty,)* }) => {
        /// A request of any RPC.
        #[derive(Clone, Debug)]
        #[allow(clippy::large_enum_variant, reason = "few are made, and only in tests")]
        pub(crate) enum Request {
            $($plain($plain_type),)*
            $($holding($type),)*
        }

        $(impl From<$plain_type> for Request {
            fn from(request: $plain_type) -> Request {
                Request::$plain(request)
            }
        })*
        $(impl From<$type> for Request {
            fn from(request: $type) -> Request {
                Request::$holding(request)
            }
        })*

        impl Request {
            /// The name of the RPC.
            pub(crate) fn name(&self) -> &'static str {
                match self {
                    $(Request::$plain(_) => stringify!($plain),)*
                    $(Request::$holding(_) => stringify!($holding),)*
                }
            }
        }

        /// Sends a request; keeps only whether it was accepted.
        pub(crate) async fn send(client: &Client, request: Request) -> Answer<()> {
            let mut rpc = client.rpc();
            match request {
                $(Request::$plain(request) => accept(Some(&message(rpc.$plain_call(request).await)?)),)*
                $(Request::$holding(request) => {
                    accept(message(rpc.$call(request).await)?.status.as_ref())
                })*
            }
        }
    };
}

requests! {
    plain {
        CreateCollection create_collection CreateCollectionRequest,
        DropCollection drop_collection DropCollectionRequest,
        CreatePartition create_partition CreatePartitionRequest,
        DropPartition drop_partition DropPartitionRequest,
        LoadCollection load_collection LoadCollectionRequest,
        ReleaseCollection release_collection ReleaseCollectionRequest,
        LoadPartitions load_partitions LoadPartitionsRequest,
        ReleasePartitions release_partitions ReleasePartitionsRequest,
        CreateIndex create_index CreateIndexRequest,
        DropIndex drop_index DropIndexRequest,
        CreateDatabase create_database CreateDatabaseRequest,
        DropDatabase drop_database DropDatabaseRequest,
        AlterDatabase alter_database AlterDatabaseRequest,
        CreateAlias create_alias CreateAliasRequest,
        DropAlias drop_alias DropAliasRequest,
        AlterAlias alter_alias AlterAliasRequest,
        RenameCollection rename_collection RenameCollectionRequest,
        AlterCollection alter_collection AlterCollectionRequest,
        AlterCollectionField alter_collection_field AlterCollectionFieldRequest,
        AlterIndex alter_index AlterIndexRequest,
        AddCollectionField add_collection_field AddCollectionFieldRequest,
        LoadBalance load_balance LoadBalanceRequest,
        CreateCredential create_credential CreateCredentialRequest,
        UpdateCredential update_credential UpdateCredentialRequest,
        DeleteCredential delete_credential DeleteCredentialRequest,
        CreateRole create_role CreateRoleRequest,
        AlterRole alter_role AlterRoleRequest,
        DropRole drop_role DropRoleRequest,
        OperateUserRole operate_user_role OperateUserRoleRequest,
        OperatePrivilege operate_privilege OperatePrivilegeRequest,
        OperatePrivilegeV2 operate_privilege_v2 OperatePrivilegeV2Request,
        CreatePrivilegeGroup create_privilege_group CreatePrivilegeGroupRequest,
        OperatePrivilegeGroup operate_privilege_group OperatePrivilegeGroupRequest,
        DropPrivilegeGroup drop_privilege_group DropPrivilegeGroupRequest,
        RestoreRbac restore_rbac RestoreRbacMetaRequest,
        CreateResourceGroup create_resource_group CreateResourceGroupRequest,
        DropResourceGroup drop_resource_group DropResourceGroupRequest,
        UpdateResourceGroups update_resource_groups UpdateResourceGroupsRequest,
        TransferNode transfer_node TransferNodeRequest,
        TransferReplica transfer_replica TransferReplicaRequest,
    }
    holding {
        HasCollection has_collection HasCollectionRequest,
        DescribeCollection describe_collection DescribeCollectionRequest,
        ShowCollections show_collections ShowCollectionsRequest,
        GetCollectionStatistics get_collection_statistics GetCollectionStatisticsRequest,
        HasPartition has_partition HasPartitionRequest,
        ShowPartitions show_partitions ShowPartitionsRequest,
        GetLoadingProgress get_loading_progress GetLoadingProgressRequest,
        DescribeIndex describe_index DescribeIndexRequest,
        DescribeAlias describe_alias DescribeAliasRequest,
        ListAliases list_aliases ListAliasesRequest,
        DescribeDatabase describe_database DescribeDatabaseRequest,
        GetIndexState get_index_state GetIndexStateRequest,
        GetIndexStatistics get_index_statistics GetIndexStatisticsRequest,
        GetIndexBuildProgress get_index_build_progress GetIndexBuildProgressRequest,
        Insert insert InsertRequest,
        Upsert upsert UpsertRequest,
        Delete delete DeleteRequest,
        Flush flush FlushRequest,
        Search search SearchRequest,
        HybridSearch hybrid_search HybridSearchRequest,
        Query query QueryRequest,
        TruncateCollection truncate_collection TruncateCollectionRequest,
        GetPartitionStatistics get_partition_statistics GetPartitionStatisticsRequest,
        GetLoadState get_load_state GetLoadStateRequest,
        GetFlushState get_flush_state GetFlushStateRequest,
        FlushAll flush_all FlushAllRequest,
        GetReplicas get_replicas GetReplicasRequest,
        GetPersistentSegmentInfo get_persistent_segment_info GetPersistentSegmentInfoRequest,
        GetQuerySegmentInfo get_query_segment_info GetQuerySegmentInfoRequest,
        ListIndexedSegment list_indexed_segment ListIndexedSegmentRequest,
        RunAnalyzer run_analyzer RunAnalyzerRequest,
        SelectGrant select_grant SelectGrantRequest,
        DescribeResourceGroup describe_resource_group DescribeResourceGroupRequest,
    }
}
