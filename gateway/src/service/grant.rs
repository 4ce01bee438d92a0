//! Grants, groups of privileges, and backups of all of them.

use std::sync::Arc;

use millstream_catalog::model::Fault;
use millstream_catalog::model::limits::DEFAULT_DATABASE;
use millstream_catalog::rbac::password::PasswordHash;
use millstream_catalog::rbac::privilege::{self, ANY, ObjectType};
use millstream_catalog::rbac::{AccessChange, Backup, Grant, SavedUser};

use super::Context;
use crate::auth::names;
use crate::convert::status::success;
use crate::gateway::Gateway;
use crate::pb::common::Status;
use crate::pb::{self, OperatePrivilegeGroupType, OperatePrivilegeType};

fn lacks(what: &str) -> Fault {
    Fault::plain(format!("the {what} is nil"))
}

fn object_type(name: &str) -> Result<ObjectType, Fault> {
    ObjectType::from_name(name).ok_or_else(|| {
        let types = ObjectType::ALL.map(ObjectType::name).join(" ");
        Fault::plain(format!(
            "not found the object type[name: {name}], supported the object types: [{types}]"
        ))
    })
}

/// Whether a request grants or revokes.
fn grants(kind: i32) -> Result<bool, Fault> {
    match OperatePrivilegeType::try_from(kind) {
        Ok(OperatePrivilegeType::Grant) => Ok(true),
        Ok(OperatePrivilegeType::Revoke) => Ok(false),
        Err(_) => Err(Fault::plain(format!(
            "invalid operate privilege type, current type: {kind}, valid value: [Grant, Revoke]"
        ))),
    }
}

fn database_or_default(name: String) -> String {
    if name.is_empty() { DEFAULT_DATABASE.to_owned() } else { name }
}

/// The role and the grant of a message.
fn read(entity: pb::GrantEntity, grantor: &str) -> Result<(String, Grant), Fault> {
    let given = entity.grantor.ok_or_else(|| lacks("grantor entity in the grant entity"))?;
    let privilege =
        given.privilege.ok_or_else(|| lacks("privilege entity in the grantor entity"))?;
    names::check_privilege(&privilege.name)?;
    let object = entity.object.ok_or_else(|| lacks("resource entity in the grant entity"))?;
    names::check_object_type(&object.name)?;
    names::check_object(&object.name, &entity.object_name)?;
    let role = entity.role.ok_or_else(|| lacks("role entity in the grant entity"))?.name;
    names::check_role(&role)?;
    let database = database_or_default(entity.db_name);
    names::check_database(&database)?;
    let grant = Grant {
        database,
        object_type: object_type(&object.name)?,
        object: entity.object_name,
        privilege: privilege.name,
        grantor: grantor.to_owned(),
    };
    Ok((role, grant))
}

fn written(role: &str, grant: &Grant) -> pb::GrantEntity {
    pb::GrantEntity {
        role: Some(pb::RoleEntity { name: role.to_owned(), ..Default::default() }),
        object: Some(pb::ObjectEntity { name: grant.object_type.name().to_owned() }),
        object_name: grant.object.clone(),
        grantor: Some(pb::GrantorEntity {
            user: Some(pb::UserEntity { name: grant.grantor.clone() }),
            privilege: Some(pb::PrivilegeEntity { name: grant.privilege.clone() }),
        }),
        db_name: grant.database.clone(),
    }
}

pub(super) async fn operate(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::OperatePrivilegeRequest,
) -> Result<Status, Fault> {
    let add = grants(request.r#type)?;
    let entity = request.entity.ok_or_else(|| lacks("entity in the request"))?;
    let (role, grant) = read(entity, gateway.door.name_of(context))?;
    let newer = request.version == "v2";
    let change = AccessChange::Grant { role, grant, newer, add };
    gateway.catalog.access_change(change).await?;
    Ok(success())
}

pub(super) async fn operate_v2(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::OperatePrivilegeV2Request,
) -> Result<Status, Fault> {
    let add = grants(request.r#type)?;
    let role = request.role.ok_or_else(|| lacks("role in the request"))?.name;
    names::check_role(&role)?;
    let given = request.grantor.ok_or_else(|| lacks("grantor entity in the request"))?;
    let privilege =
        given.privilege.ok_or_else(|| lacks("privilege entity in the grantor entity"))?;
    names::check_privilege(&privilege.name)?;
    let database = database_or_default(request.db_name);
    names::check_database(&database)?;
    let object = match request.collection_name {
        name if name.is_empty() => ANY.to_owned(),
        name => name,
    };
    names::check_object("Collection", &object)?;
    let grant = Grant {
        database,
        // The privilege says what it is about.
        object_type: ObjectType::Global,
        object,
        privilege: privilege.name,
        grantor: gateway.door.name_of(context).to_owned(),
    };
    let change = AccessChange::Grant { role, grant, newer: true, add };
    gateway.catalog.access_change(change).await?;
    Ok(success())
}

/// The grants of a role in a database, or those on one object of it.
pub(super) async fn select(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::SelectGrantRequest,
) -> Result<pb::SelectGrantResponse, Fault> {
    let entity = request.entity.ok_or_else(|| lacks("grant entity in the request"))?;
    let role = entity.role.ok_or_else(|| lacks("role entity"))?.name;
    if role.is_empty() {
        return Err(Fault::plain("the name in the role entity is empty"));
    }
    let on = entity.object.map(|object| object_type(&object.name)).transpose()?;
    let database = database_or_default(entity.db_name);
    let access = gateway.door.access().await?;
    let missing = "not found the role, maybe the role isn't existed or internal system error";
    let found = access.role(&role).ok_or_else(|| Fault::plain(missing))?;
    let wanted = |grant: &&Grant| {
        let here = database == ANY || grant.database == ANY || grant.database == database;
        here && on.is_none_or(|t| {
            t == grant.object_type
                && (entity.object_name.is_empty() || entity.object_name == grant.object)
        })
    };
    let entities = found.grants.iter().filter(wanted).map(|grant| written(&role, grant)).collect();
    Ok(pb::SelectGrantResponse { status: Some(success()), entities })
}

pub(super) async fn create_group(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::CreatePrivilegeGroupRequest,
) -> Result<Status, Fault> {
    let name = request.group_name;
    names::check_group(&name)?;
    gateway.catalog.access_change(AccessChange::GroupCreate { name }).await?;
    Ok(success())
}

pub(super) async fn drop_group(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::DropPrivilegeGroupRequest,
) -> Result<Status, Fault> {
    let name = request.group_name;
    names::check_group(&name)?;
    gateway.catalog.access_change(AccessChange::GroupDrop { name }).await?;
    Ok(success())
}

pub(super) async fn alter_group(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::OperatePrivilegeGroupRequest,
) -> Result<Status, Fault> {
    let pb::OperatePrivilegeGroupRequest { group_name: name, r#type: kind, .. } = request;
    names::check_group(&name)?;
    let privileges: Vec<String> = request.privileges.into_iter().map(|p| p.name).collect();
    for privilege in &privileges {
        names::check_privilege(privilege)?;
    }
    let add = match OperatePrivilegeGroupType::try_from(kind) {
        Ok(OperatePrivilegeGroupType::AddPrivilegesToGroup) => true,
        Ok(OperatePrivilegeGroupType::RemovePrivilegesFromGroup) => false,
        Err(_) => return Err(Fault::plain(format!("unsupported operate type: {kind}"))),
    };
    let change = AccessChange::GroupAlter { name, privileges, add };
    gateway.catalog.access_change(change).await?;
    Ok(success())
}

/// The custom groups, then those that always exist.
pub(super) async fn groups(
    gateway: &Arc<Gateway>,
    _: &Context,
    _: pb::ListPrivilegeGroupsRequest,
) -> Result<pb::ListPrivilegeGroupsResponse, Fault> {
    let access = gateway.door.access().await?;
    let custom = access.groups().map(|(name, members)| group(name, members));
    let built_in = privilege::listed().map(|g| group(g.name, &privilege::members(g)));
    let privilege_groups = custom.chain(built_in).collect();
    Ok(pb::ListPrivilegeGroupsResponse { status: Some(success()), privilege_groups })
}

fn group(name: &str, members: &[impl ToString]) -> pb::PrivilegeGroupInfo {
    let entity = |name: String| pb::PrivilegeEntity { name };
    let privileges = members.iter().map(|m| entity(m.to_string())).collect();
    pb::PrivilegeGroupInfo { group_name: name.to_owned(), privileges }
}

pub(super) async fn backup(
    gateway: &Arc<Gateway>,
    _: &Context,
    _: pb::BackupRbacMetaRequest,
) -> Result<pb::BackupRbacMetaResponse, Fault> {
    let Backup { users, roles, grants, groups } = gateway.door.access().await?.backup();
    let entity = |name: String| pb::RoleEntity { name, ..Default::default() };
    let users = users.into_iter().map(|user| pb::UserInfo {
        password: user.password.stored().to_owned(),
        user: user.name,
        roles: user.roles.into_iter().map(entity).collect(),
    });
    let roles = roles.into_iter().map(|(name, description)| pb::RoleEntity { name, description });
    let meta = pb::RbacMeta {
        users: users.collect(),
        roles: roles.collect(),
        grants: grants.iter().map(|(role, grant)| written(role, grant)).collect(),
        privilege_groups: groups.iter().map(|(name, members)| group(name, members)).collect(),
    };
    Ok(pb::BackupRbacMetaResponse { status: Some(success()), rbac_meta: Some(meta) })
}

pub(super) async fn restore(
    gateway: &Arc<Gateway>,
    context: &Context,
    request: pb::RestoreRbacMetaRequest,
) -> Result<Status, Fault> {
    let meta = request.rbac_meta.unwrap_or_default();
    let mut saved = Backup::default();
    for user in meta.users {
        names::check_user(&user.user)?;
        saved.users.push(SavedUser {
            name: user.user,
            password: PasswordHash::from_stored(&user.password)?,
            roles: user.roles.into_iter().map(|role| role.name).collect(),
        });
    }
    for role in meta.roles {
        names::check_role(&role.name)?;
        saved.roles.push((role.name, role.description));
    }
    for entity in meta.grants {
        let grantor = entity.grantor.as_ref().and_then(|g| g.user.as_ref());
        let grantor =
            grantor.map_or(gateway.door.name_of(context), |user| user.name.as_str()).to_owned();
        saved.grants.push(read(entity, &grantor)?);
    }
    for group in meta.privilege_groups {
        names::check_group(&group.group_name)?;
        let privileges = group.privileges.into_iter().map(|p| p.name).collect();
        saved.groups.push((group.group_name, privileges));
    }
    gateway.catalog.access_change(AccessChange::Restore(saved)).await?;
    Ok(success())
}
