//! The door: who asks, and may he?
//!
//! Every service passes [`layer::Guarded`], which finds the caller by his credentials before
//! anything of the message is read; then [`Door::admit`] asks, with the message, whether the
//! caller has the privilege that [`table`] names for the RPC. What is not in the table is denied,
//! and does not compile. With authorization off both let everybody pass.
//!
//! ```text
//! authorization: base64(user:password) ─▶ Guarded ─▶ Caller ─▶ admit(rpc, message) ─▶ handler
//!                                            │                   │
//!                               verify: argon2, remembered    known: users, roles, grants
//! ```
//!
//! **Invariant.** A change of users, roles or grants is in force for every request that arrives
//! [`known::CHECK`] after it was made, in whatever process, and at once in the process that made
//! it. While the catalog cannot be asked, nobody is let in.
//!
//! **Invariant.** Nobody is known by anything but his credentials, and these are never logged.
//!
//! **Absent on purpose.** No sessions and no tokens: any gateway may serve any request.

pub mod header;
pub mod known;
pub mod layer;
pub mod names;
pub mod table;
pub mod verify;

use std::sync::Arc;

use millstream_catalog::catalog::Catalog;
use millstream_catalog::model::{Code, Fault};
use millstream_catalog::rbac::password::{PasswordHash, Verdict};
use millstream_catalog::rbac::privilege::ANY;
use millstream_catalog::rbac::{Access, AccessChange, Need, ROOT, User};
use tonic::Status;
use tonic::codegen::http::HeaderMap;

use crate::gateway::Gateway;
use crate::service::Context;
use header::Credentials;
use known::Known;
use table::{Objects, Rule, Target};
use verify::Verifier;

/// What a client whose credentials are wrong is told.
const WRONG: &str = "auth check failure, please check username and password are correct";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller(pub Arc<str>);

/// Who looks at a list, when not everything is shown to everybody.
pub struct Viewer {
    access: Arc<Access>,
    caller: Caller,
}

impl Viewer {
    /// Whether a list shows a database.
    pub fn sees_database(&self, database: &str) -> bool {
        self.access.shows(&self.caller.0, database, None)
    }

    /// Whether a list shows a collection.
    pub fn sees(&self, database: &str, collection: &str) -> bool {
        self.access.shows(&self.caller.0, database, Some(collection))
    }
}

/// What somebody asks for, whatever the message.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    rule: Rule,
    objects: Objects<'a>,
    database: &'a str,
}

impl<'a> Asked<'a> {
    /// What a message asks for.
    pub fn of<T: Target>(message: &'a T, context: &'a Context) -> Asked<'a> {
        let database = context.database(message.database());
        Asked { rule: T::RULE, objects: message.objects(), database }
    }
}

/// The door of a gateway.
pub struct Door {
    on: bool,
    catalog: Arc<dyn Catalog>,
    known: Known,
    verifier: Arc<Verifier>,
}

impl Door {
    /// A door that asks for credentials, or lets everybody in.
    pub fn new(catalog: Arc<dyn Catalog>, on: bool) -> Door {
        let known = Known::new(Arc::clone(&catalog));
        Door { on, catalog, known, verifier: Arc::default() }
    }

    /// Whether it asks for credentials.
    pub fn is_on(&self) -> bool {
        self.on
    }

    /// Users, roles and grants as they are now.
    ///
    /// # Errors
    /// Those of the catalog.
    pub async fn access(&self) -> Result<Arc<Access>, Fault> {
        match self.known.fresh() {
            Some(access) => Ok(access),
            None => {
                let access = self.known.get().await?;
                self.verifier.forget_others(&access);
                Ok(access)
            }
        }
    }

    /// The caller, if that can be said without waiting; otherwise see [`Door::caller`].
    pub fn remembered(&self, headers: &HeaderMap) -> Option<Caller> {
        let credentials = Credentials::of(headers).ok()?;
        let access = self.known.fresh()?;
        let user = access.user(&credentials.user)?;
        let known = self.verifier.remembers(user, &credentials.password);
        known.then(|| Caller(Arc::from(&*credentials.user)))
    }

    /// The caller by his credentials.
    ///
    /// # Errors
    /// UNAUTHENTICATED, in Milvus's words; UNAVAILABLE when nobody can tell now.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Caller, Status> {
        let Credentials { user, password } = Credentials::of(headers)?;
        let access = self.access().await.map_err(|fault| unavailable(&fault))?;
        let there = access.user(&user);
        match self.check(there, &password).await {
            Ok(true) => Ok(Caller(Arc::from(user))),
            Ok(false) => {
                tracing::debug!(user, "wrong credentials");
                Err(Status::unauthenticated(WRONG))
            }
            Err(fault) if fault.code == Code::RateLimit => {
                Err(Status::resource_exhausted(fault.message))
            }
            Err(fault) => Err(unavailable(&fault)),
        }
    }

    /// Whether a password is that of a user; one that is not there takes as long.
    ///
    /// # Errors
    /// Code 8 when too many are being checked.
    pub async fn check(&self, user: Option<&Arc<User>>, password: &[u8]) -> Result<bool, Fault> {
        let verdict = self.verifier.verify(user, password).await?;
        if verdict == Verdict::RightButOld
            && let Some(user) = user
        {
            self.rehash(user, password.to_vec());
        }
        Ok(verdict != Verdict::Wrong)
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// Code 8 when too many are being hashed.
    pub async fn hash(&self, password: Vec<u8>) -> Result<PasswordHash, Fault> {
        self.verifier.hash(password).await
    }

    /// Keeps a verified password at the present cost, in the background.
    fn rehash(&self, user: &Arc<User>, password: Vec<u8>) {
        let (catalog, verifier) = (Arc::clone(&self.catalog), Arc::clone(&self.verifier));
        let (name, stamp) = (user.name.clone(), user.stamp);
        tokio::spawn(async move {
            let kept = async {
                let password = verifier.hash(password).await?;
                catalog.access_change(AccessChange::UserRehash { name, stamp, password }).await
            };
            if let Err(fault) = kept.await {
                // The next login tries again.
                tracing::warn!(%fault, "a password was not hashed anew");
            }
        });
    }

    /// Who asks, for those who note it; `root` when nobody is asked.
    pub fn name_of<'a>(&self, context: &'a Context) -> &'a str {
        match (self.on, context.caller()) {
            (true, Some(caller)) => &caller.0,
            _ => ROOT,
        }
    }

    /// Who looks at a list; `None` when everything is shown.
    ///
    /// # Errors
    /// Those of the catalog.
    pub async fn viewer(&self, context: &Context) -> Result<Option<Viewer>, Fault> {
        if !self.on {
            return Ok(None);
        }
        let refused = || Fault::new(Code::NotAuthenticated, WRONG);
        let caller = context.caller().cloned().ok_or_else(refused)?;
        let access = self.access().await?;
        Ok((!access.is_super(&caller.0)).then_some(Viewer { access, caller }))
    }

    /// Whether a request may be served.
    ///
    /// # Errors
    /// PERMISSION_DENIED, in Milvus's words; UNAUTHENTICATED for a caller that no layer has seen.
    pub async fn admit(
        &self,
        gateway: &Gateway,
        context: &Context,
        asked: Asked<'_>,
    ) -> Result<(), Status> {
        if !self.on {
            return Ok(());
        }
        let caller = context.caller().ok_or_else(|| Status::unauthenticated(header::MISSING))?;
        let Asked { rule, objects, database } = asked;
        let Rule::Needs(object_type, privilege) = rule else { return Ok(()) };
        let access = self.access().await.map_err(|fault| unavailable(&fault))?;
        if let Objects::Role(role) = objects
            && access.has_role(&caller.0, role)
        {
            return Ok(());
        }
        for object in objects.names() {
            let need = Need { privilege, object_type, database, object };
            let allowed =
                access.allows(&caller.0, &need) || by_alias(gateway, &access, caller, need).await;
            if !allowed {
                tracing::debug!(user = &*caller.0, privilege, database, object, "denied");
                return Err(Status::permission_denied(format!(
                    "Privilege{privilege}: permission deny to {} in the `{database}` database",
                    caller.0
                )));
            }
        }
        Ok(())
    }

    /// Warns when `root` can be guessed.
    pub async fn warn_of_defaults(&self) {
        let access = self.access().await;
        if self.on && access.is_ok_and(|a| a.user(ROOT).is_some_and(|root| root.password.is_none()))
        {
            tracing::warn!("the user root has its default password: change it");
        }
    }
}

/// Whether the caller may do to the collection itself what he asks for by another name of it.
async fn by_alias(gateway: &Gateway, access: &Access, caller: &Caller, need: Need<'_>) -> bool {
    use millstream_catalog::rbac::privilege::ObjectType;
    if need.object_type == ObjectType::User || need.object == ANY {
        return false;
    }
    // Without any grant here there is nothing to look up, and nothing to learn from how long.
    if !access.shows(&caller.0, need.database, None) {
        return false;
    }
    match gateway.cache.get(need.database, need.object).await {
        Ok(found) if found.name != need.object => {
            access.allows(&caller.0, &Need { object: &found.name, ..need })
        }
        _ => false,
    }
}

fn unavailable(fault: &Fault) -> Status {
    tracing::warn!(%fault, "nobody can be let in");
    Status::unavailable(format!("authorization cannot be checked: {fault}"))
}
