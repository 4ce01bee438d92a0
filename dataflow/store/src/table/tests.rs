//! Tables: writing and reading are inverses, Arrow's own reader agrees, damage is an error.

mod damage;
mod model;

use std::io::{self, Cursor, Write};

use arrow_array::Array;
use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::FileRef;
use crate::checksum::Verify;
use crate::error::WriteError;
use model::{Given, given_tables};

fn write(columns: &[TableColumn<'_>], metadata: &[(&str, &str)]) -> Result<Vec<u8>, WriteError> {
    let metadata: Vec<_> = metadata.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
    let mut out = Vec::new();
    let written = write_table(&mut out, columns, &metadata)?;
    let file = FileRef { name: "t".into(), bytes: written.bytes, crc32c: written.crc32c };
    file.verify(&out).expect("what was written is what was counted");
    Ok(out)
}

fn refused(columns: &[TableColumn<'_>]) -> String {
    match write(columns, &[]) {
        Err(WriteError::Input(text)) => text,
        other => panic!("written: {other:?}"),
    }
}

fn fixed<'a>(name: &'a str, kind: ColumnKind, values: &'a [u8]) -> TableColumn<'a> {
    TableColumn { name, kind, meaning: None, pieces: vec![Piece::new(Values::Fixed(values))] }
}

fn text<'a>(offsets: &'a [u32], bytes: &'a [u8]) -> TableColumn<'a> {
    let pieces = vec![Piece::new(Values::Var { offsets, bytes })];
    TableColumn { name: "text", kind: ColumnKind::Utf8, meaning: Some("json"), pieces }
}

fn check_ours(bytes: Vec<u8>, given: &[Given]) -> Result<(), TestCaseError> {
    let table = Table::open("t", bytes.into()).expect("a whole file");
    prop_assert_eq!(table.metadata("segment"), Some("7/3"));
    prop_assert_eq!(table.metadata("other"), None);
    prop_assert_eq!(table.column_names().count(), given.len());
    prop_assert!(table.column("no such column").is_none());
    for column in given {
        let whole = column.whole();
        let read = table.column(&column.name).expect("a column that was written");
        prop_assert_eq!(read.kind, column.kind);
        prop_assert_eq!(&read.values[..], &whole.bytes[..]);
        prop_assert_eq!(read.offsets(), &whole.offsets[..]);
        prop_assert_eq!(read.validity.as_deref(), whole.validity.as_deref());
        prop_assert_eq!(table.rows(), whole.rows);
        prop_assert_eq!(read.values.as_ptr().addr() % 64, 0);
        prop_assert!(read.offsets.is_none_or(|bytes| bytes.as_ptr().addr() % 64 == 0));
    }
    Ok(())
}

fn check_arrow(bytes: &[u8], given: &[Given]) -> Result<(), TestCaseError> {
    let mut reader = arrow_ipc::reader::FileReader::try_new(Cursor::new(bytes), None).unwrap();
    let schema = reader.schema();
    prop_assert_eq!(schema.metadata().get("segment").map(String::as_str), Some("7/3"));
    let batch = reader.next().expect("one batch").expect("a batch that can be read");
    prop_assert!(reader.next().is_none());
    for (number, column) in given.iter().enumerate() {
        let whole = column.whole();
        prop_assert_eq!(schema.field(number).name(), &column.name);
        prop_assert_eq!(schema.field(number).data_type(), &column.kind.arrow());
        prop_assert!(schema.field(number).is_nullable());
        let data = batch.column(number).to_data();
        data.validate_full().expect("valid for Arrow");
        prop_assert_eq!(data.len(), whole.rows);
        for row in 0..whole.rows {
            let valid = whole.validity.as_ref().is_none_or(|valid| valid[row] != 0);
            prop_assert_eq!(data.is_valid(row), valid);
        }
        let mut buffers: Vec<_> = data.buffers().to_vec();
        buffers.extend(data.child_data().iter().flat_map(|child| child.buffers().to_vec()));
        let values = buffers.pop().expect("values");
        prop_assert_eq!(&values.as_slice()[..whole.bytes.len()], &whole.bytes[..]);
        if let Some(offsets) = buffers.pop() {
            let offsets = offsets.typed_data::<u32>();
            prop_assert_eq!(&offsets[..whole.offsets.len()], &whole.offsets[..]);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_table_is_read_as_it_was_written_and_arrow_agrees(given in given_tables()) {
        let columns: Vec<_> = given.iter().map(Given::column).collect();
        let bytes = write(&columns, &[("segment", "7/3")]).unwrap();
        check_arrow(&bytes, &given)?;
        check_ours(bytes, &given)?;
    }
}

#[test]
fn long_columns_are_the_same_across_blocks() {
    let rows = 200_001;
    let values: Vec<i64> = (0..rows).map(|row| row * 7).collect();
    let offsets: Vec<u32> = (0..=rows as u32).map(|row| 5 + row * 3).collect();
    let bytes = vec![b'x'; 5 + rows as usize * 3];
    let validity: Vec<u8> = (0..rows).map(|row| u8::from(row % 5 != 0)).collect();
    let part = |from: usize, to: usize| Piece {
        values: Values::Var { offsets: &offsets[from..=to], bytes: &bytes },
        validity: Some(&validity[from..to]),
    };
    let mut column = text(&[], &[]);
    column.pieces = vec![part(0, 70_003), part(70_003, 150_000), part(150_000, rows as usize)];
    let numbers = TableColumn {
        name: "pk",
        kind: ColumnKind::Int64,
        meaning: None,
        pieces: vec![Piece::new(Values::of(&values))],
    };
    let table = Table::open("t", write(&[numbers, column], &[]).unwrap().into()).unwrap();
    let read = table.column("pk").unwrap();
    assert_eq!(read.values_as::<i64>(), Some(&values[..]));
    assert_eq!((read.validity, read.nulls, read.meaning), (None, 0, None));
    let read = table.column("text").unwrap();
    assert!(read.offsets().iter().zip(0..=rows as u32).all(|(offset, row)| *offset == row * 3));
    assert_eq!(read.validity.as_deref(), Some(&validity[..]));
    assert_eq!((read.nulls, read.meaning.as_deref()), (rows as usize / 5 + 1, Some("json")));
}

#[test]
fn a_mapped_table_shares_the_memory_of_its_file() {
    let bytes = Bytes::from(write(&[fixed("a", ColumnKind::Int32, &[1; 400])], &[]).unwrap());
    let bytes = crate::map::aligned(bytes);
    let table = Table::open("t", bytes.clone()).unwrap();
    let range = bytes.as_ptr_range();
    assert!(range.contains(&table.column("a").unwrap().values.as_ptr()));
}

#[test]
fn a_table_may_have_no_rows_or_no_columns() {
    let table = Table::open("t", write(&[], &[("a", "b")]).unwrap().into()).unwrap();
    assert_eq!(
        (table.rows(), table.metadata("a"), table.column_names().count()),
        (0, Some("b"), 0)
    );
    let empty = [fixed("a", ColumnKind::FloatVector { dim: 3 }, &[]), text(&[], &[])];
    let table = Table::open("t", write(&empty, &[]).unwrap().into()).unwrap();
    assert_eq!(table.rows(), 0);
    assert_eq!(table.column("a").unwrap().values_as::<f32>(), Some(&[][..]));
    assert_eq!(table.column("text").unwrap().offsets(), &[0]);
}

#[test]
fn booleans_are_bytes_that_say_what_they_are() {
    let bytes = write(&[fixed("b", ColumnKind::Bool, &[1, 0, 1])], &[]).unwrap();
    let column = Table::open("t", bytes.into()).unwrap().column("b").unwrap();
    assert_eq!((column.kind, &column.values[..]), (ColumnKind::Bool, &[1, 0, 1][..]));
    assert_eq!(column.meaning.as_deref(), Some("bool"));
}

#[test]
fn what_cannot_be_written_is_refused_by_name_before_a_byte_is_written() {
    let a = || fixed("a", ColumnKind::Int32, &[0; 8]);
    let vector = |dim| fixed("a", ColumnKind::FloatVector { dim }, &[]);
    for (columns, expected) in [
        (vec![a(), a()], "two columns named \"a\""),
        (vec![a(), fixed("b", ColumnKind::Int8, &[0; 3])], "column \"b\" has 3 rows, not 2"),
        (vec![fixed("a", ColumnKind::Int32, &[0; 7])], "piece 0: 7 bytes are no rows of 4"),
        (vec![fixed("a", ColumnKind::Utf8, &[0; 7])], "not laid out as Utf8"),
        (vec![vector(0)], "FloatVector { dim: 0 } is no width"),
        (vec![vector(1 << 30)], "is no width"),
        (vec![text(&[2, 1], b"ab")], "the offsets decrease"),
        (vec![text(&[0, 3], b"ab")], "offset 3 is past the 2 bytes"),
        (vec![text(&[0, 1], b"\xff")], "the text is not UTF-8"),
        (vec![text(&[0, 1, 2], "ä".as_bytes())], "a value begins inside a character"),
    ] {
        let text = refused(&columns);
        assert!(text.contains(expected), "{text}");
    }
    let mut column = a();
    column.pieces[0].validity = Some(&[1]);
    assert!(refused(&[column]).contains("2 rows and 1 bytes of validity"));
    let twice = write(&[], &[("k", "1"), ("k", "2")]).unwrap_err().to_string();
    assert!(twice.contains("two metadata values for \"k\""), "{twice}");
}

#[test]
fn values_of_different_lengths_stay_below_2_gib() {
    // The same memory over and over: nothing of this size is ever allocated.
    let bytes = vec![b'a'; 64 << 20];
    let offsets = [0, bytes.len() as u32];
    let mut column = text(&offsets, &bytes);
    column.kind = ColumnKind::Binary;
    column.pieces = vec![column.pieces[0]; 32];
    let text = refused(std::slice::from_ref(&column));
    assert!(text.contains("2147483648 bytes are more than the 2147483647 of a file"), "{text}");
}

#[test]
fn a_disk_that_fills_up_is_an_error_of_the_writer() {
    struct Short(usize);
    impl Write for Short {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let columns = [fixed("a", ColumnKind::Int32, &[1; 4_000])];
    let whole = write(&columns, &[]).unwrap().len();
    for room in (0..whole).step_by(61) {
        let failed = write_table(&mut Short(room), &columns, &[]).unwrap_err();
        assert!(matches!(failed, WriteError::Io(e) if e.kind() == io::ErrorKind::StorageFull));
    }
    assert!(write_table(&mut Short(whole), &columns, &[]).is_ok());
}
