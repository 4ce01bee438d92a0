//! What search, query and counts have in common: which rows, at what time, by which filter.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use millstream_catalog::model::{
    Code, Collection, Fault, LoadState, Partition, PartitionId, Timestamp,
};
use millstream_dataflow::api::{CountRequest, GroupBy, Guarantee, KeyList, Target};
use millstream_expr::{PkList, Plan, parse_template};

use super::{Context, keys, load};
use crate::convert::search::{Grouping, templates};
use crate::gateway::Gateway;
use crate::guarantee::{self, Asked};
use crate::pb::schema::TemplateValue;

/// The partitions that a read covers; an empty list means all. Only loaded ones are read.
pub(super) fn partitions(
    collection: &Collection,
    names: &[String],
) -> Result<Vec<PartitionId>, Fault> {
    if !names.is_empty() {
        keys::check_unnamed(collection)?;
    }
    let is_loaded = |p: &&Partition| p.load == LoadState::Loaded;
    let loaded = collection.partitions.iter().filter(is_loaded);
    if names.is_empty() {
        let loaded: Vec<PartitionId> = loaded.map(|p| p.id).collect();
        return match loaded.len() {
            0 => Err(load::not_loaded(collection, &[])),
            n if n == collection.partitions.len() => Ok(Vec::new()),
            _ => Ok(loaded),
        };
    }
    let mut wanted = Vec::new();
    for (name, partition) in named(collection, names) {
        match partition {
            None => return Err(Fault::plain(format!("partition name {name} not found"))),
            Some(p) if p.load == LoadState::Loaded => wanted.push(p.id),
            Some(_) if collection.load() == LoadState::NotLoaded => {
                return Err(load::not_loaded(collection, &[]));
            }
            Some(_) => return Err(load::not_loaded(collection, std::slice::from_ref(name))),
        }
    }
    Ok(wanted)
}

/// The partitions of names, each name once; none for a name that no partition has.
pub(super) fn named<'a>(
    collection: &'a Collection,
    names: &'a [String],
) -> impl Iterator<Item = (&'a String, Option<&'a Partition>)> {
    let mut seen = HashSet::new();
    let by_name: HashMap<&str, &Partition> = match names {
        // As many as a client likes, of which each would look at all partitions.
        [_, _, ..] => collection.partitions.iter().map(|p| (p.name.as_str(), p)).collect(),
        _ => HashMap::new(),
    };
    let find = move |name: &'a String| {
        let found = match names.len() {
            1 => collection.partition(name),
            _ => by_name.get(name.as_str()).copied(),
        };
        (name, found)
    };
    names.iter().filter(move |name| seen.insert(name.as_str())).map(find)
}

/// Rows and time of a read, and the time that its channels must close first. The time is allocated
/// here, when the read arrives.
pub(super) async fn begin(
    gateway: &Gateway,
    context: &Context,
    collection: &Collection,
    asked: Asked,
    partitions: Vec<PartitionId>,
) -> Result<(Target, Timestamp), Fault> {
    let guarantee = guarantee::resolve(asked, collection.consistency, gateway.now().await?)?;
    let guarantee = match guarantee {
        // Right after a start less may be closed than can be read: then that must be closed first.
        Guarantee::AtLeast(at) => Guarantee::AtLeast(at.max(gateway.dataflow.since(collection.id))),
        pinned => pinned,
    };
    let target = Target {
        collection: collection.id,
        channels: collection.channels.clone(),
        partitions,
        guarantee,
        known_at: collection.meta_version,
        timeout_ms: context.timeout_ms(),
    };
    Ok((target, guarantee::needed(guarantee, collection)))
}

/// The plan of a filter; none for one that keeps every row.
pub(super) fn filter(
    collection: &Collection,
    text: &str,
    values: HashMap<String, TemplateValue>,
) -> Result<Option<Plan>, Fault> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let values = templates(values)?;
    let plan = parse_template(text, &collection.schema, &values)
        .map_err(|fault| fault.prefixed("failed to create query plan: "))?;
    Ok((!plan.is_always_true()).then_some(plan))
}

/// The keys that a filter lists.
pub(super) fn key_list(keys: PkList) -> KeyList {
    match keys {
        PkList::Int(keys) => KeyList::Int(keys),
        PkList::Text(keys) => KeyList::Text(keys),
    }
}

/// How the hits of a search are grouped.
pub(super) fn group_by(
    collection: &Collection,
    grouping: Option<&Grouping>,
) -> Result<Option<GroupBy>, Fault> {
    let by = |grouping: &Grouping| {
        let field = grouping.resolve(&collection.schema)?;
        Ok(GroupBy { field: field.id, size: grouping.size, only: None })
    };
    grouping.map(by).transpose()
}

/// A namespace would restrict the answer; there are none.
pub(super) fn check_namespace(namespace: Option<&String>) -> Result<(), Fault> {
    match namespace {
        Some(name) if !name.is_empty() => Err(Fault::new(
            Code::ParameterInvalid,
            format!("namespaces are not supported yet, namespace = {name}: invalid parameter"),
        )),
        _ => Ok(()),
    }
}

/// The number of rows, loaded or not; in all partitions when none is named.
pub(super) async fn count_all(
    gateway: &Arc<Gateway>,
    context: &Context,
    collection: &Collection,
    partitions: &[PartitionId],
    asked: Asked,
) -> Result<u64, Fault> {
    let (target, needed) = begin(gateway, context, collection, asked, partitions.to_vec()).await?;
    let count = gateway.dataflow.count(CountRequest { target, filter: None });
    Ok(gateway.closer.read(&collection.channels, needed, context.timeout(), count).await?.rows)
}

#[cfg(test)]
mod tests {
    use millstream_catalog::model::{
        CollectionId, CollectionSchema, CollectionState, ConsistencyLevel, DatabaseId, Timestamp,
    };

    use super::*;

    fn collection(partitions: i64) -> Collection {
        let schema = CollectionSchema {
            name: "c".into(),
            description: String::new(),
            enable_dynamic_field: false,
            fields: Vec::new(),
            version: 0,
            functions: Vec::new(),
        };
        let partition = |id: i64| Partition {
            id: PartitionId(id),
            name: format!("p{id}"),
            created: Timestamp(1),
            load: LoadState::Loaded,
        };
        Collection {
            aliases: Vec::new(),
            id: CollectionId(7),
            database: DatabaseId(1),
            database_name: "default".into(),
            name: "c".into(),
            schema: Arc::new(schema),
            channels: Vec::new(),
            consistency: ConsistencyLevel::Strong,
            properties: Vec::new(),
            partitions: (0..partitions).map(partition).collect(),
            indexes: Vec::new(),
            state: CollectionState::Created,
            created: Timestamp(1),
            meta_version: Timestamp(1),
            schema_from: Timestamp(1),
        }
    }

    #[test]
    fn partitions_are_found_by_any_number_of_names_and_each_is_read_once() {
        let collection = collection(4_000);
        let read = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            partitions(&collection, &names).map_err(|fault| fault.message)
        };
        assert_eq!(read(&["p5"]), Ok(vec![PartitionId(5)]));
        assert_eq!(read(&["p7", "p5", "p7"]), Ok(vec![PartitionId(7), PartitionId(5)]));
        assert_eq!(read(&["p7", "x", "y"]), Err("partition name x not found".to_owned()));
        assert_eq!(read(&["x"]), Err("partition name x not found".to_owned()));
        let last = ["p3999"].repeat(1_000_000);
        assert_eq!(read(&last), Ok(vec![PartitionId(3_999)]));
    }
}
