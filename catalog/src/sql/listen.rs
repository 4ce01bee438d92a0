//! What only Postgres needs: the role of the owner, and news of changes by other processes.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};

use super::CHANGES;
use super::link::{Link, fault};
use crate::ddl::Watchers;
use crate::model::{Code, CollectionId, Fault};

/// The advisory lock of the catalog's owner, held by its session: 'mill', 'own'.
const OWNER_LOCK: i64 = 0x6d69_6c6c_006f_776e;
/// How often and how long to wait for the session of an owner that has just ended.
const ROLE_WAIT: Duration = Duration::from_millis(100);
const ROLE_ATTEMPTS: u32 = 50;
/// How long to wait before the next attempt to reach a database that is down.
const RECONNECT_WAIT: Duration = Duration::from_secs(1);

/// Says it when the server may lose what it acknowledged.
pub(super) async fn check_durable(link: &Link) -> Result<(), Fault> {
    let sql = "SELECT name, setting FROM pg_settings \
               WHERE name IN ('fsync', 'full_page_writes') AND setting = 'off'";
    let off: Vec<(String, String)> = link.query(sql.to_owned(), &[]).await.map_err(fault)?;
    for (setting, _) in off {
        tracing::warn!(
            setting,
            "Postgres runs with this off: a power failure may lose acknowledged changes"
        );
    }
    Ok(())
}

/// Becomes the owner on a connection of its own, which also hears of changes.
pub(super) async fn take_role(options: PgConnectOptions) -> Result<PgListener, Fault> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await.map_err(fault)?;
    for attempt in 0..ROLE_ATTEMPTS {
        if attempt > 0 {
            tokio::time::sleep(ROLE_WAIT).await;
        }
        if try_role(&mut listener).await.map_err(fault)? {
            listener.listen(CHANGES).await.map_err(fault)?;
            return Ok(listener);
        }
    }
    let text = "another process owns this catalog: it hands out the cluster's timestamps, and \
                there can be only one; stop it first, or use another database";
    Err(Fault::new(Code::ServiceUnavailable, text))
}

async fn try_role(listener: &mut PgListener) -> Result<bool, sqlx::Error> {
    let query = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)").bind(OWNER_LOCK);
    query.fetch_one(&mut *listener).await
}

/// Tells the watchers what other processes change, for ever.
pub(super) async fn listen(mut listener: PgListener, watchers: Arc<Watchers>, epoch: i64) {
    loop {
        match listener.try_recv().await {
            Ok(Some(news)) => {
                if let Some(changed) = parse(news.payload(), epoch) {
                    watchers.tell(changed);
                }
            }
            Ok(None) => {
                // Whatever was said meanwhile is lost, and so is the lock of the session.
                watchers.tell(None);
                match try_role(&mut listener).await {
                    Ok(true) => tracing::info!("the catalog's database is connected again"),
                    Ok(false) => tracing::error!("another process owns the catalog now"),
                    Err(error) => tracing::warn!(%error, "the catalog's database is not there"),
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the catalog's database is not there");
                tokio::time::sleep(RECONNECT_WAIT).await;
            }
        }
    }
}

/// What changed, by `<epoch>:<collection or 0>`; nothing for one's own changes.
fn parse(payload: &str, own: i64) -> Option<Option<CollectionId>> {
    let (epoch, collection) = payload.split_once(':')?;
    if epoch.parse() == Ok(own) {
        return None;
    }
    // What cannot be read may mean anything.
    Some(collection.parse().ok().filter(|id| *id != 0).map(CollectionId))
}
