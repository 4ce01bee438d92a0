//! The table of privileges: what each RPC needs, on what, and where its message names that.
//!
//! The rules are Milvus's, but for one: an RPC about a collection that needs a global privilege
//! there (describing, dropping, ..) needs it on that collection here. Grants of the older form are
//! on all of them anyway; newer ones can name one.

use millstream_catalog::rbac::privilege::ANY;
use millstream_catalog::rbac::privilege::ObjectType::{self, Collection, Global, User};

use crate::pb;

/// What it takes to be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// To be a user.
    Known,
    /// A privilege about objects of a type.
    Needs(ObjectType, &'static str),
}

/// What a message is about.
#[derive(Clone, Copy, Debug)]
pub enum Objects<'a> {
    /// Nothing that has a name.
    All,
    /// One thing; without a name, all of them.
    One(&'a str),
    /// Some things; without any, all of them.
    Some(&'a [String]),
    /// A role, about which its own users need nothing.
    Role(&'a str),
}

impl<'a> Objects<'a> {
    /// The names that the privilege is needed on.
    pub fn names(self) -> impl Iterator<Item = &'a str> {
        let (one, some): (Option<&str>, &[String]) = match self {
            Objects::One(name) if !name.is_empty() => (Some(name), &[]),
            Objects::Some(names) if !names.is_empty() => (None, names),
            _ => (Some(ANY), &[]),
        };
        one.into_iter().chain(some.iter().map(String::as_str))
    }
}

/// A message that somebody may send or not.
pub trait Target {
    /// What it takes.
    const RULE: Rule;
    /// What it is about.
    fn objects(&self) -> Objects<'_>;
    /// The database that it names; empty for that of the connection.
    fn database(&self) -> &str;
}

/// The table: RPC, message, rule, objects, database.
macro_rules! rules {
    ($($rpc:literal $message:ident: $rule:expr, |$m:ident| $objects:expr, $database:expr;)*) => {
        /// The RPCs of the table with their rules.
        pub const RULES: &[(&str, Rule)] = &[$(($rpc, $rule)),*];

        $(#[allow(unused_variables)]
        impl Target for pb::$message {
            const RULE: Rule = $rule;

            fn objects(&self) -> Objects<'_> {
                let $m = self;
                $objects
            }

            fn database(&self) -> &str {
                let $m = self;
                $database
            }
        })*
    };
}

/// Needs a privilege about a collection.
const fn collection(privilege: &'static str) -> Rule {
    Rule::Needs(Collection, privilege)
}

/// Needs a privilege about something else.
const fn global(privilege: &'static str) -> Rule {
    Rule::Needs(Global, privilege)
}

/// What a message is about: the collection that it names.
macro_rules! named {
    ($m:ident) => {
        Objects::One(&$m.collection_name)
    };
}

rules! {
    "Connect" ConnectRequest: Rule::Known, |m| Objects::All, "";
    "GetVersion" GetVersionRequest: Rule::Known, |m| Objects::All, "";
    "CheckHealth" CheckHealthRequest: Rule::Known, |m| Objects::All, "";
    "GetComponentStates" GetComponentStatesRequest: Rule::Known, |m| Objects::All, "";
    "AllocTimestamp" AllocTimestampRequest: Rule::Known, |m| Objects::All, "";
    "GetMetrics" GetMetricsRequest: Rule::Known, |m| Objects::All, "";

    "CreateResourceGroup" CreateResourceGroupRequest: global("CreateResourceGroup"),
        |m| Objects::All, "";
    "DropResourceGroup" DropResourceGroupRequest: global("DropResourceGroup"),
        |m| Objects::All, "";
    "UpdateResourceGroups" UpdateResourceGroupsRequest: global("UpdateResourceGroups"),
        |m| Objects::All, "";
    "TransferNode" TransferNodeRequest: global("TransferNode"), |m| Objects::All, "";
    "TransferReplica" TransferReplicaRequest: global("TransferReplica"), |m| Objects::All, "";
    "ListResourceGroups" ListResourceGroupsRequest: global("ListResourceGroups"),
        |m| Objects::All, "";
    "DescribeResourceGroup" DescribeResourceGroupRequest: global("DescribeResourceGroup"),
        |m| Objects::All, "";

    "CreateDatabase" CreateDatabaseRequest: global("CreateDatabase"), |m| Objects::All, "";
    "DropDatabase" DropDatabaseRequest: global("DropDatabase"), |m| Objects::All, "";
    "AlterDatabase" AlterDatabaseRequest: global("AlterDatabase"), |m| Objects::All, &m.db_name;
    "ListDatabases" ListDatabasesRequest: Rule::Known, |m| Objects::All, "";
    "DescribeDatabase" DescribeDatabaseRequest: global("DescribeDatabase"),
        |m| Objects::All, &m.db_name;

    "CreateCollection" CreateCollectionRequest: global("CreateCollection"),
        |m| named!(m), &m.db_name;
    "DropCollection" DropCollectionRequest: global("DropCollection"), |m| named!(m), &m.db_name;
    "HasCollection" HasCollectionRequest: Rule::Known, |m| named!(m), &m.db_name;
    "DescribeCollection" DescribeCollectionRequest: global("DescribeCollection"),
        |m| named!(m), &m.db_name;
    "ShowCollections" ShowCollectionsRequest: Rule::Known, |m| Objects::All, &m.db_name;
    "GetCollectionStatistics" GetCollectionStatisticsRequest: collection("GetStatistics"),
        |m| named!(m), &m.db_name;

    "RenameCollection" RenameCollectionRequest: global("RenameCollection"),
        |m| Objects::All, &m.db_name;
    "AlterCollection" AlterCollectionRequest: global("CreateCollection"), |m| named!(m), &m.db_name;
    "AlterCollectionField" AlterCollectionFieldRequest: global("CreateCollection"),
        |m| named!(m), &m.db_name;

    "AddCollectionField" AddCollectionFieldRequest: collection("AddCollectionField"),
        |m| named!(m), &m.db_name;
    "AlterCollectionSchema" AlterCollectionSchemaRequest: collection("AddCollectionField"),
        |m| named!(m), &m.db_name;
    "TruncateCollection" TruncateCollectionRequest: global("DropCollection"),
        |m| named!(m), &m.db_name;

    "CreateAlias" CreateAliasRequest: global("CreateAlias"), |m| named!(m), &m.db_name;
    "DropAlias" DropAliasRequest: global("DropAlias"), |m| Objects::One(&m.alias), &m.db_name;
    "AlterAlias" AlterAliasRequest: global("CreateAlias"), |m| named!(m), &m.db_name;
    "DescribeAlias" DescribeAliasRequest: global("DescribeAlias"),
        |m| Objects::One(&m.alias), &m.db_name;
    "ListAliases" ListAliasesRequest: global("ListAliases"), |m| named!(m), &m.db_name;

    "CreatePartition" CreatePartitionRequest: collection("CreatePartition"),
        |m| named!(m), &m.db_name;
    "DropPartition" DropPartitionRequest: collection("DropPartition"), |m| named!(m), &m.db_name;
    "HasPartition" HasPartitionRequest: collection("HasPartition"), |m| named!(m), &m.db_name;
    "ShowPartitions" ShowPartitionsRequest: collection("ShowPartitions"),
        |m| named!(m), &m.db_name;
    "GetPartitionStatistics" GetPartitionStatisticsRequest: collection("GetStatistics"),
        |m| named!(m), &m.db_name;

    "LoadCollection" LoadCollectionRequest: collection("Load"), |m| named!(m), &m.db_name;
    "ReleaseCollection" ReleaseCollectionRequest: collection("Release"),
        |m| named!(m), &m.db_name;
    "LoadPartitions" LoadPartitionsRequest: collection("Load"), |m| named!(m), &m.db_name;
    "ReleasePartitions" ReleasePartitionsRequest: collection("Release"),
        |m| named!(m), &m.db_name;
    "GetLoadingProgress" GetLoadingProgressRequest: collection("GetLoadState"),
        |m| named!(m), &m.db_name;
    "GetLoadState" GetLoadStateRequest: collection("GetLoadState"), |m| named!(m), &m.db_name;

    "CreateIndex" CreateIndexRequest: collection("CreateIndex"), |m| named!(m), &m.db_name;
    "AlterIndex" AlterIndexRequest: collection("CreateIndex"), |m| named!(m), &m.db_name;
    "DropIndex" DropIndexRequest: collection("DropIndex"), |m| named!(m), &m.db_name;
    "DescribeIndex" DescribeIndexRequest: collection("IndexDetail"), |m| named!(m), &m.db_name;
    "GetIndexStatistics" GetIndexStatisticsRequest: collection("IndexDetail"),
        |m| named!(m), &m.db_name;
    "GetIndexState" GetIndexStateRequest: collection("IndexDetail"), |m| named!(m), &m.db_name;
    "GetIndexBuildProgress" GetIndexBuildProgressRequest: collection("IndexDetail"),
        |m| named!(m), &m.db_name;

    "Insert" InsertRequest: collection("Insert"), |m| named!(m), &m.db_name;
    "Upsert" UpsertRequest: collection("Upsert"), |m| named!(m), &m.db_name;
    "Delete" DeleteRequest: collection("Delete"), |m| named!(m), &m.db_name;
    "Flush" FlushRequest: collection("Flush"), |m| Objects::Some(&m.collection_names), &m.db_name;
    "GetFlushState" GetFlushStateRequest: collection("GetFlushState"),
        |m| named!(m), &m.db_name;
    "FlushAll" FlushAllRequest: global("FlushAll"), |m| Objects::All, &m.db_name;
    "GetFlushAllState" GetFlushAllStateRequest: Rule::Known, |m| Objects::All, "";
    "ManualCompaction" ManualCompactionRequest: collection("Compaction"),
        |m| named!(m), &m.db_name;
    "GetCompactionState" GetCompactionStateRequest: Rule::Known, |m| Objects::All, "";
    "GetCompactionStateWithPlans" GetCompactionPlansRequest: Rule::Known,
        |m| named!(m), &m.db_name;

    "GetPersistentSegmentInfo" GetPersistentSegmentInfoRequest: collection("GetStatistics"),
        |m| named!(m), &m.db_name;
    "GetQuerySegmentInfo" GetQuerySegmentInfoRequest: collection("GetStatistics"),
        |m| named!(m), &m.db_name;
    "GetReplicas" GetReplicasRequest: collection("GetStatistics"), |m| named!(m), &m.db_name;
    "LoadBalance" LoadBalanceRequest: collection("LoadBalance"), |m| named!(m), &m.db_name;
    "ListIndexedSegment" ListIndexedSegmentRequest: collection("IndexDetail"),
        |m| named!(m), "";

    "Search" SearchRequest: collection("Search"), |m| named!(m), &m.db_name;
    "HybridSearch" HybridSearchRequest: collection("Search"), |m| named!(m), &m.db_name;
    "Query" QueryRequest: collection("Query"), |m| named!(m), &m.db_name;
    "RunAnalyzer" RunAnalyzerRequest: Rule::Known, |m| Objects::All, "";

    "CreateCredential" CreateCredentialRequest: global("CreateOwnership"), |m| Objects::All, "";
    "UpdateCredential" UpdateCredentialRequest: Rule::Needs(User, "UpdateUser"),
        |m| Objects::One(&m.username), "";
    "DeleteCredential" DeleteCredentialRequest: global("DropOwnership"), |m| Objects::All, "";
    "ListCredUsers" ListCredUsersRequest: global("SelectOwnership"), |m| Objects::All, "";
    "SelectUser" SelectUserRequest: Rule::Needs(User, "SelectUser"),
        |m| Objects::One(m.user.as_ref().map_or("", |user| user.name.as_str())), "";
    "CreateRole" CreateRoleRequest: global("CreateOwnership"), |m| Objects::All, "";
    "AlterRole" AlterRoleRequest: global("CreateOwnership"), |m| Objects::All, "";
    "DropRole" DropRoleRequest: global("DropOwnership"), |m| Objects::All, "";
    "OperateUserRole" OperateUserRoleRequest: global("ManageOwnership"), |m| Objects::All, "";
    "SelectRole" SelectRoleRequest: global("SelectOwnership"), |m| Objects::All, "";
    "OperatePrivilege" OperatePrivilegeRequest: global("ManageOwnership"), |m| Objects::All, "";
    "OperatePrivilegeV2" OperatePrivilegeV2Request: global("ManageOwnership"),
        |m| Objects::All, "";
    "SelectGrant" SelectGrantRequest: global("SelectOwnership"), |m| granted(m), "";
    "CreatePrivilegeGroup" CreatePrivilegeGroupRequest: global("CreatePrivilegeGroup"),
        |m| Objects::All, "";
    "DropPrivilegeGroup" DropPrivilegeGroupRequest: global("DropPrivilegeGroup"),
        |m| Objects::All, "";
    "ListPrivilegeGroups" ListPrivilegeGroupsRequest: global("ListPrivilegeGroups"),
        |m| Objects::All, "";
    "OperatePrivilegeGroup" OperatePrivilegeGroupRequest: global("OperatePrivilegeGroup"),
        |m| Objects::All, "";
    "BackupRBAC" BackupRbacMetaRequest: global("BackupRBAC"), |m| Objects::All, "";
    "RestoreRBAC" RestoreRbacMetaRequest: global("RestoreRBAC"), |m| Objects::All, "";
}

/// Its own users may see what a role may do.
fn granted(message: &pb::SelectGrantRequest) -> Objects<'_> {
    let role = message.entity.as_ref().and_then(|entity| entity.role.as_ref());
    role.map_or(Objects::All, |role| Objects::Role(&role.name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use millstream_catalog::rbac::privilege::privilege;
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::service::RPCS;

    #[test]
    fn every_rpc_of_the_service_has_a_rule_and_every_rule_an_rpc() {
        let set = FileDescriptorSet::decode(pb::DESCRIPTORS).unwrap();
        let services = set.file.iter().flat_map(|file| &file.service);
        let methods = services.flat_map(|service| &service.method);
        let declared: BTreeSet<&str> = methods.map(|method| method.name()).collect();
        let ruled: BTreeSet<&str> = RULES.iter().map(|(rpc, _)| *rpc).collect();
        assert_eq!(ruled.len(), RULES.len(), "an RPC has two rules");
        assert_eq!(declared, ruled);
        assert_eq!(RPCS.iter().copied().collect::<BTreeSet<_>>(), ruled);
    }

    #[test]
    fn every_rule_needs_a_privilege_that_can_be_granted() {
        for (rpc, rule) in RULES {
            if let Rule::Needs(object_type, name) = rule {
                let known = privilege(name).unwrap_or_else(|| panic!("{rpc} needs {name}"));
                assert_eq!(known.object_type, *object_type, "{rpc}");
            }
        }
    }

    #[test]
    fn a_message_without_a_name_is_about_everything() {
        let names = |objects: Objects<'_>| objects.names().collect::<Vec<_>>().join(" ");
        assert_eq!(names(pb::InsertRequest::default().objects()), "*");
        assert_eq!(names(pb::FlushRequest::default().objects()), "*");
        assert_eq!(names(Objects::Role("r")), "*");
        let flush = pb::FlushRequest {
            collection_names: vec!["a".into(), "b".into()],
            ..Default::default()
        };
        assert_eq!(names(flush.objects()), "a b");
        let named = pb::QueryRequest { collection_name: "c".into(), ..Default::default() };
        assert_eq!(names(named.objects()), "c");
    }
}
