//! How long a table takes to be written, opened and checked, beside copying its bytes.
//!
//! `cargo run --release -p millstream-store --example table_speed [FOLDER]` keeps the file in FOLDER.

use std::hint::black_box;
use std::path::PathBuf;
use std::time::Instant;

use millstream_store::{
    Access, ColumnKind, Piece, Store, StoreError, Table, TableColumn, Values, Verify, write_table,
};

const ROWS: usize = 300_000;
const DIM: usize = 100;
/// Rows of a piece: segments are made of chunks of a few MiB.
const PIECE: usize = 10_000;

fn column<'a>(name: &'a str, kind: ColumnKind, pieces: Vec<Piece<'a>>) -> TableColumn<'a> {
    TableColumn { name, kind, meaning: None, pieces }
}

fn milliseconds<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = work();
    eprintln!("{what:<40} {:>9.3} ms", begin.elapsed().as_secs_f64() * 1e3);
    result
}

fn main() -> Result<(), StoreError> {
    let scratch = tempfile::tempdir().map_err(|e| StoreError::Input(e.to_string()))?;
    let folder = std::env::args().nth(1).map_or(scratch.path().to_owned(), PathBuf::from);
    let vectors: Vec<f32> = (0..ROWS * DIM).map(|place| place as f32 * 0.25).collect();
    let numbers: Vec<i64> = (0..ROWS as i64).collect();
    let offsets: Vec<u32> = (0..=ROWS as u32).map(|row| row * 12).collect();
    let text: Vec<u8> = (0..ROWS).flat_map(|row| format!("word-{row:07}").into_bytes()).collect();
    let flags: Vec<u8> = (0..ROWS).map(|row| u8::from(row % 3 == 0)).collect();
    let cut = |from: usize| from..from + PIECE;
    let starts = || (0..ROWS).step_by(PIECE);
    let vector = ColumnKind::FloatVector { dim: DIM as u32 };
    let in_parts =
        |start: usize| Piece::new(Values::of(&vectors[start * DIM..(start + PIECE) * DIM]));
    let columns = [
        column("pk", ColumnKind::Int64, vec![Piece::new(Values::of(&numbers))]),
        column("vector", vector, starts().map(in_parts).collect()),
        TableColumn {
            meaning: Some("varchar"),
            ..column(
                "word",
                ColumnKind::Utf8,
                starts()
                    .map(|start| Piece {
                        values: Values::Var {
                            offsets: &offsets[start..=start + PIECE],
                            bytes: &text,
                        },
                        validity: Some(&flags[cut(start)]),
                    })
                    .collect(),
            )
        },
        column("flag", ColumnKind::Bool, vec![Piece::new(Values::of(&flags))]),
        column("bits", ColumnKind::Fixed { width: 8 }, vec![Piece::new(Values::of(&numbers))]),
    ];
    let store = Store::open(&folder.display().to_string())?;
    let _ = store.delete_file("speed/table.arrow");
    let metadata = [("millstream:segment".to_owned(), "7/3".to_owned())];
    milliseconds("written to memory", || -> Result<(), StoreError> {
        let written = write_table(&mut Vec::new(), &columns, &metadata);
        written.map(drop).map_err(|e| StoreError::Input(e.to_string()))
    })?;
    let file = milliseconds("written to the store, synced", || {
        store.put_file("speed/table.arrow", |out| write_table(out, &columns, &metadata).map(drop))
    })?;
    eprintln!("{:<40} {:>9} bytes", "length", file.bytes);
    let bytes = milliseconds("mapped", || store.open_trusted(&file, Access::Mapped))?;
    milliseconds("checked by its checksum", || file.verify(&bytes))?;
    let table = milliseconds("opened", || Table::open(&file.name, bytes.clone()))?;
    milliseconds("a column with nulls", || black_box(table.column("word")));
    milliseconds("a column of vectors", || black_box(table.column("vector")));
    milliseconds("copied, for comparison", || black_box(bytes.to_vec()));
    Ok(())
}
