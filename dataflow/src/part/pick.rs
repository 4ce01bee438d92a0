//! Rows chosen from the columns of several parts, and the order of values in columns.

use std::cmp::Ordering;

use bytes::{BufMut, Bytes, BytesMut};

use crate::api::{Column, OrderBy, Values};

/// A row of a part: (number of the part, row in it).
pub(crate) type Pick = (u32, u32);

/// Every column of the picked rows; `columns` are those of a part.
pub(crate) fn pick_all<P>(
    parts: &[P],
    columns: impl Fn(&P) -> &Vec<Column>,
    picks: &[Pick],
) -> Vec<Column> {
    let count = parts.first().map_or(0, |p| columns(p).len());
    let column = |i: usize| {
        let of_part: Vec<&Column> = parts.iter().filter_map(|p| columns(p).get(i)).collect();
        pick(&of_part, picks)
    };
    (0..count).filter_map(column).collect()
}

/// One column of the picked rows; `columns` has the column of each part.
pub(crate) fn pick(columns: &[&Column], picks: &[Pick]) -> Option<Column> {
    macro_rules! rows {
        ($pattern:pat => $values:expr) => {
            picks
                .iter()
                .filter_map(|&(p, r)| match &columns.get(p as usize)?.values {
                    $pattern => $values.get(r as usize).cloned(),
                    _ => None,
                })
                .collect()
        };
    }
    let first = columns.first()?;
    let values = match &first.values {
        Values::Bool(_) => Values::Bool(rows!(Values::Bool(v) => v)),
        Values::Int(_) => Values::Int(rows!(Values::Int(v) => v)),
        Values::Long(_) => Values::Long(rows!(Values::Long(v) => v)),
        Values::Float(_) => Values::Float(rows!(Values::Float(v) => v)),
        Values::Double(_) => Values::Double(rows!(Values::Double(v) => v)),
        Values::Text(_) => Values::Text(rows!(Values::Text(v) => v)),
        Values::Json(_) => Values::Json(rows!(Values::Json(v) => v)),
        Values::Sparse(_) => Values::Sparse(rows!(Values::Sparse(v) => v)),
        Values::Array { element, .. } => {
            Values::Array { element: *element, cells: rows!(Values::Array { cells, .. } => cells) }
        }
        Values::Dense { width, .. } => {
            let data = pick_vectors(columns, picks, *width as usize);
            Values::Dense { width: *width, data }
        }
        Values::FloatVector { dim, .. } => {
            let data = pick_vectors(columns, picks, *dim as usize * 4);
            Values::FloatVector { dim: *dim, data }
        }
    };
    let validity = columns.iter().any(|c| c.validity.is_some()).then(|| {
        let valid =
            |&(p, r): &Pick| columns.get(p as usize).is_some_and(|c| c.is_valid(r as usize));
        picks.iter().map(valid).collect()
    });
    Some(Column { field: first.field, data_type: first.data_type, values, validity })
}

fn pick_vectors(columns: &[&Column], picks: &[Pick], width: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(picks.len() * width);
    for &(part, row) in picks {
        let from = row as usize * width;
        if let Some(Values::FloatVector { data, .. } | Values::Dense { data, .. }) =
            columns.get(part as usize).map(|c| &c.values)
        {
            out.put_slice(data.get(from..from + width).unwrap_or_default());
        }
    }
    out.freeze()
}

impl Column {
    /// The rows of these numbers, in their order; a number may come several times.
    #[must_use]
    pub fn take(&self, rows: &[u32]) -> Column {
        let picks: Vec<Pick> = rows.iter().map(|&row| (0, row)).collect();
        pick(&[self], &picks).unwrap_or_else(|| self.clone())
    }

    /// The rows of this column and then those of another one of the same field.
    #[must_use]
    pub fn followed_by(&self, other: &Column) -> Column {
        let rows = |part, column: &Column| (0..column.values.len() as u32).map(move |r| (part, r));
        let picks: Vec<Pick> = rows(0, self).chain(rows(1, other)).collect();
        pick(&[self, other], &picks).unwrap_or_else(|| self.clone())
    }

    /// Whether two rows of a column that hits are grouped by are in one group.
    pub fn same_group(&self, a: usize, b: usize) -> bool {
        match (self.is_valid(a), self.is_valid(b)) {
            (true, true) => by_value(self, a as u32, self, b as u32).is_eq(),
            (a, b) => a == b,
        }
    }
}

/// Compares the values of two rows, neither of which is null, of two columns of one scalar field.
pub(crate) fn by_value(a: &Column, row_a: u32, b: &Column, row_b: u32) -> Ordering {
    let (a_row, b_row) = (row_a as usize, row_b as usize);
    macro_rules! compare {
        ($x:ident, $y:ident, $cmp:expr) => {
            match ($x.get(a_row), $y.get(b_row)) {
                (Some(x), Some(y)) => $cmp(x, y),
                _ => Ordering::Equal,
            }
        };
    }
    match (&a.values, &b.values) {
        (Values::Bool(x), Values::Bool(y)) => compare!(x, y, Ord::cmp),
        (Values::Int(x), Values::Int(y)) => compare!(x, y, Ord::cmp),
        (Values::Long(x), Values::Long(y)) => compare!(x, y, Ord::cmp),
        (Values::Text(x), Values::Text(y)) => compare!(x, y, Ord::cmp),
        (Values::Float(x), Values::Float(y)) => compare!(x, y, f32::total_cmp),
        (Values::Double(x), Values::Double(y)) => compare!(x, y, f64::total_cmp),
        _ => Ordering::Equal,
    }
}

/// Compares two rows by one step of an order.
pub(crate) fn by_step(step: OrderBy, a: &Column, row_a: u32, b: &Column, row_b: u32) -> Ordering {
    match (a.is_valid(row_a as usize), b.is_valid(row_b as usize)) {
        (true, true) => {
            let order = by_value(a, row_a, b, row_b);
            if step.descending { order.reverse() } else { order }
        }
        (a_valid, b_valid) => null_order(step, a_valid, b_valid),
    }
}

/// The order of two rows of which at least one has no value.
pub(crate) fn null_order(step: OrderBy, a_valid: bool, b_valid: bool) -> Ordering {
    if step.nulls_first { a_valid.cmp(&b_valid) } else { b_valid.cmp(&a_valid) }
}

/// Appends a row's value so that rows append equal bytes exactly if they are in one group.
pub(crate) fn group_key(column: &Column, row: usize, key: &mut Vec<u8>) {
    if !column.is_valid(row) {
        return key.push(0);
    }
    key.push(1);
    match &column.values {
        Values::Bool(v) => key.extend(v.get(row).map(|&x| u8::from(x))),
        Values::Int(v) => key.extend(v.get(row).copied().unwrap_or(0).to_le_bytes()),
        Values::Long(v) => key.extend(v.get(row).copied().unwrap_or(0).to_le_bytes()),
        Values::Text(v) => {
            let text = v.get(row).map_or(&[][..], |t| t.as_bytes());
            key.extend((text.len() as u32).to_le_bytes());
            key.extend_from_slice(text);
        }
        _ => {}
    }
}
