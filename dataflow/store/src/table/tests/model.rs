//! Columns in pieces of any shape, and what they are as a whole.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{ColumnKind, Piece, TableColumn, Values};

/// A piece with memory of its own.
#[derive(Clone, Debug)]
pub(super) struct GivenPiece {
    offsets: Vec<u32>,
    bytes: Vec<u8>,
    validity: Option<Vec<u8>>,
    rows: usize,
}

/// A column with memory of its own.
#[derive(Clone, Debug)]
pub(super) struct Given {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
    pub(super) pieces: Vec<GivenPiece>,
}

/// A column as one piece.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) rows: usize,
    pub(super) offsets: Vec<u32>,
    pub(super) bytes: Vec<u8>,
    pub(super) validity: Option<Vec<u8>>,
}

impl Given {
    pub(super) fn column(&self) -> TableColumn<'_> {
        let var = self.kind.width().is_none();
        let pieces = self.pieces.iter().map(|piece| Piece {
            values: match var {
                true => Values::Var { offsets: &piece.offsets, bytes: &piece.bytes },
                false => Values::Fixed(&piece.bytes),
            },
            validity: piece.validity.as_deref(),
        });
        TableColumn { name: &self.name, kind: self.kind, meaning: None, pieces: pieces.collect() }
    }

    pub(super) fn whole(&self) -> Whole {
        let mut whole = Whole::default();
        let mut validity = Vec::new();
        let var = self.kind.width().is_none();
        if var {
            whole.offsets.push(0);
        }
        for piece in &self.pieces {
            whole.rows += piece.rows;
            validity.extend(piece.validity.clone().unwrap_or(vec![1; piece.rows]));
            if !var {
                whole.bytes.extend(&piece.bytes);
            }
            for ends in piece.offsets.windows(2) {
                whole.bytes.extend(&piece.bytes[ends[0] as usize..ends[1] as usize]);
                whole.offsets.push(whole.bytes.len() as u32);
            }
        }
        whole.validity = validity.contains(&0).then_some(validity);
        whole
    }
}

fn kinds() -> impl Strategy<Value = ColumnKind> {
    prop_oneof![
        prop::sample::select(vec![
            ColumnKind::Bool,
            ColumnKind::Int8,
            ColumnKind::Int16,
            ColumnKind::Int32,
            ColumnKind::Int64,
            ColumnKind::UInt32,
            ColumnKind::UInt64,
            ColumnKind::Float32,
            ColumnKind::Float64,
        ]),
        (1u32..9).prop_map(|dim| ColumnKind::FloatVector { dim }),
        (1u32..9).prop_map(|dim| ColumnKind::Int8Vector { dim }),
        (1u32..9).prop_map(|width| ColumnKind::Fixed { width }),
        Just(ColumnKind::Utf8),
        Just(ColumnKind::Binary),
    ]
}

/// `rows` rows of a kind; values of different lengths may have something before and behind them.
fn pieces(kind: ColumnKind, rows: usize) -> BoxedStrategy<GivenPiece> {
    let validity = prop::option::of(vec(0u8..=1, rows));
    let Some(width) = kind.width() else {
        let value = match kind {
            ColumnKind::Utf8 => ".{0,5}".prop_map(String::into_bytes).boxed(),
            _ => vec(any::<u8>(), 0..9).boxed(),
        };
        return (vec(value, rows), vec(any::<u8>(), 0..5), any::<bool>(), validity)
            .prop_map(move |(values, around, bare, validity)| {
                let mut bytes = around.clone();
                let mut offsets = vec![bytes.len() as u32];
                for value in values {
                    bytes.extend(value);
                    offsets.push(bytes.len() as u32);
                }
                bytes.extend(around);
                if rows == 0 && bare {
                    offsets.clear();
                }
                GivenPiece { offsets, bytes, validity, rows }
            })
            .boxed();
    };
    (vec(any::<u8>(), rows * width), validity)
        .prop_map(move |(bytes, validity)| GivenPiece { offsets: vec![], bytes, validity, rows })
        .boxed()
}

fn columns(rows: usize) -> impl Strategy<Value = Given> {
    (kinds(), vec(0..=rows, 0..4)).prop_flat_map(move |(kind, mut cuts)| {
        cuts.extend([0, rows]);
        cuts.sort_unstable();
        let parts: Vec<_> = cuts.windows(2).map(|cut| pieces(kind, cut[1] - cut[0])).collect();
        parts.prop_map(move |pieces| Given { name: String::new(), kind, pieces })
    })
}

/// Tables of a few columns and up to forty rows.
pub(super) fn given_tables() -> impl Strategy<Value = Vec<Given>> {
    (0usize..40).prop_flat_map(|rows| {
        vec(columns(rows), 1..6).prop_map(|mut columns| {
            for (number, column) in columns.iter_mut().enumerate() {
                column.name = format!("field {number}");
            }
            columns
        })
    })
}
