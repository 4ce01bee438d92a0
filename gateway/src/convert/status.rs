//! Outcomes: `Fault` to `Status`, and answers that carry one.

use millstream_catalog::model::Fault;
use prost::Message;

use crate::pb::{self, common::Status};

/// The status of a request that succeeded.
pub fn success() -> Status {
    Status::default()
}

/// The status of a request that failed: the code, the older code beside it, and the text twice.
pub fn failure(fault: Fault) -> Status {
    Status {
        error_code: fault.code.legacy(),
        code: fault.code as i32,
        retriable: fault.code.retriable(),
        detail: fault.message.clone(),
        reason: fault.message,
        ..Status::default()
    }
}

/// An answer that can say that its request failed.
pub trait Reply: Default + Message {
    /// The same answer with another status.
    fn with_status(self, status: Status) -> Self;

    /// The answer to a request that failed.
    fn failed(fault: Fault) -> Self {
        Self::default().with_status(failure(fault))
    }
}

impl Reply for Status {
    fn with_status(self, status: Status) -> Self {
        status
    }
}

macro_rules! replies {
    ($($name:ident),* $(,)?) => {$(
        impl Reply for pb::$name {
            fn with_status(mut self, status: Status) -> Self {
                self.status = Some(status);
                self
            }
        }
    )*};
}

replies! {
    AllocTimestampResponse, BoolResponse, CheckHealthResponse, ComponentStates, ConnectResponse,
    DescribeAliasResponse, DescribeCollectionResponse, DescribeDatabaseResponse,
    DescribeIndexResponse, FlushAllResponse, FlushResponse, GetCollectionStatisticsResponse,
    GetFlushAllStateResponse, GetFlushStateResponse, GetIndexBuildProgressResponse,
    GetIndexStateResponse, GetIndexStatisticsResponse, GetLoadStateResponse,
    GetLoadingProgressResponse, GetPartitionStatisticsResponse, GetVersionResponse,
    ListCredUsersResponse, ListAliasesResponse, ListDatabasesResponse, ListResourceGroupsResponse,
    MutationResult, QueryResults, RunAnalyzerResponse, SearchResults, SelectRoleResponse,
    SelectUserResponse, ShowCollectionsResponse, ShowPartitionsResponse,
}

#[cfg(test)]
mod tests {
    use millstream_catalog::model::Code;

    use super::*;

    #[test]
    fn a_fault_sets_the_new_and_the_old_code_and_both_texts() {
        let status = failure(Fault::collection_not_found("default", "nope"));
        assert_eq!((status.code, status.error_code), (100, 4));
        assert_eq!(status.reason, "collection not found[database=default][collection=nope]");
        assert_eq!(status.detail, status.reason);
        assert!(!status.retriable);
        assert!(failure(Fault::new(Code::RateLimit, "slow down")).retriable);
    }

    #[test]
    fn success_is_zero_in_both_codes() {
        assert_eq!((success().code, success().error_code), (0, 0));
    }
}
