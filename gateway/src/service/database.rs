//! Databases.

use std::sync::Arc;

use millstream_catalog::model::{Database, Fault};

use super::Context;
use crate::convert::status::success;
use crate::convert::{params, properties};
use crate::gateway::Gateway;
use crate::names;
use crate::pb;
use crate::pb::common::Status;

pub(super) async fn create(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::CreateDatabaseRequest,
) -> Result<Status, Fault> {
    names::check_database(&request.db_name)?;
    let given = params::to_props(request.properties);
    properties::check_database(&given)?;
    gateway.catalog.database_create(&request.db_name, given).await?;
    Ok(success())
}

pub(super) async fn drop_database(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::DropDatabaseRequest,
) -> Result<Status, Fault> {
    names::check_database(&request.db_name)?;
    gateway.catalog.database_drop(&request.db_name).await?;
    Ok(success())
}

pub(super) async fn alter(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::AlterDatabaseRequest,
) -> Result<Status, Fault> {
    let name = context.database(&request.db_name);
    match (request.properties.is_empty(), request.delete_keys.is_empty()) {
        (true, true) => {
            let text = "alter database requires either properties or deletekeys to modify or \
                        delete keys, both cannot be empty";
            return Err(Fault::plain(text));
        }
        (false, false) => {
            let text = "alter database operation cannot modify properties and delete keys at the \
                        same time";
            return Err(Fault::plain(text));
        }
        _ => {}
    }
    let set = params::to_props(request.properties);
    properties::check_database(&set)?;
    gateway.catalog.database_alter(name, set, request.delete_keys).await?;
    Ok(success())
}

pub(super) async fn list(
    gateway: &Arc<Gateway>,
    context: &Context,
    _: pb::ListDatabasesRequest,
) -> Result<pb::ListDatabasesResponse, Fault> {
    let mut all: Vec<Database> = gateway.catalog.database_list().await?;
    if let Some(viewer) = gateway.door.viewer(context).await? {
        all.retain(|database| viewer.sees_database(&database.name));
    }
    Ok(pb::ListDatabasesResponse {
        status: Some(success()),
        created_timestamp: all.iter().map(|d| d.created.0).collect(),
        db_ids: all.iter().map(|d| d.id.0).collect(),
        db_names: all.into_iter().map(|d| d.name).collect(),
    })
}

pub(super) async fn describe(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::DescribeDatabaseRequest,
) -> Result<pb::DescribeDatabaseResponse, Fault> {
    let found = gateway.catalog.database_get(context.database(&request.db_name)).await?;
    Ok(pb::DescribeDatabaseResponse {
        status: Some(success()),
        db_id: found.id.0,
        created_timestamp: found.created.0,
        properties: params::from_props(&found.properties),
        db_name: found.name,
    })
}
