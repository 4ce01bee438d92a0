//! Aliases: other names of collections.

use std::sync::Arc;

use millstream_catalog::model::{Code, Fault};

use super::Context;
use crate::convert::status::success;
use crate::ddl;
use crate::gateway::Gateway;
use crate::names;
use crate::pb;
use crate::pb::common::Status;

pub(super) async fn create(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::CreateAliasRequest,
) -> Result<Status, Fault> {
    names::check_alias(&request.alias)?;
    names::check_collection(&request.collection_name)?;
    let database = context.database(&request.db_name).to_owned();
    ddl::change(gateway, |gateway| async move {
        let (alias, name) = (&*request.alias, &*request.collection_name);
        gateway.catalog.alias_create(&database, alias, name).await.map(|_| None)
    })
    .await?;
    Ok(success())
}

pub(super) async fn alter(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::AlterAliasRequest,
) -> Result<Status, Fault> {
    names::check_alias(&request.alias)?;
    names::check_collection(&request.collection_name)?;
    let database = context.database(&request.db_name).to_owned();
    ddl::change(gateway, |gateway| async move {
        let (alias, name) = (&*request.alias, &*request.collection_name);
        let _leaving = gateway.cache.leaving(&database, alias);
        gateway.catalog.alias_alter(&database, alias, name).await.map(|_| None)
    })
    .await?;
    Ok(success())
}

pub(super) async fn drop_alias(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::DropAliasRequest,
) -> Result<Status, Fault> {
    names::check_alias(&request.alias)?;
    let database = context.database(&request.db_name).to_owned();
    ddl::change(gateway, |gateway| async move {
        let _leaving = gateway.cache.leaving(&database, &request.alias);
        gateway.catalog.alias_drop(&database, &request.alias).await.map(|_| None)
    })
    .await?;
    Ok(success())
}

pub(super) async fn describe(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::DescribeAliasRequest,
) -> Result<pb::DescribeAliasResponse, Fault> {
    names::check_alias(&request.alias)?;
    let database = context.database(&request.db_name);
    let alias = request.alias;
    let collection = match gateway.cache.get(database, &alias).await {
        Ok(found) if found.name != alias => found.name.clone(),
        Err(fault) if fault.code != Code::CollectionNotFound => return Err(fault),
        _ => return Err(Fault::alias_not_found(database, &alias)),
    };
    let db_name = database.to_owned();
    Ok(pb::DescribeAliasResponse { status: Some(success()), db_name, alias, collection })
}

/// The aliases of a collection, which is named by its own name, or of all of a database.
pub(super) async fn list(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::ListAliasesRequest,
) -> Result<pb::ListAliasesResponse, Fault> {
    let database = context.database(&request.db_name);
    let name = request.collection_name;
    let aliases = if name.is_empty() {
        gateway.catalog.alias_list(database).await?
    } else {
        names::check_collection(&name)?;
        let found = gateway.collection(database, &name).await?;
        if found.name != name {
            return Err(Fault::collection_not_found(database, &name));
        }
        found.aliases.clone()
    };
    Ok(pb::ListAliasesResponse {
        status: Some(success()),
        db_name: database.to_owned(),
        collection_name: name,
        aliases,
    })
}
