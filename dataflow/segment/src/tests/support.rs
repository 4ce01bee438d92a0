//! A shard with a column of each kind, and batches for it whose values follow from row numbers.

use std::sync::Arc;

use millstream_catalog::model::{DataType, FieldId, PartitionId, Timestamp};

use crate::{
    Appended, Batch, ColumnInput, ColumnSlice, ColumnSpec, Input, Selection, ShardView,
    ShardWriter, WriteError,
};

pub(super) const PK: FieldId = FieldId(100);
pub(super) const TOKEN: FieldId = FieldId(101);
pub(super) const VECTOR: FieldId = FieldId(102);
/// Nullable text.
pub(super) const NOTE: FieldId = FieldId(103);
/// Nullable, with a default.
pub(super) const SCORE: FieldId = FieldId(104);
/// Required.
pub(super) const RANK: FieldId = FieldId(105);
pub(super) const DIM: usize = 2;
pub(super) const SCORE_DEFAULT: i32 = 77;

/// Which of the optional columns a batch carries: note, score, rank.
pub(super) type Given = [bool; 3];
pub(super) const ALL: Given = [true; 3];

/// The note of the row with a token; every fifth has none.
pub(super) fn note(token: i64) -> Option<Vec<u8>> {
    (token % 5 != 3).then(|| vec![b'n'; (token % 7) as usize])
}

/// The score of the row with a token; every third of the later ones has none.
pub(super) fn score(token: i64) -> Option<i32> {
    (token < 40 || token % 3 != 0).then_some(token as i32 * 2)
}

/// The rank of the row with a token.
pub(super) fn rank(token: i64) -> i16 {
    (token % 1000) as i16 - 500
}

/// Norms of f32 vectors, written plainly.
pub(super) fn norms(data_type: DataType, dim: usize, vectors: &[u8], out: &mut [f32]) {
    assert_eq!(data_type, DataType::FloatVector);
    for (row, out) in vectors.chunks(dim * 4).zip(out) {
        let value = |b: &[u8]| f32::from_le_bytes(b.try_into().unwrap());
        *out = 1.0 / row.chunks(4).map(|b| value(b) * value(b)).sum::<f32>().sqrt();
    }
}

/// Columns 0 to 5: vector, pk, token, note, score, rank.
pub(super) fn specs(text_keys: bool) -> Vec<ColumnSpec> {
    let pk = if text_keys { DataType::VarChar } else { DataType::Int64 };
    let note = ColumnSpec { nullable: true, ..ColumnSpec::new(NOTE, DataType::VarChar, 0) };
    let default: Arc<[u8]> = SCORE_DEFAULT.to_le_bytes().into();
    let score = ColumnSpec::new(SCORE, DataType::Int32, 0);
    vec![
        ColumnSpec::new(VECTOR, DataType::FloatVector, DIM),
        ColumnSpec::new(PK, pk, 0),
        ColumnSpec::new(TOKEN, DataType::Int64, 0),
        note,
        ColumnSpec { nullable: true, default: Some(default), ..score },
        ColumnSpec::new(RANK, DataType::Int16, 0),
    ]
}

/// An empty shard of these columns.
pub(super) fn writer(text_keys: bool) -> ShardWriter {
    ShardWriter::new(specs(text_keys), 1, norms)
}

/// Offsets and bytes of values of different lengths.
pub(super) fn var(values: impl Iterator<Item = Vec<u8>>) -> (Vec<u8>, Vec<u8>) {
    let (mut offsets, mut bytes) = (vec![0; 4], Vec::new());
    for value in values {
        bytes.extend(&value);
        offsets.extend((bytes.len() as u32).to_le_bytes());
    }
    (offsets, bytes)
}

/// Owned columns of a batch; keys come as numbers and are spelled out for text keys.
pub(super) struct Columns {
    pub(super) rows: usize,
    pk_fixed: Vec<u8>,
    pk_var: (Vec<u8>, Vec<u8>),
    tokens: Vec<u8>,
    vectors: Vec<u8>,
    notes: (Vec<u8>, Vec<u8>),
    notes_valid: Vec<u8>,
    scores: Vec<u8>,
    scores_valid: Vec<u8>,
    ranks: Vec<u8>,
    text_keys: bool,
}

impl Columns {
    pub(super) fn new(text_keys: bool, keys: &[i64], first_token: i64) -> Columns {
        let tokens = || (0..keys.len() as i64).map(|i| first_token + i);
        let vector = |t: i64| [t as f32, 1.0].map(f32::to_le_bytes).concat();
        Columns {
            rows: keys.len(),
            pk_fixed: keys.iter().flat_map(|k| k.to_le_bytes()).collect(),
            pk_var: var(keys.iter().map(|k| format!("key{k}").into_bytes())),
            tokens: tokens().flat_map(i64::to_le_bytes).collect(),
            vectors: tokens().flat_map(vector).collect(),
            notes: var(tokens().map(|t| note(t).unwrap_or_default())),
            notes_valid: tokens().map(|t| u8::from(note(t).is_some())).collect(),
            scores: tokens().flat_map(|t| score(t).unwrap_or(0).to_le_bytes()).collect(),
            scores_valid: tokens().map(|t| u8::from(score(t).is_some())).collect(),
            ranks: tokens().flat_map(|t| rank(t).to_le_bytes()).collect(),
            text_keys,
        }
    }

    pub(super) fn keys(&self) -> Input<'_> {
        if self.text_keys {
            Input::Var { offsets: &self.pk_var.0, bytes: &self.pk_var.1 }
        } else {
            Input::Fixed(&self.pk_fixed)
        }
    }

    /// Pk, token, vector, and those of note, score and rank that are given.
    pub(super) fn inputs(&self, given: Given) -> Vec<(FieldId, ColumnInput<'_>)> {
        let fixed = |bytes| ColumnInput::from(Input::Fixed(bytes));
        let notes = Input::Var { offsets: &self.notes.0, bytes: &self.notes.1 };
        let notes = ColumnInput { values: notes, validity: Some(&self.notes_valid) };
        let scores = ColumnInput { validity: Some(&self.scores_valid), ..fixed(&self.scores) };
        let mut inputs = vec![
            (PK, self.keys().into()),
            (TOKEN, fixed(&self.tokens)),
            (VECTOR, fixed(&self.vectors)),
        ];
        let optional = [(NOTE, notes), (SCORE, scores), (RANK, fixed(&self.ranks))];
        inputs.extend(optional.into_iter().zip(given).filter(|(_, given)| *given).map(|(c, _)| c));
        inputs
    }
}

pub(super) fn insert(
    shard: &mut ShardWriter,
    partition: i64,
    eff: u64,
    batch: &Batch<'_>,
) -> Result<Appended, WriteError> {
    shard.insert(PartitionId(partition), Timestamp(eff), batch, &mut Vec::new())
}

/// A row as a reader finds it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Seen {
    pub(super) token: i64,
    pub(super) note: Option<Vec<u8>>,
    pub(super) score: Option<i32>,
    pub(super) rank: i16,
}

/// All visible rows, in the order of their tokens.
pub(super) fn rows(view: &ShardView, at: u64, partitions: &[i64], newest_only: bool) -> Vec<Seen> {
    let partitions: Vec<_> = partitions.iter().map(|&p| PartitionId(p)).collect();
    let mut selection = view.select(Timestamp(at), &partitions);
    if newest_only {
        view.keep_newest(&mut selection);
    }
    seen(&selection)
}

/// The rows of a selection, in the order of their tokens.
pub(super) fn seen(selection: &Selection) -> Vec<Seen> {
    let mut rows = Vec::new();
    for chunk in &selection.chunks {
        let ColumnSlice::Int64(tokens) = chunk.column(2) else { panic!("tokens are Int64") };
        let ColumnSlice::Var { offsets, bytes } = chunk.column(3) else { panic!("notes are Var") };
        let ColumnSlice::Int32(scores) = chunk.column(4) else { panic!("scores are Int32") };
        let ColumnSlice::Int16(ranks) = chunk.column(5) else { panic!("ranks are Int16") };
        let valid = |column, row: usize| chunk.validity(column).is_none_or(|v: &[u8]| v[row] == 1);
        chunk.for_each(|row| {
            let note = &bytes[offsets[row] as usize..offsets[row + 1] as usize];
            assert!(valid(3, row) || note.is_empty());
            assert!(valid(4, row) || scores[row] == 0);
            rows.push(Seen {
                token: tokens[row],
                note: valid(3, row).then(|| note.to_vec()),
                score: valid(4, row).then_some(scores[row]),
                rank: ranks[row],
            });
        });
    }
    rows.sort_unstable();
    rows
}
