//! Passwords: argon2id, at a cost that is written beside each hash.
//!
//! **Invariant.** A hash is never shown: its type has no text but the one that is stored.

use std::fmt;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, Version};
use serde::{Deserialize, Serialize};

use crate::model::Fault;

/// Shortest password, in bytes.
pub const PASSWORD_MIN: usize = 6;
/// Longest password, in bytes. Milvus 2.4 raised it from 72.
pub const PASSWORD_MAX: usize = 256;
/// Bytes of the random salt of a hash.
pub const SALT_LEN: usize = 16;
/// A stored hash may not ask for more memory than this, in KiB: a restored one comes from outside.
const MEMORY_MAX_KIB: u32 = 256 << 10;
/// A stored hash may not ask for more passes over its memory.
const PASSES_MAX: u32 = 16;
/// A stored hash may not ask for more lanes.
const LANES_MAX: u32 = 16;

/// A password's hash in its stored form (`$argon2id$v=19$m=..,t=..,p=..$salt$hash`).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// What hashing a password takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Cost {
    /// What new hashes cost.
    pub const NOW: Cost = Cost { memory_kib: 19 << 10, passes: 2, lanes: 1 };
}

/// What a password turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not the password.
    Wrong,
    /// The password.
    Right,
    /// The password, and its hash has another cost or form than new ones: make it anew.
    RightButOld,
}

impl PasswordHash {
    /// Hashes a password. Takes tens of milliseconds and 19 MiB: not for a thread that serves
    /// connections.
    ///
    /// # Errors
    /// When the cost is impossible.
    pub fn make(password: &[u8], salt: [u8; SALT_LEN], cost: Cost) -> Result<PasswordHash, Fault> {
        let failed = |e: &dyn fmt::Display| Fault::internal(format!("cannot hash: {e}"));
        let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, None);
        let params = params.map_err(|e| failed(&e))?;
        let hasher = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let made: phc::PasswordHash =
            hasher.hash_password_with_salt(password, &salt).map_err(|e| failed(&e))?;
        Ok(PasswordHash(made.to_string()))
    }

    /// A hash from its stored form, of another server perhaps.
    ///
    /// # Errors
    /// When it is no argon2 hash, or asks for more memory or time than any of ours.
    pub fn from_stored(text: &str) -> Result<PasswordHash, Fault> {
        let refuse = || {
            let text = "a password of the backup is no argon2 hash of a bearable cost; hashes of \
                        other kinds cannot be verified here";
            Fault::invalid(text)
        };
        let parsed = phc::PasswordHash::new(text).map_err(|_| refuse())?;
        if !matches!(parsed.algorithm.as_str(), "argon2id" | "argon2i" | "argon2d") {
            return Err(refuse());
        }
        let params = Params::try_from(&parsed).map_err(|_| refuse())?;
        let bearable = params.m_cost() <= MEMORY_MAX_KIB
            && params.t_cost() <= PASSES_MAX
            && params.p_cost() <= LANES_MAX;
        if !bearable || parsed.salt.is_none() || parsed.hash.is_none() {
            return Err(refuse());
        }
        Ok(PasswordHash(text.to_owned()))
    }

    /// The stored form, for a backup.
    pub fn stored(&self) -> &str {
        &self.0
    }

    /// Compares a password with the hash; as slow as [`PasswordHash::make`].
    pub fn verify(&self, password: &[u8]) -> Verdict {
        use argon2::PasswordVerifier;
        let Ok(parsed) = phc::PasswordHash::new(&self.0) else { return Verdict::Wrong };
        if Argon2::default().verify_password(password, &parsed).is_err() {
            return Verdict::Wrong;
        }
        let same = |p: &Params| {
            let cost = Cost { memory_kib: p.m_cost(), passes: p.t_cost(), lanes: p.p_cost() };
            cost == Cost::NOW
        };
        let new = parsed.algorithm.as_str() == "argon2id"
            && parsed.version == Some(Version::V0x13.into())
            && Params::try_from(&parsed).is_ok_and(|p| same(&p));
        if new { Verdict::Right } else { Verdict::RightButOld }
    }
}

/// Compares two byte strings in a time that depends on their lengths only.
pub fn same_bytes(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEAP: Cost = Cost { memory_kib: 16, passes: 1, lanes: 1 };

    #[test]
    fn a_password_is_known_by_its_hash_and_another_is_not() {
        let hash = PasswordHash::make(b"correct horse", [7; SALT_LEN], Cost::NOW).unwrap();
        assert_eq!(hash.verify(b"correct horse"), Verdict::Right);
        assert_eq!(hash.verify(b"correct horsf"), Verdict::Wrong);
        assert_eq!(hash.verify(b""), Verdict::Wrong);
        assert!(hash.stored().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
    }

    #[test]
    fn a_hash_of_another_cost_is_right_but_old() {
        let hash = PasswordHash::make(b"secret1", [1; SALT_LEN], CHEAP).unwrap();
        assert_eq!(hash.verify(b"secret1"), Verdict::RightButOld);
        assert_eq!(hash.verify(b"secret2"), Verdict::Wrong);
    }

    /// A log line with a hash would let anybody who reads it guess at leisure.
    #[test]
    fn a_hash_shows_nothing_of_itself() {
        let hash = PasswordHash::make(b"secret1", [1; SALT_LEN], CHEAP).unwrap();
        let shown = format!("{hash:?}");
        assert_eq!(shown, "PasswordHash(..)");
    }

    #[test]
    fn a_stored_hash_that_would_cost_too_much_is_refused() {
        let good = PasswordHash::make(b"secret1", [1; SALT_LEN], CHEAP).unwrap();
        assert_eq!(PasswordHash::from_stored(good.stored()).unwrap(), good);
        let hungry = good.stored().replace("m=16", "m=4194304");
        for bad in [
            "",
            "secret",
            "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
            "$argon2id$v=19$m=16,t=1,p=1$c29tZXNhbHQ",
            &*hungry,
        ] {
            let fault = PasswordHash::from_stored(bad).unwrap_err();
            assert!(bad.is_empty() || !fault.message.contains(bad), "{fault}");
        }
    }

    #[test]
    fn byte_strings_are_the_same_only_when_they_are() {
        assert!(same_bytes(b"", b"") && same_bytes(b"ab", b"ab"));
        assert!(!same_bytes(b"ab", b"ac") && !same_bytes(b"a", b"ab"));
    }
}
