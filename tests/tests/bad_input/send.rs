//! One type for the requests of all RPCs, and one way to send them.

use millstream_gateway::pb::{
    AddCollectionFieldRequest, AlterAliasRequest, AlterCollectionFieldRequest,
    AlterCollectionRequest, AlterDatabaseRequest, AlterIndexRequest, CreateAliasRequest,
    CreateCollectionRequest, CreateDatabaseRequest, CreateIndexRequest, CreatePartitionRequest,
    DeleteRequest, DescribeAliasRequest, DescribeCollectionRequest, DescribeDatabaseRequest,
    DescribeIndexRequest, DropAliasRequest, DropCollectionRequest, DropDatabaseRequest,
    DropIndexRequest, DropPartitionRequest, FlushRequest, GetCollectionStatisticsRequest,
    GetIndexBuildProgressRequest, GetIndexStateRequest, GetIndexStatisticsRequest,
    GetLoadingProgressRequest, HasCollectionRequest, HasPartitionRequest, HybridSearchRequest,
    InsertRequest, ListAliasesRequest, LoadCollectionRequest, LoadPartitionsRequest, QueryRequest,
    ReleaseCollectionRequest, ReleasePartitionsRequest, RenameCollectionRequest, SearchRequest,
    ShowCollectionsRequest, ShowPartitionsRequest, TruncateCollectionRequest, UpsertRequest,
};
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
    }
}
