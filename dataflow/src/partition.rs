//! Which partition a row belongs to under a partition key: a function of the key's value, the same
//! for ever.
//!
//! The hash has a seed of its own: a partition key that equals the primary key, or follows from it,
//! must not put all rows of a shard into a few partitions.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Any number but 0, which shards use, would do.
const SEED: u64 = u64::from_be_bytes(*b"partkeys");

/// The place, among the partitions of a collection in their order, of an Int64 value: XXH3, with
/// the seed, of its little-endian bytes, modulo the number of partitions.
pub fn of_int(value: i64, partitions: u16) -> u16 {
    of_hash(xxh3_64_with_seed(&value.to_le_bytes(), SEED), partitions)
}

/// The place of a VarChar value: XXH3, with the seed, of its UTF-8 bytes, modulo the number of
/// partitions.
pub fn of_text(value: &[u8], partitions: u16) -> u16 {
    of_hash(xxh3_64_with_seed(value, SEED), partitions)
}

fn of_hash(hash: u64, partitions: u16) -> u16 {
    // The remainder is below `partitions`, so it fits.
    (hash % u64::from(partitions.max(1))) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard;

    #[test]
    fn the_partition_of_a_value_never_changes() {
        // These values are in every log ever written: a change here would lose rows.
        assert_eq!([0, 1, -1, i64::MAX].map(|v| of_int(v, 16)), [0, 7, 6, 3]);
        assert_eq!(["", "a", "king"].map(|v| of_text(v.as_bytes(), 16)), [3, 14, 5]);
        assert_eq!(of_int(7, 1), 0);
        assert_eq!(of_int(7, 0), 0);
    }

    #[test]
    fn values_spread_over_all_partitions_of_every_shard() {
        let mut counts = [[0u32; 16]; 16];
        for value in 0..64_000 {
            let shard = shard::of_int(value, 16) as usize;
            counts[shard][of_int(value, 16) as usize] += 1;
        }
        let all = counts.as_flattened();
        assert!(all.iter().all(|&n| (170..350).contains(&n)), "{counts:?}");
        let texts = (0..16_000).map(|n| of_text(format!("tenant-{n}").as_bytes(), 16));
        let mut counts = [0u32; 16];
        texts.for_each(|at| counts[at as usize] += 1);
        assert!(counts.iter().all(|&n| (850..1_150).contains(&n)), "{counts:?}");
    }
}
