//! Columns of fixed width: 64 rows are tested without branches, then packed into one word.

use super::Block;
use super::sets::IntSet;
use crate::columns::ColumnView;

/// Calls `$test` with the values of an integer column; clears the block for any other column.
macro_rules! with_ints {
    ($view:expr, $block:expr, $values:ident => $body:expr) => {
        match $view {
            Some(ColumnView::Int8($values)) => $body,
            Some(ColumnView::Int16($values)) => $body,
            Some(ColumnView::Int32($values)) => $body,
            Some(ColumnView::Int64($values)) => $body,
            _ => $block.clear(),
        }
    };
}

/// The integer types of columns.
trait Int: Copy + Ord + Into<i64> + TryFrom<i64> {
    const MIN: Self;
    const MAX: Self;
}

macro_rules! int {
    ($($type:ty),*) => {$(
        impl Int for $type {
            const MIN: $type = <$type>::MIN;
            const MAX: $type = <$type>::MAX;
        }
    )*};
}
int!(i8, i16, i32, i64);

/// Rows whose integer is in `lo..=hi`.
pub(super) fn ints(view: Option<ColumnView<'_>>, lo: i64, hi: i64, not: bool, block: &mut Block) {
    with_ints!(view, block, values => int_range(values, lo, hi, not, block));
}

fn int_range<T: Int>(values: &[T], lo: i64, hi: i64, not: bool, block: &mut Block) {
    let (min, max): (i64, i64) = (T::MIN.into(), T::MAX.into());
    if lo > hi || lo > max || hi < min {
        return test(values, not, block, |_| false);
    }
    // Both lie in the type now, so neither fallback is taken.
    let low = T::try_from(lo.max(min)).unwrap_or(T::MIN);
    let high = T::try_from(hi.min(max)).unwrap_or(T::MAX);
    match (lo <= min, hi >= max) {
        _ if low == high => test(values, not, block, |v| v == low),
        (true, true) => test(values, not, block, |_| true),
        (true, false) => test(values, not, block, |v| v <= high),
        (false, true) => test(values, not, block, |v| v >= low),
        (false, false) => test(values, not, block, |v| (v >= low) & (v <= high)),
    }
}

/// Rows whose float is in `lo..=hi`. The bounds for a Float column are values of its type.
pub(super) fn floats(view: Option<ColumnView<'_>>, lo: f64, hi: f64, not: bool, block: &mut Block) {
    match view {
        Some(ColumnView::Float(values)) => {
            let (lo, hi) = (lo as f32, hi as f32);
            test(values, not, block, |v| (v >= lo) & (v <= hi));
        }
        Some(ColumnView::Double(values)) => {
            test(values, not, block, |v| (v >= lo) & (v <= hi));
        }
        _ => block.clear(),
    }
}

/// Rows whose boolean is one that is wanted.
pub(super) fn bools(
    view: Option<ColumnView<'_>>,
    on_true: bool,
    on_false: bool,
    not: bool,
    block: &mut Block,
) {
    match view {
        Some(ColumnView::Bool(values)) => {
            test(values, not, block, |v| if v != 0 { on_true } else { on_false });
        }
        _ => block.clear(),
    }
}

/// Rows whose integer is in a list.
pub(super) fn int_in(view: Option<ColumnView<'_>>, set: &IntSet, not: bool, block: &mut Block) {
    with_ints!(view, block, values => among(values, set, not, block));
}

fn among<T: Int>(values: &[T], set: &IntSet, not: bool, block: &mut Block) {
    match set {
        IntSet::Few(few) => few_in(values, few, not, block),
        set => each(values, block, |v| set.contains(v.into()) != not),
    }
}

fn few_in<T: Int>(values: &[T], few: &[i64], not: bool, block: &mut Block) {
    let mut narrow = [T::MIN; 8];
    let mut length = 0;
    for v in few.iter().filter_map(|&v| T::try_from(v).ok()) {
        if let Some(place) = narrow.get_mut(length) {
            *place = v;
            length += 1;
        }
    }
    let narrow = &narrow[..length];
    test(values, not, block, |v| narrow.iter().fold(false, |any, &n| any | (v == n)));
}

/// Rows whose float is in an ascending list.
pub(super) fn float_in(view: Option<ColumnView<'_>>, sorted: &[f64], not: bool, block: &mut Block) {
    let contains = |v: f64| among_floats(sorted, v);
    match view {
        Some(ColumnView::Float(values)) => {
            each(values, block, |v| contains(f64::from(v)) != not);
        }
        Some(ColumnView::Double(values)) => each(values, block, |v| contains(v) != not),
        _ => block.clear(),
    }
}

/// Whether a float is in an ascending list.
pub(super) fn among_floats(sorted: &[f64], v: f64) -> bool {
    // Not by total order: -0.0 equals 0.0.
    let at = sorted.partition_point(|&s| s < v);
    sorted.get(at).is_some_and(|&s| s == v)
}

/// Tests only the candidates; for tests that cost more than a comparison.
fn each<T: Copy>(values: &[T], block: &mut Block, keep: impl Fn(T) -> bool) {
    block.retain_known(|row| values.get(row).map(|&v| keep(v)));
}

/// Tests 64 rows at a time where one of them is a candidate.
pub(super) fn test<T: Copy>(
    values: &[T],
    not: bool,
    block: &mut Block<'_>,
    keep: impl Fn(T) -> bool + Copy,
) {
    let flip = if not { u64::MAX } else { 0 };
    let values = values.get(block.start..).unwrap_or(&[]);
    let (chunks, tail) = values.as_chunks::<64>();
    let mut words = block.words.iter_mut();
    for (chunk, word) in chunks.iter().zip(&mut words) {
        if *word != 0 {
            *word &= pack(chunk, keep) ^ flip;
        }
    }
    // The zip above takes no word when the chunks end first.
    let full = chunks.len().min(block.words.len());
    for (index, word) in block.words[full..].iter_mut().enumerate() {
        let tail = if index == 0 { tail } else { &[] };
        let bits = tail.iter().enumerate().fold(0, |bits, (i, &v)| bits | u64::from(keep(v)) << i);
        let known = (1u64 << tail.len()) - 1;
        *word &= (bits ^ flip) & known;
    }
}

/// One bit per value.
#[inline]
pub(super) fn pack<T: Copy>(values: &[T; 64], keep: impl Fn(T) -> bool) -> u64 {
    let mut bytes = [0u8; 64];
    for (byte, &value) in bytes.iter_mut().zip(values) {
        *byte = u8::from(keep(value));
    }
    let (groups, _) = bytes.as_chunks::<8>();
    groups.iter().enumerate().fold(0, |word, (index, &group)| {
        // Moves the lowest bit of byte i to bit 56 + i: no two products meet in one bit.
        let bits = u64::from_le_bytes(group).wrapping_mul(0x0102_0408_1020_4080) >> 56;
        word | bits << (8 * index)
    })
}
