//! Cells: how one value of an Array, a JSON or a sparse vector field lies in a column.
//!
//! All three are values of different lengths, so a column of them is offsets and bytes. The same
//! bytes are in the log, in segments and between workers; only a gateway makes them.
//!
//! | value | cell |
//! |---|---|
//! | array of a type of fixed width | the elements, little-endian, one after the other; a Bool is one byte |
//! | array of VarChar | `u32` count, then `count` ends (`u32`, from 0), then the texts |
//! | JSON | `u32` length of the text, the text as the client sent it, then its parsed form |
//! | sparse vector | pairs of `u32` index and `f32` value, ascending by index, as on the wire |
//!
//! Integers and floats are little-endian. The parsed form of JSON belongs to the filter engine.
//!
//! **Invariant.** Reading a cell cannot panic: bytes that are not there read as an empty value.

use super::schema::DataType;

fn u32_at(cell: &[u8], at: usize) -> Option<usize> {
    let bytes = cell.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize)
}

/// Number of elements of an array cell.
pub fn array_len(element: DataType, cell: &[u8]) -> usize {
    match element.scalar_width() {
        Some(width) => cell.len() / width,
        None => u32_at(cell, 0).unwrap_or(0).min(cell.len() / 4),
    }
}

/// Text `index` of an array of VarChar.
pub fn array_text(cell: &[u8], index: usize) -> &[u8] {
    let text = || {
        let count = u32_at(cell, 0)?;
        let bytes = cell.get(4 + count.checked_mul(4)?..)?;
        let end = (index < count).then(|| u32_at(cell, 4 + 4 * index))??;
        let start = if index == 0 { 0 } else { u32_at(cell, 4 * index)? };
        bytes.get(start..end)
    };
    text().unwrap_or_default()
}

/// Appends the cell of an array of VarChar.
pub fn push_texts<'a>(texts: impl ExactSizeIterator<Item = &'a [u8]> + Clone, out: &mut Vec<u8>) {
    let put = |n: usize, out: &mut Vec<u8>| {
        out.extend_from_slice(&u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes());
    };
    put(texts.len(), out);
    let mut end = 0;
    for text in texts.clone() {
        end += text.len();
        put(end, out);
    }
    texts.for_each(|text| out.extend_from_slice(text));
}

/// The text of a JSON cell.
pub fn json_text(cell: &[u8]) -> &[u8] {
    let text = || cell.get(4..u32_at(cell, 0)?.checked_add(4)?);
    text().unwrap_or_default()
}

/// The parsed form of a JSON cell.
pub fn json_parsed(cell: &[u8]) -> &[u8] {
    let parsed = || cell.get(u32_at(cell, 0)?.checked_add(4)?..);
    parsed().unwrap_or_default()
}

/// Appends a JSON cell.
pub fn push_json(text: &[u8], parsed: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(text);
    out.extend_from_slice(parsed);
}

/// The pairs of a sparse vector.
pub fn sparse_pairs(cell: &[u8]) -> impl ExactSizeIterator<Item = (u32, f32)> + '_ {
    cell.chunks_exact(8).map(|pair| {
        let word =
            |at: usize| u32::from_le_bytes([pair[at], pair[at + 1], pair[at + 2], pair[at + 3]]);
        (word(0), f32::from_bits(word(4)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_an_array_come_back_as_they_went_in() {
        let texts: [&[u8]; 4] = [b"a", b"", "\u{e9}".as_bytes(), b"longer"];
        let mut cell = Vec::new();
        push_texts(texts.iter().copied(), &mut cell);
        assert_eq!(array_len(DataType::VarChar, &cell), 4);
        for (i, text) in texts.iter().enumerate() {
            assert_eq!(array_text(&cell, i), *text);
        }
        assert_eq!(array_text(&cell, 4), b"");
    }

    #[test]
    fn a_json_cell_keeps_its_text_and_its_parsed_form_apart() {
        let mut cell = Vec::new();
        push_json(b"{}", b"parsed", &mut cell);
        assert_eq!((json_text(&cell), json_parsed(&cell)), (&b"{}"[..], &b"parsed"[..]));
    }

    #[test]
    fn damaged_cells_read_as_empty_values() {
        let far_end: &[u8] = &[1, 0, 0, 0, 255, 255, 255, 255];
        assert_eq!(array_text(far_end, 0), b"");
        for cell in [&[][..], &[9], &[9, 0, 0, 0], &[255; 12]] {
            assert_eq!(array_text(cell, 0), b"");
            assert_eq!(json_text(cell).len() + json_parsed(cell).len(), 0);
            assert!(array_len(DataType::VarChar, cell) <= 3);
        }
        assert_eq!(sparse_pairs(&[1, 0, 0, 0, 0, 0, 128, 63]).collect::<Vec<_>>(), [(1, 1.0)]);
    }
}
