//! Which shard a row belongs to: a function of its primary key, the same for ever.

use xxhash_rust::xxh3::xxh3_64;

/// The shard of an Int64 key: XXH3 of its little-endian bytes, modulo the number of shards.
pub fn of_int(pk: i64, shards: u16) -> u16 {
    of_hash(xxh3_64(&pk.to_le_bytes()), shards)
}

/// The shard of a VarChar key: XXH3 of its UTF-8 bytes, modulo the number of shards.
pub fn of_text(pk: &str, shards: u16) -> u16 {
    of_hash(xxh3_64(pk.as_bytes()), shards)
}

fn of_hash(hash: u64, shards: u16) -> u16 {
    // The remainder is below `shards`, so it fits.
    (hash % u64::from(shards.max(1))) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shard_of_a_key_never_changes() {
        // These values are in every log ever written: a change here would lose rows.
        assert_eq!([0, 1, -1, i64::MAX].map(|pk| of_int(pk, 16)), [9, 14, 3, 6]);
        assert_eq!(["", "a", "king"].map(|pk| of_text(pk, 16)), [2, 15, 14]);
        assert_eq!(of_int(7, 1), 0);
        assert_eq!(of_int(7, 0), 0);
    }

    #[test]
    fn keys_spread_over_all_shards() {
        let mut counts = [0u32; 7];
        (0..7_000).for_each(|pk| counts[of_int(pk, 7) as usize] += 1);
        assert!(counts.iter().all(|&n| (800..1_200).contains(&n)), "{counts:?}");
    }
}
