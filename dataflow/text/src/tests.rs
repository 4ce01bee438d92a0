//! Tests of analyzers against known cases, and of the index against naive models.

mod analyzers;
mod matching;
mod scores;

use crate::{Analyzer, TextWriter};

/// The terms of a text.
fn terms(params: &str, text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    let analyzer = Analyzer::from_params(Some(params)).unwrap();
    analyzer.analyze(text, &mut |token| terms.push(token.text.to_owned()));
    terms
}

/// An index of `docs`, appended in batches of the given sizes, which repeat.
fn index_of(docs: &[String], batches: &[usize]) -> TextWriter {
    let mut writer = TextWriter::new(Analyzer::from_params(None).unwrap(), true);
    let mut sizes = batches.iter().cycle();
    let mut rest = docs;
    while !rest.is_empty() {
        let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
        let (batch, after) = rest.split_at(size);
        writer.append(batch.iter().map(String::as_str));
        rest = after;
    }
    writer
}

/// A mask of the given rows.
fn mask_of(rows: &[bool]) -> Vec<u64> {
    let mut mask = vec![0; rows.len().div_ceil(64)];
    for (row, _) in rows.iter().enumerate().filter(|(_, seen)| **seen) {
        mask[row / 64] |= 1 << (row % 64);
    }
    mask
}
