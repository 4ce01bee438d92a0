//! What a record promises, on good bytes and on bad ones.

use proptest::prelude::*;

use super::*;

fn sample() -> Record {
    let mut b = RecordBuilder::new(Kind::Upsert, CollectionId(7), PartitionId(9), 2, 3, 3);
    b.fixed(FieldId(100), DataType::Int64, 8, &[1; 24]);
    b.var(FieldId(101), DataType::VarChar, &[0, 1, 1, 4], b"abcd");
    b.fixed(FieldId(102), DataType::FloatVector, 12, &[5; 36]);
    b.blob(b"plan");
    b.finish().expect("built")
}

#[test]
fn a_record_gives_back_what_was_written() {
    let record = Record::open(sample().bytes().clone()).expect("good");
    assert_eq!(record.kind(), Kind::Upsert);
    assert_eq!((record.collection(), record.partition()), (CollectionId(7), PartitionId(9)));
    assert_eq!((record.shard(), record.schema_version(), record.rows()), (2, 3, 3));
    let columns: Vec<Column> = record.columns().collect();
    assert_eq!(columns.len(), 3);
    assert_eq!(columns[0].data.i64s().collect::<Vec<_>>(), [0x0101_0101_0101_0101; 3]);
    assert_eq!(columns[1].data.offsets().collect::<Vec<_>>(), [0, 1, 1, 4]);
    let texts: Vec<&[u8]> = (0..4).map(|row| columns[1].data.value(row)).collect();
    assert_eq!(texts, [&b"a"[..], b"", b"bcd", b""]);
    assert_eq!(columns[2].data.value(2), [5; 12]);
    assert_eq!(record.blob().as_deref(), Some(&b"plan"[..]));
    assert_eq!(record.column(FieldId(102)).map(|c| c.data_type), Some(DataType::FloatVector));
    assert_eq!(record.column(FieldId(1)), None);
}

#[test]
fn gathered_columns_hold_the_rows_asked_for() {
    let mut b = RecordBuilder::new(Kind::Insert, CollectionId(1), PartitionId(1), 0, 0, 2);
    b.fixed_gather(FieldId(100), DataType::Int16, 2, &[1, 1, 2, 2, 3, 3], &[2, 0]);
    let texts = ["a", "bb", "ccc"];
    b.var_values(FieldId(101), DataType::VarChar, [2, 0].map(|row: usize| texts[row].as_bytes()));
    let record = b.finish().expect("built");
    assert_eq!(record.column(FieldId(100)).expect("there").data.value(0), [3, 3]);
    assert_eq!(record.column(FieldId(101)).expect("there").data.value(0), b"ccc");
    assert_eq!(record.column(FieldId(101)).expect("there").data.value(1), b"a");
}

#[test]
fn columns_that_do_not_fit_the_rows_are_refused() {
    let builder = || RecordBuilder::new(Kind::Insert, CollectionId(1), PartitionId(1), 0, 0, 2);
    let field = FieldId(100);
    let mut short = builder();
    short.fixed(field, DataType::Int64, 8, &[0; 8]);
    let length = BuildError::Length { field, rows: 2, expected: 16, actual: 8 };
    assert_eq!(short.finish().err(), Some(length));
    let mut falling = builder();
    falling.var(field, DataType::VarChar, &[0, 3, 2], b"ab");
    assert_eq!(falling.finish().err(), Some(BuildError::Offsets(field)));
    let mut beyond = builder();
    beyond.fixed_gather(field, DataType::Int8, 1, &[1, 2], &[0, 2]);
    assert_eq!(beyond.finish().err(), Some(BuildError::Row { field, row: 2 }));
    let mut many = builder();
    many.var_values(field, DataType::VarChar, [&b"a"[..], b"b", b"c"]);
    assert!(matches!(many.finish(), Err(BuildError::Length { actual: 3, .. })));
    let mut twice = builder();
    twice.blob(b"a");
    twice.blob(b"b");
    assert_eq!(twice.finish().err(), Some(BuildError::TooMany));
}

#[test]
fn every_flipped_bit_of_a_record_is_noticed() {
    let good = sample().bytes().to_vec();
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(Record::open(Bytes::from(bad)).is_err(), "bit {bit}");
    }
}

#[test]
fn every_shortened_record_is_noticed() {
    let good = sample().bytes().clone();
    for length in 0..good.len() {
        assert!(Record::open(good.slice(..length)).is_err(), "length {length}");
    }
}

/// Reads everything there is to read.
fn read_all(record: &Record) -> usize {
    let columns: usize = record
        .columns()
        .map(|c| c.data.i64s().count() + c.data.offsets().count() + c.data.value(0).len())
        .sum();
    columns + record.blob().map_or(0, |b| b.len())
}

proptest! {
    #[test]
    fn any_columns_come_back(
        fixed in proptest::collection::vec(any::<i64>(), 0..50),
        seed in any::<u64>(),
    ) {
        let rows = fixed.len() as u32;
        let texts: Vec<Vec<u8>> = fixed.iter().map(|v| {
            vec![*v as u8; (v.unsigned_abs().wrapping_add(seed) % 9) as usize]
        }).collect();
        let bytes: Vec<u8> = fixed.iter().flat_map(|v| v.to_le_bytes()).collect();
        let mut b = RecordBuilder::new(Kind::Insert, CollectionId(1), PartitionId(2), 0, 1, rows);
        b.fixed(FieldId(100), DataType::Int64, 8, &bytes);
        b.var_values(FieldId(101), DataType::Json, texts.iter().map(Vec::as_slice));
        let record = Record::open(b.finish().unwrap().bytes().clone()).unwrap();
        let columns: Vec<Column> = record.columns().collect();
        prop_assert_eq!(columns[0].data.i64s().collect::<Vec<_>>(), fixed);
        for (row, text) in texts.iter().enumerate() {
            prop_assert_eq!(columns[1].data.value(row), text.as_slice());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Record::open(Bytes::from(bytes.clone())).is_err());
        prop_assert!(Record::trust(Bytes::from(bytes)).is_err());
    }

    /// With the checksum made good again only the structure is left to refuse the bytes.
    #[test]
    fn changed_bytes_with_a_good_checksum_never_panic(
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        keep in any::<prop::sample::Index>(),
    ) {
        let mut bytes = sample().bytes().to_vec();
        bytes.truncate(HEADER_BYTES + keep.index(bytes.len() - HEADER_BYTES) + 1);
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let crc = checksum(&bytes);
        bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        if let Ok(record) = Record::open(Bytes::from(bytes)) {
            read_all(&record);
        }
    }

    /// Lengths, offsets and counts of any size, with a good checksum.
    #[test]
    fn wild_numbers_with_a_good_checksum_never_panic(
        at in prop::sample::select(vec![24usize, 34, 36, 48]),
        number in any::<u32>(),
        section in 0usize..4,
        place in prop::sample::select(vec![8usize, 12, 16, 20, 24]),
        value in prop_oneof![any::<u32>(), 0u32..300, Just(u32::MAX)],
    ) {
        let mut bytes = sample().bytes().to_vec();
        let entry = bytes.len() - (4 - section) * SECTION_BYTES;
        bytes[entry + place..entry + place + 4].copy_from_slice(&value.to_le_bytes());
        if number % 2 == 0 {
            bytes[at..at + 2].copy_from_slice(&number.to_le_bytes()[2..]);
        }
        let crc = checksum(&bytes);
        bytes[CRC_AT..CRC_AT + 4].copy_from_slice(&crc.to_le_bytes());
        if let Ok(record) = Record::open(Bytes::from(bytes)) {
            read_all(&record);
        }
    }
}
