//! The shipped word vectors, read from the binary itself.

use std::collections::HashMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Int16Type, Int32Type, Int64Type};
use arrow_array::{Array, RecordBatch};
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

static WORDS: &[u8] = include_bytes!("../../data/words.parquet");
static TRUTH: &[u8] = include_bytes!("../../data/words_truth.parquet");

/// Words with their vectors, column by column.
#[derive(Debug, Default)]
pub(super) struct Words {
    /// Keys.
    pub(super) ids: Vec<i64>,
    /// The words.
    pub(super) words: Vec<String>,
    /// Place in the list of frequencies.
    pub(super) ranks: Vec<i32>,
    /// Letters.
    pub(super) lengths: Vec<i32>,
    /// Vectors, row-major.
    pub(super) vectors: Vec<f32>,
    /// Components of one vector.
    pub(super) dim: usize,
    /// Row of each word.
    pub(super) rows: HashMap<String, usize>,
}

impl Words {
    /// The vector of a row.
    pub(super) fn vector(&self, row: usize) -> &[f32] {
        &self.vectors[row * self.dim..(row + 1) * self.dim]
    }
}

/// The true neighbours of one word, nearest first, itself included.
#[derive(Debug)]
pub(super) struct Truth {
    /// The word's key, which is also its row.
    pub(super) id: i64,
    /// Keys of its neighbours.
    pub(super) neighbours: Vec<i64>,
}

/// Reads the words.
///
/// # Errors
/// When the file in the binary is not what it was made as.
pub(super) fn words() -> Result<Words, String> {
    let mut all = Words::default();
    for batch in batches(WORDS)? {
        all.ids.extend(column(&batch, "id")?.as_primitive::<Int64Type>().values());
        all.ranks.extend(column(&batch, "rank")?.as_primitive::<Int32Type>().values());
        let lengths = column(&batch, "length")?.as_primitive::<Int16Type>();
        all.lengths.extend(lengths.values().iter().map(|l| i32::from(*l)));
        let words = column(&batch, "word")?.as_string::<i32>();
        all.words.extend(words.iter().map(|w| w.unwrap_or_default().to_owned()));
        let vectors = column(&batch, "vector")?
            .as_fixed_size_list_opt()
            .ok_or("the column vector is not a list of fixed size")?;
        all.dim = usize::try_from(vectors.value_length()).map_err(|e| e.to_string())?;
        all.vectors.extend(vectors.values().as_primitive::<Float32Type>().values());
    }
    all.rows = all.words.iter().cloned().zip(0..).collect();
    Ok(all)
}

/// Reads the true neighbours.
///
/// # Errors
/// When the file in the binary is not what it was made as.
pub(super) fn truth() -> Result<Vec<Truth>, String> {
    let mut all = Vec::new();
    for batch in batches(TRUTH)? {
        let ids = column(&batch, "id")?.as_primitive::<Int64Type>();
        let neighbours = column(&batch, "neighbours")?;
        for (row, id) in ids.values().iter().enumerate() {
            let list = match neighbours.as_list_opt::<i32>() {
                Some(lists) => lists.value(row),
                None => neighbours
                    .as_fixed_size_list_opt()
                    .ok_or("the column neighbours is not a list")?
                    .value(row),
            };
            let neighbours = list.as_primitive::<Int64Type>().values().to_vec();
            all.push(Truth { id: *id, neighbours });
        }
    }
    Ok(all)
}

fn batches(file: &'static [u8]) -> Result<Vec<RecordBatch>, String> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from_static(file))
        .and_then(|builder| builder.build())
        .map_err(|error| error.to_string())?;
    reader.collect::<Result<_, _>>().map_err(|error| error.to_string())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a dyn Array, String> {
    let found = batch.column_by_name(name).map(|c| &**c);
    found.ok_or_else(|| format!("the file has no column {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_words_and_their_truth_fit_together() {
        let words = words().unwrap();
        assert_eq!((words.ids.len(), words.dim), (10_000, 100));
        assert_eq!(words.vectors.len(), 1_000_000);
        assert_eq!(words.words[words.rows["king"]], "king");
        let truth = truth().unwrap();
        assert_eq!(truth.len(), 200);
        assert!(truth.iter().all(|t| t.neighbours.len() == 20 && t.neighbours[0] == t.id));
    }
}
