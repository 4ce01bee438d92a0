//! New keys for rows that have old ones: each new key belongs to the shard of the old one.
//!
//! An upsert ends the row of the old key and adds one of a new key. As both are in one shard, one
//! record does both, and they become visible together.

use std::collections::VecDeque;

use millstream_dataflow::shard;
use millstream_expr::PkList;

/// Most ids taken at once.
const IDS_MAX: usize = 1 << 18;

/// Keys that are drawn out of ids until every row has one.
pub struct Draw {
    /// The rows of each shard that have no new key yet.
    waiting: Vec<VecDeque<u32>>,
    is_text: bool,
    keys: Vec<i64>,
    left: usize,
}

impl Draw {
    /// A draw for rows with these old keys.
    pub fn new(old: &PkList, shards: u16) -> Draw {
        let mut waiting = vec![VecDeque::new(); usize::from(shards.max(1))];
        let mut put = |row: u32, shard: u16| waiting[usize::from(shard)].push_back(row);
        let (is_text, rows) = match old {
            PkList::Int(keys) => {
                (0..).zip(keys).for_each(|(row, key)| put(row, shard::of_int(*key, shards)));
                (false, keys.len())
            }
            PkList::Text(keys) => {
                (0..).zip(keys).for_each(|(row, key)| put(row, shard::of_text(key, shards)));
                (true, keys.len())
            }
        };
        Draw { waiting, is_text, keys: vec![0; rows], left: rows }
    }

    /// How many more ids to take: about as many as the rows that wait need. 0 at the end.
    pub fn wants(&self) -> u32 {
        let ids = self.left.saturating_mul(self.waiting.len()).min(IDS_MAX.max(self.left));
        u32::try_from(ids).unwrap_or(u32::MAX)
    }

    /// Gives ids to the rows whose shard they belong to; the others are never used.
    pub fn take(&mut self, first: i64, count: u32) {
        let shards = u16::try_from(self.waiting.len()).unwrap_or(u16::MAX);
        for id in first..first.saturating_add(i64::from(count)) {
            let shard = match self.is_text {
                true => shard::of_text(&id.to_string(), shards),
                false => shard::of_int(id, shards),
            };
            if let Some(row) = self.waiting[usize::from(shard)].pop_front() {
                self.keys[row as usize] = id;
                self.left -= 1;
            }
        }
    }

    /// The new keys, one for each row, once [`Draw::wants`] says 0.
    pub fn into_keys(self) -> PkList {
        match self.is_text {
            true => PkList::Text(self.keys.iter().map(i64::to_string).collect()),
            false => PkList::Int(self.keys),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_new_key_belongs_to_the_shard_of_the_old_one() {
        for shards in [1, 2, 16] {
            let old: Vec<i64> = (0..500).map(|row| row * 7 - 100).collect();
            let texts: Vec<String> = old.iter().map(|key| format!("k{key}")).collect();
            for (is_text, keys) in [(false, PkList::Int(old)), (true, PkList::Text(texts))] {
                let mut draw = Draw::new(&keys, shards);
                let mut next = 1_000_000;
                while draw.wants() > 0 {
                    let count = draw.wants();
                    draw.take(next, count);
                    next += i64::from(count);
                }
                assert!(next < 1_000_000 + 500 * i64::from(shards) * 4, "{next}");
                match (keys, draw.into_keys()) {
                    (PkList::Int(old), PkList::Int(new)) if !is_text => {
                        let of = |keys: &[i64]| {
                            keys.iter().map(|k| shard::of_int(*k, shards)).collect::<Vec<_>>()
                        };
                        assert_eq!(of(&old), of(&new));
                        let unique: std::collections::HashSet<_> = new.iter().collect();
                        assert_eq!(unique.len(), 500);
                    }
                    (PkList::Text(old), PkList::Text(new)) if is_text => {
                        let of = |keys: &[String]| {
                            keys.iter().map(|k| shard::of_text(k, shards)).collect::<Vec<_>>()
                        };
                        assert_eq!(of(&old), of(&new));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}
