//! Authorization: who is let in, what he may do, and what everybody else is told.

mod access;
mod bad;
mod matrix;
mod raw;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use millstream_gateway::pb::milvus_service_client::MilvusServiceClient;
use millstream_gateway::pb::{
    CreateCredentialRequest, CreateRoleRequest, GrantorEntity, OperatePrivilegeType,
    OperatePrivilegeV2Request, OperateUserRoleRequest, PrivilegeEntity, RoleEntity,
};
use millstream_tests::client::{Answer, accept, message};
use millstream_tests::site::Site;
use tonic::Request;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

/// The credentials of `root`.
const ROOT: &str = "root:Milvus";

/// The header of credentials.
fn header(credentials: &str) -> String {
    STANDARD.encode(credentials)
}

/// A request with credentials.
fn by<T>(credentials: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let value = MetadataValue::try_from(header(credentials)).expect("base64 is ASCII");
    request.metadata_mut().insert("authorization", value);
    request
}

fn rpc(site: &Site) -> MilvusServiceClient<Channel> {
    site.client().rpc()
}

/// `root` makes a user.
async fn create_user(site: &Site, name: &str, password: &str) -> Answer<()> {
    let request = CreateCredentialRequest {
        username: name.to_owned(),
        password: STANDARD.encode(password),
        ..Default::default()
    };
    accept(Some(&message(rpc(site).create_credential(by(ROOT, request)).await)?))
}

/// `root` makes a role.
async fn create_role(site: &Site, name: &str) -> Answer<()> {
    let entity = Some(RoleEntity { name: name.to_owned(), ..Default::default() });
    let request = CreateRoleRequest { entity, ..Default::default() };
    accept(Some(&message(rpc(site).create_role(by(ROOT, request)).await)?))
}

/// `root` gives a role to a user.
async fn give(site: &Site, user: &str, role: &str) -> Answer<()> {
    let request = OperateUserRoleRequest {
        username: user.to_owned(),
        role_name: role.to_owned(),
        ..Default::default()
    };
    accept(Some(&message(rpc(site).operate_user_role(by(ROOT, request)).await)?))
}

/// `root` grants a privilege to a role, or revokes it.
async fn grant(
    site: &Site,
    role: &str,
    (database, collection, privilege): (&str, &str, &str),
    kind: OperatePrivilegeType,
) -> Answer<()> {
    let request = OperatePrivilegeV2Request {
        role: Some(RoleEntity { name: role.to_owned(), ..Default::default() }),
        grantor: Some(GrantorEntity {
            privilege: Some(PrivilegeEntity { name: privilege.to_owned() }),
            user: None,
        }),
        r#type: kind.into(),
        db_name: database.to_owned(),
        collection_name: collection.to_owned(),
        ..Default::default()
    };
    accept(Some(&message(rpc(site).operate_privilege_v2(by(ROOT, request)).await)?))
}
