//! Loads of what cannot be loaded, and reads of what is not loaded.
// tidy: table

use millstream_gateway::pb::{
    GetLoadingProgressRequest, GetReplicasRequest, HybridSearchRequest, LoadBalanceRequest,
    LoadCollectionRequest, LoadPartitionsRequest, QueryRequest, ReleasePartitionsRequest,
    RunAnalyzerRequest, SearchRequest, ShowCollectionsRequest,
};
use millstream_tests::client::{query, search};
use millstream_tests::rows::pair;

use super::super::{ANY, Case, DIM, INVALID, PLAIN, Request, case};
use super::{STATES, own};

/// Loads of what has not all of its indexes, and of more than there is.
pub(super) fn loading() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, fields) in [("plain", "vector second"), ("half", "second")] {
        let due = format!(
            "there is no vector index on field: [{fields}], please create index firstly: index not \
             found[collection={name}]"
        );
        let whole = of!(LoadCollectionRequest { collection_name: own(name) });
        cases.push(case(format!("no index of {name}"), whole, 700, &due));
        for partition in ["west", "east", "_default"] {
            let part = of!(LoadPartitionsRequest {
                collection_name: own(name),
                partition_names: vec![own(partition)],
            });
            cases.push(case(format!("no index of {name}.{partition}"), part, 700, &due));
        }
    }
    for name in STATES {
        let due = "partition not found[partition=north]";
        for partition_names in [vec![own("north")], vec![own("west"), own("north")]] {
            let load = of!(LoadPartitionsRequest {
                collection_name: own(name),
                partition_names: partition_names.clone(),
            });
            cases.push(case(format!("a partition of {name}"), load, 200, due));
            let release =
                of!(ReleasePartitionsRequest { collection_name: own(name), partition_names });
            cases.push(case(format!("a partition of {name}"), release, 200, due));
        }
        let due = "due to no partition specified";
        let load = of!(LoadPartitionsRequest { collection_name: own(name) });
        cases.push(case(format!("no partition of {name}"), load, INVALID, due));
        let release = of!(ReleasePartitionsRequest { collection_name: own(name) });
        cases.push(case(format!("no partition of {name}"), release, INVALID, due));
    }
    for replicas in [2, 3, 100, i32::MAX] {
        let due = format!("replica_number {replicas} is not supported yet");
        for name in ["indexed", "loaded"] {
            let load =
                of!(LoadCollectionRequest { collection_name: own(name), replica_number: replicas });
            cases.push(case(format!("{replicas} of {name}"), load, INVALID, &due));
        }
        let part = of!(LoadPartitionsRequest {
            collection_name: own("indexed"),
            partition_names: vec![own("west")],
            replica_number: replicas,
        });
        cases.push(case(format!("{replicas} of a partition"), part, INVALID, &due));
    }
    for (groups, code, due) in [
        (vec!["nowhere"], 300, "resource group not found[rg=nowhere]"),
        (vec!["a", "b"], INVALID, "resource group num can only be 0, 1 or same as replica number"),
        (vec![""], 300, "resource group not found[rg=]"),
    ] {
        let resource_groups: Vec<String> = groups.iter().map(|name| own(name)).collect();
        let load = of!(LoadCollectionRequest {
            collection_name: own("indexed"),
            resource_groups: resource_groups.clone(),
        });
        cases.push(case(format!("in {groups:?}"), load, code, due));
        let part = of!(LoadPartitionsRequest {
            collection_name: own("indexed"),
            partition_names: vec![own("west")],
            resource_groups,
        });
        cases.push(case(format!("in {groups:?}"), part, code, due));
    }
    cases
}

/// Lists of fields to load that lack one, or name one that is not there.
pub(super) fn fields() -> Vec<Case> {
    let mut cases = Vec::new();
    for (names, code, due) in [
        (
            vec!["nothing"],
            PLAIN,
            "failed to get field schema by name: fieldName(nothing) not found",
        ),
        (vec!["id", "vector", "Word"], PLAIN, "fieldName(Word) not found"),
        (vec![""], PLAIN, "fieldName() not found"),
        (vec!["vector"], INVALID, "does not contain primary key field id"),
        (vec!["word", "vector", "second"], INVALID, "does not contain primary key field id"),
        (vec!["id"], INVALID, "does not contain vector field"),
        (vec!["id", "word", "number"], INVALID, "does not contain vector field"),
    ] {
        let load_fields: Vec<String> = names.iter().map(|name| own(name)).collect();
        for name in ["indexed", "loaded"] {
            let collection_name = own(name);
            let load_fields = load_fields.clone();
            let whole = of!(LoadCollectionRequest { collection_name, load_fields });
            cases.push(case(format!("{names:?} of {name}"), whole, code, due));
        }
        let part = of!(LoadPartitionsRequest {
            collection_name: own("indexed"),
            partition_names: vec![own("west")],
            load_fields,
        });
        cases.push(case(format!("{names:?} of a partition"), part, code, due));
    }
    cases
}

/// Reads and questions about what is not loaded.
pub(super) fn reading() -> Vec<Case> {
    let mut cases = Vec::new();
    let collection = "collection not loaded[collection=";
    for name in ["plain", "half", "indexed"] {
        for request in [
            query(name, "id > 0", &["id"]).into(),
            query(name, "", &["count(*)"]).into(),
            query(name, "word == 'a'", &["word"]).into(),
            search(name, DIM, &[0.5; DIM], 1).into(),
            HybridSearchRequest {
                collection_name: own(name),
                requests: vec![search(name, DIM, &[0.5; DIM], 1)],
                rank_params: vec![pair("limit", 1)],
                ..HybridSearchRequest::default()
            }
            .into(),
            of!(LoadBalanceRequest { collection_name: own(name) }),
            of!(GetLoadingProgressRequest { collection_name: own(name) }),
        ] {
            let request: Request = request;
            cases.push(case(format!("{name} is not loaded"), request, 101, collection));
        }
        let replicas = of!(GetReplicasRequest { collection_name: own(name) });
        let due = "failed to get replicas by collection: replica not found[collection=";
        cases.push(case(format!("{name} is not loaded"), replicas, 400, due));
        // What has no rows in memory is said of the collection, whatever part is asked for.
        let part =
            QueryRequest { partition_names: vec![own("west")], ..query(name, "id > 0", &["id"]) };
        cases.push(case(format!("{name}.west is not loaded"), part, ANY, "not loaded"));
    }
    for partition in ["east", "_default"] {
        let partition_names = vec![own(partition)];
        let read = QueryRequest {
            partition_names: partition_names.clone(),
            ..query("partly", "id > 0", &["id"])
        };
        let near = SearchRequest {
            partition_names: partition_names.clone(),
            ..search("partly", DIM, &[0.5; DIM], 1)
        };
        let due = "partition not loaded[partition=";
        cases.push(case(format!("partly.{partition}"), read, 201, due));
        cases.push(case(format!("partly.{partition}"), near, 201, due));
        let progress =
            of!(GetLoadingProgressRequest { collection_name: own("partly"), partition_names });
        cases.push(case(format!("partly.{partition}"), progress, 201, due));
    }
    let unknown = of!(ShowCollectionsRequest { collection_names: vec![own("good"), own("gone")] });
    let due = "collection not found[database=default][collection=gone]";
    cases.push(case("a list with one that is gone", unknown, 100, due));
    let later = of!(ShowCollectionsRequest { time_stamp: u64::MAX >> 1 });
    cases.push(case("what will be", later, INVALID, "lies in the future"));
    for (name, field) in [("plain", "nothing"), ("plain", "number"), ("plain", "word")] {
        let request = of!(RunAnalyzerRequest {
            collection_name: own(name),
            field_name: own(field),
            placeholder: vec!["a text".into()],
        });
        cases.push(case(format!("the analyzer of {field}"), request, ANY, field));
    }
    cases
}
