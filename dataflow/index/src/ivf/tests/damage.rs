//! Lists whose bytes are damaged.

use super::super::layout::HEADER_BYTES;
use super::*;

fn small(kind: IvfKind) -> (Rows, Vec<u8>) {
    let vectors = clustered(30, 130, 3, 7);
    let params = IvfParams { kind, nlist: 3 };
    let bytes = built(Vectors::Float(&vectors), 3, &[], Metric::L2, params, 1);
    (Rows::new(kind, Metric::L2, 3, vectors, 3), bytes)
}

/// Searches of all kinds: they end, and return rows that are there.
fn search(rows: &Rows, ivf: Ivf) {
    let vectors = rows.vectors.clone();
    let rows = Rows { ivf, vectors, inv_norms: Vec::new(), ..*rows };
    let mask = [0xF0F0_F0F0_F0F0_F0F0, 0x00FF_00FF, 1];
    for mask in [None, Some(&mask[..])] {
        for (nprobe, queries) in [(1, vec![0.1; 3]), (2, vec![0.2; 6]), (3, vec![-0.1; 9])] {
            for hits in rows.found(&queries, mask, 5, nprobe) {
                assert_eq!(hits.len(), 5);
                assert!(hits.iter().all(|hit| (1000..1130).contains(&hit.row)));
            }
        }
    }
}

#[test]
fn every_changed_byte_is_found_and_breaks_nothing_before() {
    for kind in NUMBERS {
        let (rows, bytes) = small(kind);
        let ivf = Ivf::open(Bytes::from(bytes.clone())).unwrap();
        assert!(ivf.verify().is_ok() && ivf.lists() == 3);
        search(&rows, ivf);
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xFF] {
                let mut bytes = bytes.clone();
                bytes[at] ^= flip;
                let Ok(ivf) = Ivf::open(Bytes::from(bytes)) else { continue };
                assert!(ivf.verify().is_err(), "byte {at}");
                search(&rows, ivf);
            }
        }
    }
}

#[test]
fn every_truncated_file_is_refused() {
    for kind in NUMBERS {
        let (_, bytes) = small(kind);
        for end in 0..bytes.len() {
            assert!(Ivf::open(Bytes::copy_from_slice(&bytes[..end])).is_err(), "{end} bytes");
        }
        let mut longer = bytes;
        longer.extend([0; 64]);
        let error = Ivf::open(Bytes::from(longer)).unwrap_err().to_string();
        let due = "an index of lists is corrupt: its length is not what its header says";
        assert_eq!(error, due);
    }
}

proptest! {
    /// Sections full of nonsense: only the sums would tell.
    #[test]
    fn any_bytes_behind_the_header_are_searched_safely(
        seed in any::<u64>(),
        kind in select(NUMBERS.to_vec()),
    ) {
        let (rows, mut bytes) = small(kind);
        for (byte, noise) in bytes[HEADER_BYTES..].iter_mut().zip(uniform(seed, 1 << 16)) {
            *byte = (noise * 1e6) as i32 as u8;
        }
        search(&rows, Ivf::open(Bytes::from(bytes)).unwrap());
    }

    /// Headers whose sum is right and whose words are not.
    #[test]
    fn any_header_is_refused_or_describes_its_bytes(at in 3_usize..12, word in any::<u32>()) {
        let (rows, mut bytes) = small(IvfKind::Sq8);
        bytes[at * 4..at * 4 + 4].copy_from_slice(&word.to_le_bytes());
        let sum = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]);
        bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&sum.to_le_bytes());
        if let Ok(ivf) = Ivf::open(Bytes::from(bytes)) {
            prop_assert!(ivf.lists() <= super::super::NLIST_MAX);
            if (ivf.rows(), ivf.dim(), ivf.metric()) == (130, 3, Metric::L2) {
                search(&rows, ivf);
            }
        }
    }
}

#[test]
fn lists_say_what_they_were_built_with() {
    let (rows, _) = small(IvfKind::Sq8);
    let ivf = &rows.ivf;
    assert_eq!((ivf.rows(), ivf.dim(), ivf.metric(), ivf.lists()), (130, 3, Metric::L2, 3));
    assert_eq!(ivf.params(), IvfParams { kind: IvfKind::Sq8, nlist: 3 });
}
