//! Rows to model types and back.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Change;
use crate::model::{
    ChannelId, Collection, CollectionId, CollectionSchema, CollectionState, ConsistencyLevel,
    Database, DatabaseId, Fault, FieldId, IndexDef, IndexId, LoadState, Partition, PartitionId,
    Props, Timestamp,
};
use crate::store::{At, Counter, Row, RowState, Table, Txn};

/// What a database's row holds as JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct DatabaseBody {
    pub properties: Props,
    pub created: Timestamp,
}

/// What a collection's row holds as JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct CollectionBody {
    pub channels: Vec<ChannelId>,
    pub consistency: ConsistencyLevel,
    pub properties: Props,
    pub created: Timestamp,
    /// Loaded as a whole: partitions made later are loaded too.
    pub load_all: bool,
    /// In order of creation; each has a row of its own, by which it is found.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// What an alias's row holds as JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct AliasBody {
    pub collection: CollectionId,
    pub created: Timestamp,
}

/// What a partition's row holds as JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct PartitionBody {
    pub created: Timestamp,
    pub load: LoadState,
}

/// What an index's row holds as JSON.
#[derive(Serialize, Deserialize)]
pub(crate) struct IndexBody {
    pub field: FieldId,
    pub params: Props,
    pub created: Timestamp,
}

/// JSON of a body.
pub(crate) fn to_json(body: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(body).map_err(|e| Fault::internal(format!("cannot encode: {e}")))
}

/// A body of JSON. What cannot be read is named, never guessed.
pub(crate) fn from_json<T: DeserializeOwned>(what: &str, id: i64, json: &str) -> Result<T, Fault> {
    serde_json::from_str(json)
        .map_err(|e| Fault::internal(format!("the catalog's {what} {id} cannot be read: {e}")))
}

pub(crate) fn database(row: Row) -> Result<Database, Fault> {
    let body: DatabaseBody = from_json("database", row.id, &row.body)?;
    let DatabaseBody { properties, created } = body;
    Ok(Database { id: DatabaseId(row.id), name: row.name, properties, created })
}

pub(crate) fn partition(row: Row) -> Result<Partition, Fault> {
    let PartitionBody { created, load } = from_json("partition", row.id, &row.body)?;
    Ok(Partition { id: PartitionId(row.id), name: row.name, created, load })
}

pub(crate) fn index(row: Row) -> Result<IndexDef, Fault> {
    let IndexBody { field, params, created } = from_json("index", row.id, &row.body)?;
    Ok(IndexDef { id: IndexId(row.id), name: row.name, field, params, created })
}

/// The collections of some rows with everything that belongs to them, in the order of the rows.
/// `names` has the database of every row.
pub(crate) async fn collections(
    txn: &mut dyn Txn,
    rows: Vec<Row>,
    names: &HashMap<i64, String>,
    at: At,
) -> Result<Vec<Arc<Collection>>, Fault> {
    let ids: Vec<i64> = rows.iter().map(|row| row.id).collect();
    let mut schemas = by_owner(txn.list(Table::Schemas, &ids, at).await?);
    let mut partitions = by_owner(txn.list(Table::Partitions, &ids, at).await?);
    let mut indexes = by_owner(txn.list(Table::Indexes, &ids, at).await?);
    let mut all = Vec::with_capacity(rows.len());
    for row in rows {
        let broken = |what| Fault::internal(format!("collection {} has no {what}", row.id));
        let mut schema = schemas.remove(&row.id).unwrap_or_default();
        let schema = schema.pop().ok_or_else(|| broken("schema in the catalog"))?;
        let schema_from = schema.from;
        let schema: CollectionSchema = from_json("schema", schema.id, &schema.body)?;
        let body: CollectionBody = from_json("collection", row.id, &row.body)?;
        let database_name = names.get(&row.owner).ok_or_else(|| broken("database"))?.clone();
        let mine = partitions.remove(&row.id).unwrap_or_default();
        let partitions: Vec<_> = mine.into_iter().map(partition).collect::<Result<_, _>>()?;
        let mine = indexes.remove(&row.id).unwrap_or_default();
        let indexes: Vec<_> = mine.into_iter().map(index).collect::<Result<_, _>>()?;
        all.push(Arc::new(Collection {
            id: CollectionId(row.id),
            database: DatabaseId(row.owner),
            database_name,
            name: row.name,
            aliases: body.aliases,
            schema: Arc::new(schema),
            channels: body.channels,
            consistency: body.consistency,
            properties: body.properties,
            partitions,
            indexes,
            state: match row.state {
                RowState::Creating => CollectionState::Creating,
                RowState::Current => CollectionState::Created,
                RowState::Dropping => CollectionState::Dropping,
            },
            created: body.created,
            meta_version: row.from,
            schema_from,
        }));
    }
    Ok(all)
}

/// The current schema of a collection.
pub(crate) async fn schema(txn: &mut dyn Txn, collection: i64) -> Result<CollectionSchema, Fault> {
    let row = txn.list(Table::Schemas, &[collection], At::Now).await?.pop();
    let row =
        row.ok_or_else(|| Fault::internal(format!("collection {collection} has no schema")))?;
    from_json("schema", row.id, &row.body)
}

/// One collection of one row.
pub(crate) async fn collection(
    txn: &mut dyn Txn,
    row: Row,
    at: At,
) -> Result<Arc<Collection>, Fault> {
    let missing = || Fault::internal(format!("database {} is missing", row.owner));
    let database = txn.get(Table::Databases, row.owner, at).await?.ok_or_else(missing)?;
    let names = HashMap::from([(database.id, database.name)]);
    let mut one = collections(txn, vec![row], &names, at).await?;
    one.pop().ok_or_else(|| Fault::internal("a collection got lost"))
}

fn by_owner(rows: Vec<Row>) -> HashMap<i64, Vec<Row>> {
    let mut map: HashMap<i64, Vec<Row>> = HashMap::new();
    for row in rows {
        map.entry(row.owner).or_default().push(row);
    }
    map
}

impl Change {
    /// A new id.
    pub(super) async fn id(&mut self) -> Result<i64, Fault> {
        self.ids(1).await
    }

    /// The first of `count` new ids, which follow each other.
    pub(super) async fn ids(&mut self, count: usize) -> Result<i64, Fault> {
        let count = i64::try_from(count).map_err(|_| Fault::internal("too many ids"))?;
        self.txn.count_up(Counter::Object, count).await
    }

    /// Adds the first version of a thing.
    pub(super) async fn add(
        &mut self,
        table: Table,
        (id, owner): (i64, i64),
        name: &str,
        state: RowState,
        body: &(impl Serialize + Sync),
    ) -> Result<Row, Fault> {
        let row = self.row((id, owner), name.to_owned(), state, to_json(body)?);
        self.txn.add(table, std::slice::from_ref(&row)).await?;
        Ok(row)
    }

    /// The first version of a thing.
    pub(super) fn row(
        &self,
        (id, owner): (i64, i64),
        name: String,
        state: RowState,
        body: String,
    ) -> Row {
        Row { id, owner, name, state, body, from: self.at, to: Timestamp::MAX }
    }

    /// Ends a version and adds the next one. Every change of anything that belongs to a
    /// collection renews the collection's row: its `from` is the collection's `meta_version`.
    pub(super) async fn renew(&mut self, table: Table, row: Row) -> Result<Row, Fault> {
        let row = Row { from: self.at, ..row };
        self.txn.end(table, &[row.id], self.at).await?;
        self.txn.add(table, std::slice::from_ref(&row)).await?;
        Ok(row)
    }

    /// Notes that a collection changed.
    pub(super) fn touch(&mut self, collection: i64) {
        self.touched = Some(Some(CollectionId(collection)));
    }
}
