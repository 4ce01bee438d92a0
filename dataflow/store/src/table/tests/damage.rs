//! Damaged tables: found by the checksum, and never more than an error without it.

use proptest::prelude::*;

use super::*;

/// A table with every way in which a column can lie in a file.
fn small() -> Vec<u8> {
    let mut nullable = text(&[1, 3, 3, 6], b"abcdefgh");
    nullable.pieces[0].validity = Some(&[1, 0, 1]);
    let mut vectors = fixed("v", ColumnKind::FloatVector { dim: 2 }, &[9; 24]);
    vectors.pieces[0].validity = Some(&[0, 1, 1]);
    let columns = [
        fixed("pk", ColumnKind::Int64, &[3; 24]),
        fixed("b", ColumnKind::Bool, &[1, 0, 1]),
        fixed("h", ColumnKind::Fixed { width: 4 }, &[5; 12]),
        vectors,
        nullable,
    ];
    write(&columns, &[("segment", "7/3")]).unwrap()
}

fn reference(bytes: &[u8]) -> FileRef {
    FileRef { name: "c/1.arrow".into(), bytes: bytes.len() as u64, crc32c: crc32c::crc32c(bytes) }
}

/// Opens what may be damaged, and touches everything in it.
fn touch(bytes: &[u8]) -> Option<usize> {
    let table = Table::open("t", bytes.to_vec().into()).ok()?;
    let names: Vec<String> = table.column_names().map(str::to_owned).collect();
    let mut sum = table.rows();
    for name in names {
        let column = table.column(&name).expect("a column by its name");
        let ranges = column.offsets().windows(2).map(|w| w[0] as usize..w[1] as usize);
        sum += ranges.map(|range| column.values[range].len()).sum::<usize>();
        sum += column.values.iter().map(|byte| *byte as usize).sum::<usize>();
        if let Some(width) = column.kind.width() {
            assert_eq!(column.values.len(), width * table.rows());
        }
        let rows = column.validity.map(|validity| validity.len());
        assert!(rows.is_none_or(|rows| rows == table.rows()));
    }
    Some(sum)
}

#[test]
fn every_flipped_bit_is_found_by_the_checksum_and_breaks_nothing_without_it() {
    let bytes = small();
    let file = reference(&bytes);
    assert_eq!(file.verify(&bytes), Ok(()));
    assert!(touch(&bytes).is_some());
    let mut refused = 0;
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[place] ^= 1 << bit;
            let found = file.verify(&damaged).unwrap_err();
            assert!(found.to_string().contains("c/1.arrow is damaged: its CRC32C is"), "{found}");
            refused += usize::from(touch(&damaged).is_none());
        }
    }
    assert!(refused > bytes.len() / 4, "{refused} of {} bits were noticed", bytes.len() * 8);
}

#[test]
fn every_byte_may_be_anything() {
    let bytes = small();
    for place in 0..bytes.len() {
        for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut damaged = bytes.clone();
            damaged[place] = value;
            touch(&damaged);
        }
    }
}

#[test]
fn every_truncation_is_found() {
    let bytes = small();
    let file = reference(&bytes);
    for end in 0..bytes.len() {
        let found = file.verify(&bytes[..end]).unwrap_err().to_string();
        assert!(found.contains(&format!("it has {end} bytes, {}", bytes.len())), "{found}");
        assert!(touch(&bytes[..end]).is_none());
        touch(&[&bytes[..end], b"ARROW1"].concat());
        touch(&bytes[end..]);
    }
}

#[test]
fn the_error_names_the_file_and_what_is_wrong() {
    let error = Table::open("12/7.arrow", Bytes::from_static(b"hello")).unwrap_err();
    assert_eq!(error.to_string(), "12/7.arrow is damaged: not an Arrow file");
}

#[test]
fn a_table_of_another_version_is_refused() {
    let bytes = small();
    let key = VERSION_KEY.as_bytes();
    let at = bytes.windows(key.len()).rposition(|window| window == key).expect("the footer's key");
    let mut other = bytes;
    other[at] = b'X';
    let error = Table::open("t", other.into()).unwrap_err();
    assert!(error.what.contains("no millstream:table in its metadata"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn no_damage_is_more_than_an_error(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
        repeat in 0usize..3,
    ) {
        let mut bytes = small();
        for (place, value) in damage {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        let cut = cut.index(bytes.len());
        match repeat {
            0 => {}
            1 => drop(bytes.drain(..cut / 64 * 64)),
            _ => bytes.splice(cut..cut, [0; 64]).for_each(drop),
        }
        touch(&bytes);
    }
}
