//! Changes of collections, fields and indexes in place.

use std::sync::Arc;

use millstream_catalog::model::limits::INDEX_ALTERABLE;
use millstream_catalog::model::{Collection, Fault};

use super::Context;
use crate::convert::status::success;
use crate::convert::{params, properties, schema};
use crate::ddl;
use crate::gateway::Gateway;
use crate::names;
use crate::pb;
use crate::pb::common::Status;

/// Setting and removing in one request is refused, as in Milvus; so is doing neither.
fn check_one(set: usize, drop: usize, none: &str) -> Result<(), Fault> {
    match (set, drop) {
        (0, 0) => Err(Fault::plain(none)),
        (0, _) | (_, 0) => Ok(()),
        _ => Err(Fault::invalid("cannot provide both DeleteKeys and ExtraParams")),
    }
}

pub(super) async fn collection(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::AlterCollectionRequest,
) -> Result<Status, Fault> {
    let database = context.database(&request.db_name);
    let found = if request.collection_name.is_empty() && request.collection_id > 0 {
        gateway.collection_by_id(database, request.collection_id).await?
    } else {
        named(gateway, database, &request.collection_name).await?
    };
    let none = "The collection properties to alter and keys to delete must not be empty at the \
                same time";
    check_one(request.properties.len(), request.delete_keys.len(), none)?;
    let set = params::to_props(request.properties);
    let alter = properties::alter_collection(set, request.delete_keys)?;
    super::collection::check_isolation(&found.schema, &alter.set)?;
    let id = found.id;
    ddl::change(gateway, move |gateway| async move {
        gateway.catalog.collection_alter(id, alter).await
    })
    .await?;
    gateway.cache.invalidate(id);
    Ok(success())
}

pub(super) async fn field(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::AlterCollectionFieldRequest,
) -> Result<Status, Fault> {
    let database = context.database(&request.db_name);
    let found = named(gateway, database, &request.collection_name).await?;
    let name = &request.field_name;
    let Some(field) = found.schema.field(name).filter(|f| !f.is_dynamic) else {
        let text = format!("field {name} does not exist in collection {}", found.name);
        return Err(Fault::invalid(text));
    };
    if request.properties.is_empty() && request.delete_keys.is_empty() {
        let text = "only support alter collection properties, but collection field properties is \
                    empty";
        return Err(Fault::plain(text));
    }
    let set = params::to_props(request.properties);
    let alter = schema::alter_field(field, set, request.delete_keys)?;
    gateway.catalog.field_alter(found.id, field.id, alter).await?;
    gateway.cache.invalidate(found.id);
    Ok(success())
}

pub(super) async fn index(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::AlterIndexRequest,
) -> Result<Status, Fault> {
    let set = params::to_props(request.extra_params);
    for key in set.iter().map(|(key, _)| key).chain(&request.delete_keys) {
        if !INDEX_ALTERABLE.contains(&key.as_str()) {
            return Err(Fault::invalid(format!("{key} is not a configable index property")));
        }
    }
    for (key, value) in &set {
        properties::check_switch(key, value)?;
    }
    let database = context.database(&request.db_name);
    let found = named(gateway, database, &request.collection_name).await?;
    let name = &request.index_name;
    if name.is_empty() {
        return Err(Fault::invalid("index name is empty"));
    }
    names::check_index(name)?;
    let none = "The index properties to alter and keys to delete must not be empty at the same \
                time";
    check_one(set.len(), request.delete_keys.len(), none)?;
    gateway.catalog.index_alter(found.id, name, set, request.delete_keys).await?;
    gateway.cache.invalidate(found.id);
    Ok(success())
}

async fn named(gateway: &Gateway, database: &str, name: &str) -> Result<Arc<Collection>, Fault> {
    names::check_collection(name)?;
    gateway.collection(database, name).await
}
