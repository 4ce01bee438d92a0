//! Fields that are added to a collection.

use std::sync::Arc;

use bytes::Bytes;
use millstream_catalog::model::{Fault, FieldSchema};
use prost::Message;

use super::Context;
use crate::convert::schema;
use crate::convert::status::success;
use crate::ddl;
use crate::gateway::Gateway;
use crate::pb;
use crate::pb::alter_collection_schema_request::action::Op;
use crate::pb::common::Status;
use crate::pb::schema as wire;

pub(super) async fn add(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::AddCollectionFieldRequest,
) -> Result<Status, Fault> {
    let field = decode(&request.schema)?;
    let named = (&*request.db_name, &*request.collection_name, request.collection_id);
    add_field(gateway, context, named, &field).await?;
    Ok(success())
}

fn decode(bytes: &Bytes) -> Result<wire::FieldSchema, Fault> {
    wire::FieldSchema::decode(bytes.clone())
        .map_err(|e| Fault::invalid(format!("the field schema cannot be decoded: {e}")))
}

pub(super) async fn alter_schema(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::AlterCollectionSchemaRequest,
) -> Result<pb::AlterCollectionSchemaResponse, Fault> {
    let action = request.action.as_ref().and_then(|action| action.op.as_ref());
    let add = match action {
        None => return Err(Fault::invalid("action is nil in alter schema task")),
        Some(Op::DropRequest(_)) => {
            return Err(Fault::invalid("fields and functions cannot be dropped yet"));
        }
        Some(Op::AddRequest(add)) => add,
    };
    if let Some(function) = add.func_schema.first() {
        let name = &function.name;
        return Err(Fault::invalid(format!(
            "functions cannot be added yet, function name = {name}"
        )));
    }
    let [info] = &add.field_infos[..] else {
        let count = add.field_infos.len();
        let text = format!("exactly one field is added at a time, but {count} are given");
        return Err(Fault::invalid(text));
    };
    let Some(field) = &info.field_schema else {
        return Err(Fault::invalid("empty new field schema in alter schema task"));
    };
    if !info.index_name.is_empty() || !info.extra_params.is_empty() {
        let text = "an index is created on its own, after the field is added";
        return Err(Fault::invalid(format!("{text}, field name = {}", field.name)));
    }
    let named = (&*request.db_name, &*request.collection_name, request.collection_id);
    add_field(gateway, context, named, field).await?;
    Ok(pb::AlterCollectionSchemaResponse { alter_status: Some(success()) })
}

/// Adds a field to a collection that is named by its database and name, or by its id.
async fn add_field(
    gateway: &Arc<Gateway>,
    context: &Context,
    (database, name, id): (&str, &str, i64),
    field: &wire::FieldSchema,
) -> Result<(), Fault> {
    let database = context.database(database);
    let found = if name.is_empty() && id > 0 {
        gateway.collection_by_id(database, id).await?
    } else {
        gateway.collection(database, name).await?
    };
    let field: FieldSchema = schema::added_field(&found, field)?;
    ddl::change(gateway, move |gateway| async move {
        gateway.catalog.field_add(found.id, field).await.map(Some)
    })
    .await
}
