//! What a record promises, on good bytes and on bad ones.

use proptest::prelude::*;

use super::*;

fn sample() -> Record {
    let mut b = RecordBuilder::new(Kind::Upsert, CollectionId(7), PartitionId(9), 2, 3, 3);
    b.fixed(FieldId(100), DataType::Int64, 8, &[1; 24]);
    b.var(FieldId(101), DataType::VarChar, &[0, 1, 1, 4], b"abcd");
    b.validity(FieldId(101), &[1, 0, 1]);
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
    let validity: Vec<_> = columns.iter().map(|c| c.validity.as_deref()).collect();
    assert_eq!(validity, [None, Some(&[1, 0, 1][..]), None]);
    assert_eq!(record.column(FieldId(101)), columns.get(1).cloned());
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
fn values_that_are_too_large_together_are_refused() {
    let value = vec![7; RECORD_BYTES_MAX / 4];
    let field = FieldId(100);
    let mut record = RecordBuilder::new(Kind::Insert, CollectionId(1), PartitionId(1), 0, 0, 6);
    let values = [&value[..], &value, &value, &value[..9], &value, b""];
    record.var_values(field, DataType::VarChar, values);
    assert_eq!(record.finish().err(), Some(BuildError::TooLarge(RECORD_BYTES_MAX + 9)));
}

#[test]
fn a_validity_that_is_none_is_refused() {
    let (field, other) = (FieldId(100), FieldId(101));
    let builder = || {
        let mut b = RecordBuilder::new(Kind::Insert, CollectionId(1), PartitionId(1), 0, 0, 2);
        b.fixed(field, DataType::Int8, 1, &[0, 0]);
        b
    };
    let refused = |validity: fn(&mut RecordBuilder)| {
        let mut b = builder();
        validity(&mut b);
        b.finish().err()
    };
    assert_eq!(refused(|b| b.validity(FieldId(101), &[1, 0])), Some(BuildError::Validity(other)));
    assert_eq!(refused(|b| b.validity(FieldId(100), &[1, 2])), Some(BuildError::Validity(field)));
    let length = BuildError::Length { field, rows: 2, expected: 2, actual: 1 };
    assert_eq!(refused(|b| b.validity(FieldId(100), &[1])), Some(length));
    let twice = |b: &mut RecordBuilder| {
        b.validity(FieldId(100), &[1, 0]);
        b.validity(FieldId(100), &[1, 0]);
    };
    assert_eq!(refused(twice), Some(BuildError::Validity(field)));
    let beyond = |b: &mut RecordBuilder| b.validity_gather(FieldId(100), &[1, 0], &[0, 2]);
    assert_eq!(refused(beyond), Some(BuildError::Row { field, row: 2 }));
}

#[test]
fn a_gathered_validity_is_there_only_when_a_row_is_null() {
    let gathered = |rows: &[u32]| {
        let mut b = RecordBuilder::new(Kind::Update, CollectionId(1), PartitionId(1), 0, 0, 2);
        b.fixed(FieldId(100), DataType::Int8, 1, &[7, 0]);
        b.validity_gather(FieldId(100), &[1, 0, 1], rows);
        let record = Record::open(b.finish().expect("built").bytes().clone()).expect("good");
        record.column(FieldId(100)).expect("there").validity
    };
    assert_eq!(gathered(&[2, 1]).as_deref(), Some(&[1, 0][..]));
    assert_eq!(gathered(&[2, 0]), None);
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
    let nulls: usize = record.columns().filter_map(|c| c.validity).map(|v| v.len()).sum();
    columns + nulls + record.blob().map_or(0, |b| b.len())
}

const TYPES: [DataType; 16] = [
    DataType::Bool,
    DataType::Int8,
    DataType::Int16,
    DataType::Int32,
    DataType::Int64,
    DataType::Float,
    DataType::Double,
    DataType::VarChar,
    DataType::Array,
    DataType::Json,
    DataType::BinaryVector,
    DataType::FloatVector,
    DataType::Float16Vector,
    DataType::BFloat16Vector,
    DataType::SparseFloatVector,
    DataType::Int8Vector,
];

/// A column as the test keeps it: 40 rows, `None` where the row is null.
#[derive(Clone, Debug)]
struct AnyColumn {
    data_type: DataType,
    width: Option<usize>,
    rows: Vec<Option<Vec<u8>>>,
}

impl AnyColumn {
    fn null(&self) -> Vec<u8> {
        vec![0; self.width.unwrap_or(0)]
    }
}

fn any_columns() -> impl Strategy<Value = Vec<AnyColumn>> {
    let column = (prop::sample::select(TYPES.to_vec()), 1usize..40, any::<bool>()).prop_flat_map(
        |(data_type, vector_bytes, nulls)| {
            let scalar = data_type.scalar_width();
            let width = (!data_type.is_variable()).then(|| scalar.unwrap_or(vector_bytes));
            let lengths = width.map_or(0..30, |width| width..width + 1);
            let value = proptest::collection::vec(any::<u8>(), lengths);
            let row = prop::option::weighted(0.7, value.clone());
            let rows = if nulls { row.boxed() } else { value.prop_map(Some).boxed() };
            proptest::collection::vec(rows, 40).prop_map(move |rows| AnyColumn {
                data_type,
                width,
                rows,
            })
        },
    );
    proptest::collection::vec(column, 0..6)
}

/// The record of the chosen rows of columns, written and opened.
fn write(columns: &[AnyColumn], rows: &[u32]) -> Record {
    let count = rows.len() as u32;
    let mut b = RecordBuilder::new(Kind::Insert, CollectionId(1), PartitionId(2), 0, 1, count);
    for (field, column) in (100..).map(FieldId).zip(columns) {
        let null = column.null();
        let value = |row: &u32| column.rows[*row as usize].as_deref().unwrap_or(&null);
        match column.width {
            Some(width) => {
                let source: Vec<u8> = (0..40).flat_map(|row| value(&row).to_vec()).collect();
                b.fixed_gather(field, column.data_type, width, &source, rows);
            }
            None => b.var_values(field, column.data_type, rows.iter().map(value)),
        }
        let valid: Vec<u8> = column.rows.iter().map(|row| u8::from(row.is_some())).collect();
        b.validity_gather(field, &valid, rows);
    }
    Record::open(b.finish().expect("built").bytes().clone()).expect("good")
}

proptest! {
    #[test]
    fn columns_of_every_type_come_back_with_their_nulls(
        columns in any_columns(),
        pick in proptest::collection::vec(any::<prop::sample::Index>(), 0..40),
        rows in 1usize..40,
    ) {
        let pick: Vec<u32> = pick.iter().map(|at| at.index(rows) as u32).collect();
        let all: Vec<u32> = (0..rows as u32).collect();
        for rows in [&all, &pick] {
            let record = write(&columns, rows);
            let back: Vec<Column> = record.columns().collect();
            prop_assert_eq!(back.len(), columns.len());
            for (column, back) in columns.iter().zip(&back) {
                prop_assert_eq!(record.column(back.field), Some(back.clone()));
                prop_assert_eq!(column.data_type, back.data_type);
                let null = column.null();
                for (i, &row) in rows.iter().enumerate() {
                    let value = column.rows[row as usize].as_deref();
                    let valid = back.validity.as_ref().is_none_or(|v| v[i] == 1);
                    prop_assert_eq!(value.is_some(), valid);
                    prop_assert_eq!(value.unwrap_or(&null), back.data.value(i));
                }
            }
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
        section in 0usize..5,
        place in prop::sample::select(vec![8usize, 12, 16, 20, 24]),
        value in prop_oneof![any::<u32>(), 0u32..300, Just(u32::MAX)],
    ) {
        let mut bytes = sample().bytes().to_vec();
        let entry = bytes.len() - (5 - section) * SECTION_BYTES;
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
