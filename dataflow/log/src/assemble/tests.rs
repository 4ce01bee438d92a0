//! Entries of good and bad bytes.

use proptest::prelude::*;

use super::*;
use crate::testkit::{entry, record};

fn sample() -> Vec<u8> {
    entry(5, &[record(1, 8), record(2, 24)]).to_bytes().to_vec()
}

#[test]
fn every_flipped_bit_of_an_entry_is_noticed() {
    let good = sample();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let pushed = Assembler::new(0, Timestamp::MIN).push(1, &Entry::stored(Bytes::from(bad)));
        assert!(pushed.is_err(), "bit {bit}");
    }
}

#[test]
fn every_shortened_entry_is_noticed() {
    let good = Bytes::from(sample());
    for length in 1..good.len() {
        let entry = Entry::stored(good.slice(..length));
        assert!(Assembler::new(0, Timestamp::MIN).push(1, &entry).is_err(), "length {length}");
    }
}

#[test]
fn pieces_and_one_run_of_bytes_are_the_same_entry() {
    let pieces = entry(5, &[record(1, 8), record(2, 24)]);
    let run = Entry::stored(pieces.to_bytes());
    let units = |entry| Assembler::new(0, Timestamp::MIN).push(1, entry).expect("good");
    assert_eq!(units(&pieces), units(&run));
}

/// Parts of one unit, as a log that had to send some again may store them.
fn parts(bytes: &Bytes, cuts: &[usize]) -> Vec<Entry> {
    let mut bounds: Vec<usize> = cuts.iter().map(|c| c % bytes.len()).collect();
    bounds.extend([0, bytes.len()]);
    bounds.sort_unstable();
    bounds.dedup();
    let head = |start: usize, end: usize| PartHead {
        ts: Timestamp(9),
        request: RequestId(9),
        unit_bytes: bytes.len() as u64,
        offset: start as u64,
        part_bytes: (end - start) as u32,
        records: 2,
    };
    let part = |pair: &[usize]| {
        let mut entry = Entry::building();
        entry.part(&head(pair[0], pair[1]), [bytes.slice(pair[0]..pair[1])]);
        Entry::stored(entry.to_bytes())
    };
    bounds.windows(2).map(part).collect()
}

proptest! {
    #[test]
    fn parts_make_their_unit_in_any_order(
        cuts in proptest::collection::vec(any::<usize>(), 0..6),
        rotate in any::<usize>(),
    ) {
        let records = [record(1, 40), record(2, 80)];
        let joined: Vec<u8> = records.iter().flat_map(|r| r.bytes().to_vec()).collect();
        let mut parts = parts(&Bytes::from(joined), &cuts);
        let count = parts.len();
        parts.rotate_left(rotate % count);
        let mut assembler = Assembler::new(0, Timestamp::MIN);
        for (entry, seq) in parts.iter().zip(1u64..) {
            let units = assembler.push(seq, entry).unwrap();
            if seq < count as u64 {
                prop_assert!(units.is_empty());
                prop_assert_eq!(assembler.first_staged().map(|place| place.seq), Some(0));
            } else {
                prop_assert_eq!(&units[0].records[..], &records[..]);
                prop_assert_eq!(units[0].position, Position { seq, index: 0 });
                prop_assert_eq!(assembler.first_staged(), None);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 1..300)) {
        let entry = Entry::stored(Bytes::from(bytes));
        prop_assert!(Assembler::new(0, Timestamp::MIN).push(1, &entry).is_err());
    }

    /// Heads with wild numbers and a good checksum, over good and bad bodies.
    #[test]
    fn wild_heads_never_panic(
        unit_bytes in prop_oneof![any::<u64>(), 0u64..400],
        offset in prop_oneof![any::<u64>(), 0u64..400],
        part_bytes in prop_oneof![any::<u32>(), 0u32..400],
        records in any::<u32>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let head = PartHead {
            ts: Timestamp(5), request: RequestId(5), unit_bytes, offset, part_bytes, records,
        };
        let mut bytes = head.encode().to_vec();
        let good = sample();
        bytes.extend_from_slice(&good[PART_HEAD_BYTES..][..cut.index(good.len() - PART_HEAD_BYTES)]);
        let entry = Entry::stored(Bytes::from(bytes));
        let mut assembler = Assembler::new(0, Timestamp::MIN);
        let _ = assembler.push(1, &entry);
        let _ = assembler.push(2, &entry);
    }
}
