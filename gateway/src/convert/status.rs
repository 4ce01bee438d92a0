//! Outcomes: `Fault` to `Status`, and answers that carry one.

use millstream_catalog::model::{Code, Fault};
use prost::Message;

use crate::pb;
use crate::pb::common::{ErrorCode, Status};

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

/// The older code of what goes wrong in an RPC without a code of its own.
fn legacy(rpc: &str) -> Option<ErrorCode> {
    Some(match rpc {
        "CreateCredential" => ErrorCode::CreateCredentialFailure,
        "UpdateCredential" => ErrorCode::UpdateCredentialFailure,
        "DeleteCredential" => ErrorCode::DeleteCredentialFailure,
        "ListCredUsers" => ErrorCode::ListCredUsersFailure,
        "CreateRole" => ErrorCode::CreateRoleFailure,
        "DropRole" => ErrorCode::DropRoleFailure,
        "OperateUserRole" => ErrorCode::OperateUserRoleFailure,
        "SelectRole" => ErrorCode::SelectRoleFailure,
        "SelectUser" => ErrorCode::SelectUserFailure,
        "OperatePrivilege" | "OperatePrivilegeV2" | "RestoreRBAC" => {
            ErrorCode::OperatePrivilegeFailure
        }
        "SelectGrant" => ErrorCode::SelectGrantFailure,
        "CreatePrivilegeGroup" => ErrorCode::CreatePrivilegeGroupFailure,
        "DropPrivilegeGroup" => ErrorCode::DropPrivilegeGroupFailure,
        "ListPrivilegeGroups" => ErrorCode::ListPrivilegeGroupsFailure,
        "OperatePrivilegeGroup" => ErrorCode::OperatePrivilegeGroupFailure,
        _ => return None,
    })
}

/// The status of a request of an RPC that failed.
pub fn failure_in(rpc: &str, fault: Fault) -> Status {
    let own = (fault.code == Code::Unexpected).then(|| legacy(rpc)).flatten();
    let status = failure(fault);
    match own {
        Some(code) => Status { error_code: code.into(), ..status },
        None => status,
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

    /// The answer to a request of an RPC that failed.
    fn failed_in(rpc: &str, fault: Fault) -> Self {
        Self::default().with_status(failure_in(rpc, fault))
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
    AllocTimestampResponse, BackupRbacMetaResponse, BoolResponse, CheckHealthResponse,
    ComponentStates, ConnectResponse, DescribeAliasResponse, DescribeCollectionResponse,
    DescribeDatabaseResponse, DescribeIndexResponse, DescribeResourceGroupResponse,
    FlushAllResponse, FlushResponse, GetCollectionStatisticsResponse, GetCompactionPlansResponse,
    GetCompactionStateResponse, GetFlushAllStateResponse, GetFlushStateResponse,
    GetIndexBuildProgressResponse, GetIndexStateResponse, GetIndexStatisticsResponse,
    GetLoadStateResponse, GetLoadingProgressResponse, GetMetricsResponse,
    GetPartitionStatisticsResponse, GetPersistentSegmentInfoResponse, GetQuerySegmentInfoResponse,
    GetReplicasResponse,
    GetVersionResponse, ListAliasesResponse, ListCredUsersResponse, ListDatabasesResponse,
    ListIndexedSegmentResponse,
    ListPrivilegeGroupsResponse, ListResourceGroupsResponse, ManualCompactionResponse,
    MutationResult, QueryResults,
    RunAnalyzerResponse, SearchResults, SelectGrantResponse, SelectRoleResponse,
    SelectUserResponse, ShowCollectionsResponse, ShowPartitionsResponse, TruncateCollectionResponse,
}

impl Reply for pb::AlterCollectionSchemaResponse {
    fn with_status(self, status: Status) -> Self {
        pb::AlterCollectionSchemaResponse { alter_status: Some(status) }
    }
}

#[cfg(test)]
mod tests {
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
    fn an_rpc_about_users_has_an_old_code_of_its_own() {
        let status = failure_in("CreateRole", Fault::plain("no"));
        assert_eq!((status.code, status.error_code), (65_535, 35));
        let status = failure_in("CreateRole", Fault::invalid("no"));
        assert_eq!((status.code, status.error_code), (1_100, 5));
        assert_eq!(failure_in("Insert", Fault::plain("no")).error_code, 1);
    }

    #[test]
    fn success_is_zero_in_both_codes() {
        assert_eq!((success().code, success().error_code), (0, 0));
    }
}
