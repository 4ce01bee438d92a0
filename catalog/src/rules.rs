//! The rules of change: pure decisions over what is there and what is asked for.

use crate::catalog::{NewCollection, NewIndex};
use crate::model::{
    ChannelId, Code, Collection, CollectionId, CollectionSchema, Fault, FieldId, FieldSchema,
    FunctionSchema, IndexDef, Props, limits,
};

/// Most objects of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Databases in a cluster, the default one among them.
    pub databases: usize,
    /// Collections in a cluster.
    pub collections: usize,
    /// Partitions in a collection.
    pub partitions: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            databases: limits::DATABASES_MAX,
            collections: limits::COLLECTIONS_MAX,
            partitions: limits::PARTITIONS_MAX,
        }
    }
}

/// `database not found[database=..]`, code 800.
pub(crate) fn database_not_found(name: &str) -> Fault {
    Fault::new(Code::DatabaseNotFound, format!("database not found[database={name}]"))
}

/// `collection not found[collection=..]`, code 100.
pub(crate) fn collection_id_not_found(id: CollectionId) -> Fault {
    Fault::new(Code::CollectionNotFound, format!("collection not found[collection={id}]"))
}

/// `field not found[field=..]`, code 1700.
pub(crate) fn field_id_not_found(id: FieldId) -> Fault {
    Fault::new(Code::FieldNotFound, format!("field not found[field={id}]"))
}

/// No room for another collection, code 102.
pub(crate) fn collections_full(database: &str, max: impl std::fmt::Display) -> Fault {
    let text = format!(
        "failed to create collection: exceeded the limit number of \
         collections[dbName={database}][limit={max}]"
    );
    Fault::new(Code::CollectionNumLimit, text)
}

/// The name asked for a collection is an alias.
pub(crate) fn collection_is_alias(name: &str) -> Fault {
    Fault::plain(format!(
        "collection name [{name}] conflicts with an existing alias, please choose a unique name"
    ))
}

/// The name asked for an alias is a collection's, code 1601.
pub(crate) fn alias_is_collection(database: &str, alias: &str) -> Fault {
    let text = format!("alias and collection name conflict[database={database}][alias={alias}]");
    Fault::new(Code::AliasNameConflict, text)
}

/// The alias is there, of another collection, code 1602.
pub(crate) fn alias_exists(database: &str, alias: &str, other: &str) -> Fault {
    let text = format!(
        "{alias} is alias to another collection: {other}: \
         alias already exist[database={database}][alias={alias}]"
    );
    Fault::new(Code::AliasExists, text)
}

/// A collection goes only when nothing points at it any more.
pub(crate) fn collection_has_aliases(name: &str, aliases: &[String]) -> Fault {
    let aliases = aliases.join(" ");
    Fault::plain(format!(
        "unable to drop the collection [{name}] because it has associated aliases [{aliases}], \
         please remove all aliases before dropping the collection"
    ))
}

/// Whether a property says how data are held in memory: fixed while they are loaded.
pub(crate) fn needs_release(key: &str) -> bool {
    matches!(key, "mmap.enabled" | "lazyload.enabled")
}

/// Refuses changes of properties that a loaded collection cannot follow.
pub(crate) fn check_alterable(name: &str, set: &Props, drop: &[String]) -> Result<(), Fault> {
    let set = set.iter().map(|(key, _)| ("alter", key));
    let drop = drop.iter().map(|key| ("delete", key));
    match set.chain(drop).find(|(_, key)| needs_release(key)) {
        None => Ok(()),
        Some((verb, key)) => {
            let what = key.trim_end_matches(".enabled");
            let text = format!("can not {verb} {what} properties if collection loaded");
            Err(Fault::collection_loaded(text, name))
        }
    }
}

/// A name that no gateway should have let through.
pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Fault> {
    if name.is_empty() {
        return Err(Fault::invalid(format!("{what} name should not be empty")));
    }
    if name.len() > limits::NAME_LENGTH_MAX {
        let max = limits::NAME_LENGTH_MAX;
        let text = format!("the length of a {what} name must be less than {max} characters");
        return Err(Fault::invalid(text));
    }
    Ok(())
}

/// A channel that there is.
pub(crate) fn check_channel(channel: ChannelId, channels: u16) -> Result<(), Fault> {
    if channel.0 < channels {
        return Ok(());
    }
    Err(Fault::internal(format!("channel {channel} is not one of the {channels} channels")))
}

/// Every shard needs a channel of its own.
pub(crate) fn check_shards(shards: u16, channels: u16) -> Result<(), Fault> {
    let max = u32::from(channels).min(limits::SHARDS_MAX);
    match u32::from(shards) {
        0 => Err(Fault::invalid("a collection needs at least one shard")),
        n if n > max => {
            Err(Fault::plain(format!("maximum shards's number should be limited to {max}")))
        }
        _ => Ok(()),
    }
}

/// The names of the partitions that a collection begins with.
pub(crate) fn first_partitions(new: &NewCollection, max: usize) -> Result<Vec<String>, Fault> {
    let default = limits::DEFAULT_PARTITION;
    if new.schema.partition_key().is_none() {
        return Ok(vec![default.to_owned()]);
    }
    match usize::from(new.partitions) {
        0 => Err(Fault::plain(
            "the specified partitions should be greater than 0 if partition key is used",
        )),
        n if n > max => Err(Fault::invalid(format!(
            "partition number ({n}) exceeds max configuration ({max}), collection: {}",
            new.name
        ))),
        n => Ok((0..n).map(|at| format!("{default}_{at}")).collect()),
    }
}

/// Refuses to do something to one partition when the values of rows choose them.
pub(crate) fn check_free_partitions(schema: &CollectionSchema, what: &str) -> Result<(), Fault> {
    match schema.partition_key() {
        None => Ok(()),
        Some(_) => Err(Fault::plain(format!("disable {what} if partition key mode is used"))),
    }
}

/// The channels of `shards` shards when `placed` were placed before: the next ones, in a ring.
pub(crate) fn place(placed: i64, shards: u16, channels: u16) -> Vec<ChannelId> {
    let ring = i64::from(channels);
    (0..i64::from(shards))
        .map(|shard| {
            let channel = (placed.rem_euclid(ring) + shard) % ring;
            ChannelId(u16::try_from(channel).expect("smaller than the number of channels"))
        })
        .collect()
}

/// Whether a request asks for a collection that is there: the same schema apart from ids and
/// version, as many shards, as many partitions under a partition key, the same consistency level.
/// Properties do not count.
pub(crate) fn same_collection(there: &Collection, new: &NewCollection) -> bool {
    let by_key = there.schema.partition_key().is_some();
    there.channels.len() == usize::from(new.shards)
        && (!by_key || there.partitions.len() == usize::from(new.partitions))
        && there.consistency == new.consistency
        && same_schema(&there.schema, &new.schema)
}

fn same_schema(a: &CollectionSchema, b: &CollectionSchema) -> bool {
    a.description == b.description
        && a.enable_dynamic_field == b.enable_dynamic_field
        && a.fields.len() == b.fields.len()
        && a.fields.iter().zip(&b.fields).all(|(a, b)| same_field(a, b))
        && a.functions.len() == b.functions.len()
        && a.functions.iter().zip(&b.functions).all(|(x, y)| same_function((a, x), (b, y)))
}

type OfSchema<'a, T> = (&'a CollectionSchema, &'a T);

/// Functions name fields by id, and ids are the server's: they are compared by place.
fn same_function(a: OfSchema<'_, FunctionSchema>, b: OfSchema<'_, FunctionSchema>) -> bool {
    fn places((schema, function): OfSchema<'_, FunctionSchema>) -> Vec<Option<usize>> {
        let place = |id: &FieldId| schema.fields.iter().position(|f| f.id == *id);
        function.inputs.iter().chain(&function.outputs).map(place).collect()
    }
    let plain = |f: &FunctionSchema| FunctionSchema {
        id: 0,
        inputs: Vec::new(),
        outputs: Vec::new(),
        params: sorted(&f.params),
        ..f.clone()
    };
    a.1.inputs.len() == b.1.inputs.len() && places(a) == places(b) && plain(a.1) == plain(b.1)
}

fn same_field(a: &FieldSchema, b: &FieldSchema) -> bool {
    // Ids are the server's; everything else is the client's and is compared as it is.
    let plain = |f: &FieldSchema| FieldSchema {
        id: Default::default(),
        type_params: sorted(&f.type_params),
        ..f.clone()
    };
    plain(a) == plain(b)
}

/// The collection is there with another definition.
pub(crate) fn different_collection(name: &str) -> Fault {
    Fault::plain(format!(
        "create duplicate collection with different parameters, collection: {name}"
    ))
}

/// What becomes of a request for an index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum IndexDecision<'a> {
    /// It is there.
    Same(&'a IndexDef),
    /// It is new.
    New,
}

/// The path inside a JSON field that an index is for; empty for the field itself.
fn json_path(params: &Props) -> &str {
    params.iter().find(|(key, _)| key == "json_path").map_or("", |(_, path)| path)
}

/// Decides on a request for an index: one per field, or per path of a JSON field, one per name.
pub(crate) fn index_decide<'a>(
    there: &'a Collection,
    new: &NewIndex,
) -> Result<IndexDecision<'a>, Fault> {
    if there.schema.field_by_id(new.field).is_none() {
        return Err(field_id_not_found(new.field));
    }
    let same_place =
        |i: &IndexDef| i.field == new.field && json_path(&i.params) == json_path(&new.params);
    let mut clashes = there.indexes.iter().filter(|i| i.name == new.name || same_place(i));
    match clashes.next() {
        None => Ok(IndexDecision::New),
        Some(i)
            if i.name == new.name
                && i.field == new.field
                && built_of(&i.params) == built_of(&new.params) =>
        {
            Ok(IndexDecision::Same(i))
        }
        Some(_) => Err(Fault::plain("at most one distinct index is allowed per field")),
    }
}

/// The parameters that an index is built of, in order of their keys: those that can be altered
/// later do not make it another index.
fn built_of(params: &Props) -> Props {
    let mut params = sorted(params);
    params.retain(|(key, _)| !limits::INDEX_ALTERABLE.contains(&key.as_str()));
    params
}

/// Properties in order of their keys.
fn sorted(props: &Props) -> Props {
    let mut props = props.clone();
    props.sort();
    props
}

/// Properties after a change: `drop` removes keys, `set` replaces by key or appends.
pub(crate) fn props_changed(props: Props, set: Props, drop: &[String]) -> Result<Props, Fault> {
    let props = replaced(props, set, drop);
    check_props(&props)?;
    Ok(props)
}

/// Refuses more properties than one object can have.
pub(crate) fn check_props(props: &Props) -> Result<(), Fault> {
    let max = limits::PROPERTIES_BYTES_MAX;
    let bytes: usize = props.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes <= max {
        return Ok(());
    }
    let text = format!("the properties take {bytes} bytes, more than {max}: parameter too large");
    Err(Fault::new(Code::ParameterTooLarge, text))
}

fn replaced(mut props: Props, set: Props, drop: &[String]) -> Props {
    props.retain(|(key, _)| !drop.contains(key));
    for (key, value) in set {
        match props.iter_mut().find(|(k, _)| *k == key) {
            Some(there) => there.1 = value,
            None => props.push((key, value)),
        }
    }
    props
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uneven placement would let one channel carry all collections.
    #[test]
    fn shards_are_placed_around_the_ring() {
        let ids = |v: Vec<ChannelId>| v.into_iter().map(|c| c.0).collect::<Vec<_>>();
        assert_eq!(ids(place(0, 2, 4)), [0, 1]);
        assert_eq!(ids(place(3, 3, 4)), [3, 0, 1]);
        assert_eq!(ids(place(i64::MAX, 4, 4)), [3, 0, 1, 2]);
    }

    #[test]
    fn shards_are_limited_by_the_channels_and_by_milvus() {
        assert!(check_shards(4, 4).is_ok());
        assert!(check_shards(5, 4).unwrap_err().message.contains("limited to 4"));
        assert!(check_shards(17, 64).unwrap_err().message.contains("limited to 16"));
        assert!(check_shards(0, 4).is_err());
    }

    #[test]
    fn properties_are_replaced_by_key_and_keep_their_order() {
        let p = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let now = replaced(
            vec![p("a", "1"), p("b", "2"), p("c", "3")],
            vec![p("c", "4"), p("d", "5")],
            &["a".to_owned()],
        );
        assert_eq!(now, [p("b", "2"), p("c", "4"), p("d", "5")]);
    }
}
