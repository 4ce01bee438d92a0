//! Graphs whose bytes are damaged.

use super::*;

fn small() -> (Rows, Vec<u8>) {
    let vectors = clustered(30, 90, 3, 7);
    let params = GraphParams { m: 2, ef_construction: 8 };
    let builder = GraphBuilder::new(Vectors::Float(&vectors), 3, &[], Metric::L2, params).unwrap();
    while builder.work(usize::MAX) {}
    let bytes = builder.finish();
    (Rows::new(Metric::L2, 3, vectors, params), bytes)
}

/// Searches of all kinds: they end, and return rows that are there.
fn search(rows: &Rows, graph: Graph) {
    let vectors = rows.vectors.clone();
    let rows = Rows { graph, vectors, inv_norms: Vec::new(), ..*rows };
    let mask = [0xF0F0_F0F0_F0F0_F0F0, 0x00FF_00FF];
    for mask in [None, Some(&mask[..])] {
        for way in [Strategy::Over, Strategy::Through] {
            let found = rows.found(&[0.1, 0.2, 0.3], mask, &plain(5, 9), Some(way));
            assert_eq!(found[0].len(), 5);
            assert!(found[0].iter().all(|hit| (1000..1090).contains(&hit.row)));
        }
    }
}

#[test]
fn every_changed_byte_is_found_and_breaks_nothing_before() {
    let (rows, bytes) = small();
    search(&rows, Graph::open(Bytes::from(bytes.clone())).unwrap());
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut bytes = bytes.clone();
            bytes[at] ^= flip;
            let Ok(graph) = Graph::open(Bytes::from(bytes)) else { continue };
            assert!(graph.verify().is_err(), "byte {at}");
            search(&rows, graph);
        }
    }
}

#[test]
fn every_truncated_graph_is_refused() {
    let (_, bytes) = small();
    for end in 0..bytes.len() {
        assert!(Graph::open(Bytes::copy_from_slice(&bytes[..end])).is_err(), "{end} bytes");
    }
    let mut longer = bytes;
    longer.extend([0; 64]);
    let error = Graph::open(Bytes::from(longer)).unwrap_err();
    assert_eq!(error.to_string(), "a graph is corrupt: its length is not what its header says");
}

proptest! {
    /// Sections full of nonsense: only the sums would tell.
    #[test]
    fn any_bytes_behind_the_header_are_searched_safely(seed in any::<u64>()) {
        let (rows, mut bytes) = small();
        for (byte, noise) in bytes[512..].iter_mut().zip(uniform(seed, 1 << 16)) {
            *byte = (noise * 1e6) as i32 as u8;
        }
        search(&rows, Graph::open(Bytes::from(bytes)).unwrap());
    }
}

#[test]
fn a_graph_says_what_it_was_built_with() {
    let (rows, _) = small();
    let graph = &rows.graph;
    assert_eq!((graph.rows(), graph.dim(), graph.metric()), (90, 3, Metric::L2));
    assert_eq!(graph.params(), GraphParams { m: 2, ef_construction: 8 });
}
