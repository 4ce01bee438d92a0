//! Users and roles.

use std::sync::Arc;

use millstream_catalog::model::{Code, Fault};
use millstream_catalog::rbac::{AccessChange, Role};

use super::Context;
use crate::auth::names;
use crate::convert::params::check_room;
use crate::convert::status::success;
use crate::gateway::Gateway;
use crate::pb::common::Status;
use crate::pb::{self, OperateUserRoleType};

pub(super) async fn create(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::CreateCredentialRequest,
) -> Result<Status, Fault> {
    let pb::CreateCredentialRequest { username: name, description, .. } = request;
    names::check_user(&name)?;
    check_room("the words about the user", description.len())?;
    let password = names::decode_password(&request.password)?;
    names::check_password(&password)?;
    if gateway.door.access().await?.user(&name).is_some() {
        return Err(Fault::plain(format!("user already exists: {name}")));
    }
    let password = gateway.door.hash(password).await?;
    let change = AccessChange::UserCreate { name, password, description };
    gateway.catalog.access_change(change).await?;
    Ok(success())
}

pub(super) async fn update(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::UpdateCredentialRequest,
) -> Result<Status, Fault> {
    let name = request.username;
    let description = request.description;
    check_room("the words about the user", description.as_ref().map_or(0, String::len))?;
    if request.old_password.is_empty() && request.new_password.is_empty() && description.is_some() {
        let change = AccessChange::UserUpdate { name, password: None, description };
        gateway.catalog.access_change(change).await?;
        return Ok(success());
    }
    let old = names::decode_password(&request.old_password)?;
    let new = names::decode_password(&request.new_password)?;
    names::check_password(&new)?;
    let access = gateway.door.access().await?;
    if !gateway.door.check(access.user(&name), &old).await? {
        let text = format!("old password not correct for {name}: not authenticated");
        return Err(Fault::new(Code::NotAuthenticated, text));
    }
    let password = Some(gateway.door.hash(new).await?);
    let change = AccessChange::UserUpdate { name, password, description };
    gateway.catalog.access_change(change).await?;
    Ok(success())
}

pub(super) async fn delete(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::DeleteCredentialRequest,
) -> Result<Status, Fault> {
    let change = AccessChange::UserDrop { name: request.username };
    gateway.catalog.access_change(change).await?;
    Ok(success())
}

pub(super) async fn names(
    gateway: &Arc<Gateway>,
    _: &Context,
    _: pb::ListCredUsersRequest,
) -> Result<pb::ListCredUsersResponse, Fault> {
    let access = gateway.door.access().await?;
    let usernames = access.users().map(|user| user.name.clone()).collect();
    Ok(pb::ListCredUsersResponse { status: Some(success()), usernames })
}

/// All users, or one; one that is not there is an empty list.
pub(super) async fn select(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::SelectUserRequest,
) -> Result<pb::SelectUserResponse, Fault> {
    let wanted = request.user.map(|user| user.name);
    let access = gateway.door.access().await?;
    let role = |name: &String| {
        let description = access.role(name).map(|role| role.description.clone());
        pb::RoleEntity { name: name.clone(), description: description.unwrap_or_default() }
    };
    let found = access.users().filter(|user| wanted.as_ref().is_none_or(|w| user.name == *w));
    let results = found.map(|user| pb::UserResult {
        user: Some(pb::UserEntity { name: user.name.clone() }),
        roles: match request.include_role_info {
            true => user.roles.iter().map(role).collect(),
            false => Vec::new(),
        },
        description: user.description.clone(),
    });
    Ok(pb::SelectUserResponse { status: Some(success()), results: results.collect() })
}

pub(super) async fn create_role(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::CreateRoleRequest,
) -> Result<Status, Fault> {
    let entity = request.entity.ok_or_else(|| Fault::plain("the role entity is nil"))?;
    let pb::RoleEntity { name, description } = entity;
    names::check_role(&name)?;
    check_room("the words about the role", description.len())?;
    gateway.catalog.access_change(AccessChange::RoleCreate { name, description }).await?;
    Ok(success())
}

pub(super) async fn alter_role(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::AlterRoleRequest,
) -> Result<Status, Fault> {
    let pb::AlterRoleRequest { role_name: name, description, .. } = request;
    names::check_role(&name)?;
    check_room("the words about the role", description.len())?;
    gateway.catalog.access_change(AccessChange::RoleAlter { name, description }).await?;
    Ok(success())
}

pub(super) async fn drop_role(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::DropRoleRequest,
) -> Result<Status, Fault> {
    let pb::DropRoleRequest { role_name: name, force_drop: force, .. } = request;
    names::check_role(&name)?;
    gateway.catalog.access_change(AccessChange::RoleDrop { name, force }).await?;
    Ok(success())
}

pub(super) async fn operate_role(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::OperateUserRoleRequest,
) -> Result<Status, Fault> {
    let pb::OperateUserRoleRequest { username: user, role_name: role, r#type: kind, .. } = request;
    names::check_user(&user)?;
    names::check_role(&role)?;
    let add = match OperateUserRoleType::try_from(kind) {
        Ok(OperateUserRoleType::AddUserToRole) => true,
        Ok(OperateUserRoleType::RemoveUserFromRole) => false,
        Err(_) => {
            let text = format!("invalid operate user role type, current type: {kind}");
            return Err(Fault::plain(text));
        }
    };
    gateway.catalog.access_change(AccessChange::UserRole { user, role, add }).await?;
    Ok(success())
}

/// All roles, or one; one that is not there is an empty list.
pub(super) async fn select_role(
    gateway: &Arc<Gateway>,
    _: &Context,
    request: pb::SelectRoleRequest,
) -> Result<pb::SelectRoleResponse, Fault> {
    let wanted = request.role.map(|role| role.name);
    let access = gateway.door.access().await?;
    let result = |(name, role): (&str, &Role)| pb::RoleResult {
        role: Some(pb::RoleEntity { name: name.to_owned(), description: role.description.clone() }),
        users: match request.include_user_info {
            true => access
                .users_of(name)
                .map(|user| pb::UserEntity { name: user.name.clone() })
                .collect(),
            false => Vec::new(),
        },
    };
    let found = access.roles().filter(|(name, _)| wanted.as_ref().is_none_or(|w| name == w));
    let results = found.map(result).collect();
    Ok(pb::SelectRoleResponse { status: Some(success()), results })
}
