//! Passwords are verified away from the threads that serve connections, few at a time, and
//! remembered.
//!
//! A request whose credentials were verified before costs one keyed hash. What is remembered is
//! that hash, under a key that only this process has, for the state of the user that was verified:
//! any change of the user ends it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use blake2::Blake2sMac256;
use blake2::digest::{FixedOutput, KeyInit, Update};
use millstream_catalog::model::{Code, Fault, Timestamp};
use millstream_catalog::rbac::password::{Cost, PasswordHash, Verdict, same_bytes};
use millstream_catalog::rbac::{Access, ROOT_PASSWORD, User};
use parking_lot::RwLock;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Most hashes at once: each takes a core and 19 MiB.
const RUNNING_MAX: usize = 4;
/// Most that wait for one.
const WAITING_MAX: usize = 256;

type Mac = [u8; 32];

struct Verified {
    mac: Mac,
    stamp: Timestamp,
}

/// Verifies passwords.
pub struct Verifier {
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    key: [u8; 32],
    verified: RwLock<HashMap<String, Verified>>,
}

impl Default for Verifier {
    fn default() -> Verifier {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Verifier {
            places: Arc::new(Semaphore::new((cores / 2).clamp(1, RUNNING_MAX))),
            waiting: AtomicUsize::new(0),
            key: rand::random(),
            verified: RwLock::default(),
        }
    }
}

impl Verifier {
    /// Whether this password of this state of the user was verified before.
    pub fn remembers(&self, user: &User, password: &[u8]) -> bool {
        let mac = self.mac(password);
        let verified = self.verified.read();
        verified
            .get(&user.name)
            .is_some_and(|known| known.stamp == user.stamp && same_bytes(&known.mac, &mac))
    }

    /// Verifies a password. That of nobody is wrong, after as long a time.
    ///
    /// # Errors
    /// Code 8 when too many wait already.
    pub async fn verify(
        &self,
        user: Option<&Arc<User>>,
        password: &[u8],
    ) -> Result<Verdict, Fault> {
        if let Some(user) = user
            && self.remembers(user, password)
        {
            return Ok(Verdict::Right);
        }
        let place = self.place().await?;
        let Some(user) = user else {
            self.hash_in(place, password.to_vec()).await?;
            return Ok(Verdict::Wrong);
        };
        // Many connections of one program begin together.
        if self.remembers(user, password) {
            return Ok(Verdict::Right);
        }
        let verdict = match &user.password {
            Some(hash) => {
                let (hash, given) = (hash.clone(), password.to_vec());
                aside(place, move || hash.verify(&given)).await?
            }
            None => {
                self.hash_in(place, password.to_vec()).await?;
                match same_bytes(password, ROOT_PASSWORD.as_bytes()) {
                    true => Verdict::Right,
                    false => Verdict::Wrong,
                }
            }
        };
        if verdict != Verdict::Wrong {
            let known = Verified { mac: self.mac(password), stamp: user.stamp };
            self.verified.write().insert(user.name.clone(), known);
        }
        Ok(verdict)
    }

    /// Hashes a password.
    ///
    /// # Errors
    /// Code 8 when too many wait already.
    pub async fn hash(&self, password: Vec<u8>) -> Result<PasswordHash, Fault> {
        let place = self.place().await?;
        self.hash_in(place, password).await
    }

    /// Forgets what was verified of users that are gone or changed.
    pub fn forget_others(&self, access: &Access) {
        let there = |name: &str, stamp| access.user(name).is_some_and(|user| user.stamp == stamp);
        self.verified.write().retain(|name, known| there(name, known.stamp));
    }

    async fn hash_in(
        &self,
        place: OwnedSemaphorePermit,
        password: Vec<u8>,
    ) -> Result<PasswordHash, Fault> {
        let salt = rand::random();
        aside(place, move || PasswordHash::make(&password, salt, Cost::NOW)).await?
    }

    fn mac(&self, password: &[u8]) -> Mac {
        let mut mac = Blake2sMac256::new(&self.key.into());
        mac.update(password);
        mac.finalize_fixed().into()
    }

    async fn place(&self) -> Result<OwnedSemaphorePermit, Fault> {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = Waiting::begin(&self.waiting)?;
        let place = Arc::clone(&self.places).acquire_owned().await;
        place.map_err(|_| Fault::internal("the server is stopping"))
    }
}

/// Runs something slow on a thread of its own kind. The place is held until it is done, also when
/// nobody waits for it any more.
async fn aside<T: Send + 'static>(
    place: OwnedSemaphorePermit,
    slow: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let run = move || {
        let done = slow();
        drop(place);
        done
    };
    let done = tokio::task::spawn_blocking(run).await;
    done.map_err(|e| Fault::internal(format!("a password was not hashed: {e}")))
}

/// Counts one who waits until it is dropped.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Result<Waiting<'a>, Fault> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let counted = Waiting(waiting);
        if before < WAITING_MAX {
            return Ok(counted);
        }
        let text = format!("{WAITING_MAX} passwords wait to be verified: retry later");
        Err(Fault::new(Code::RateLimit, text))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::{Duration, Instant};

    use super::*;

    fn user(password: Option<&str>, stamp: u64) -> Arc<User> {
        let hash = |p: &str| PasswordHash::make(p.as_bytes(), [1; 16], Cost::NOW).unwrap();
        Arc::new(User {
            name: "u".to_owned(),
            password: password.map(hash),
            roles: Vec::new(),
            description: String::new(),
            stamp: Timestamp(stamp),
        })
    }

    #[tokio::test]
    async fn a_verified_password_is_remembered_for_that_state_of_the_user() {
        let verifier = Verifier::default();
        let now = user(Some("secret1"), 1);
        assert!(!verifier.remembers(&now, b"secret1"));
        assert_eq!(verifier.verify(Some(&now), b"secret2").await.unwrap(), Verdict::Wrong);
        assert_eq!(verifier.verify(Some(&now), b"secret1").await.unwrap(), Verdict::Right);
        assert!(verifier.remembers(&now, b"secret1") && !verifier.remembers(&now, b"secret2"));
        // A wrong password does not end what is known of the right one.
        assert_eq!(verifier.verify(Some(&now), b"secret2").await.unwrap(), Verdict::Wrong);
        assert!(verifier.remembers(&now, b"secret1"));
        let later = user(Some("secret3"), 2);
        assert!(!verifier.remembers(&later, b"secret1"));
        assert_eq!(verifier.verify(Some(&later), b"secret1").await.unwrap(), Verdict::Wrong);
        let access = Access::new(1, vec![User::clone(&later)], Vec::new(), BTreeMap::new());
        verifier.forget_others(&access);
        assert!(verifier.verified.read().is_empty());
    }

    #[tokio::test]
    async fn root_has_its_default_password_until_it_is_changed() {
        let verifier = Verifier::default();
        let root = user(None, 1);
        assert_eq!(verifier.verify(Some(&root), b"milvus").await.unwrap(), Verdict::Wrong);
        assert_eq!(verifier.verify(Some(&root), b"Milvus").await.unwrap(), Verdict::Right);
    }

    /// Otherwise how long an answer takes would tell which users there are.
    #[tokio::test]
    async fn the_password_of_nobody_takes_as_long() {
        let verifier = Verifier::default();
        let time = async |user: Option<Arc<User>>| {
            let begun = Instant::now();
            let verdict = verifier.verify(user.as_ref(), b"wrong").await.unwrap();
            assert_eq!(verdict, Verdict::Wrong);
            begun.elapsed()
        };
        let mut best = [Duration::MAX; 3];
        for _ in 0..5 {
            for (best, who) in
                best.iter_mut().zip([None, Some(user(Some("secret1"), 1)), Some(user(None, 1))])
            {
                *best = (*best).min(time(who).await);
            }
        }
        let (least, most) = (best.iter().min().unwrap(), best.iter().max().unwrap());
        assert!(*most < *least * 3, "{best:?}");
    }

    /// A remembered password must cost next to nothing.
    #[tokio::test]
    async fn only_the_first_of_many_connections_hashes() {
        let verifier = Verifier::default();
        let now = user(Some("secret1"), 1);
        let begun = Instant::now();
        verifier.verify(Some(&now), b"secret1").await.unwrap();
        let once = begun.elapsed();
        let begun = Instant::now();
        for _ in 0..1_000 {
            assert_eq!(verifier.verify(Some(&now), b"secret1").await.unwrap(), Verdict::Right);
        }
        assert!(begun.elapsed() < once * 10 + Duration::from_millis(50));
    }
}
