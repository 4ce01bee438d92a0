//! Shredding: the values at frequent paths of a JSON field as columns of their own.
//!
//! A row whose value at the path has the type of the column has it there, every other row does not;
//! for those the document is asked, unless the column is complete: then they have nothing there, or
//! a JSON null, which no predicate tells from nothing.

use std::collections::HashMap;

use crate::columns::{ColumnView, VarView};
use crate::json::{Document, Found};
use crate::zones::{Zone, Zones};

/// Most paths of a field that get a column.
const PATHS_MAX: usize = 32;
/// Most different paths that are counted.
const COUNTED_MAX: usize = 1_024;
/// Deepest path, in keys.
const DEPTH_MAX: usize = 4;
/// A path gets a column when one row in so many has a value of its type there.
const ROWS_PER_VALUE_MAX: usize = 4;
/// Longest texts on average that are written twice, in bytes.
const TEXT_BYTES_MAX: usize = 64;
/// Bytes of a column of texts at most.
const COLUMN_BYTES_MAX: usize = 1 << 30;

/// A column of the values at a path of a JSON field, for the rows of an evaluation.
#[derive(Clone, Copy, Debug)]
pub struct Shred<'a> {
    /// Booleans, integers, doubles or texts; zero or empty where the row has none of the type.
    pub values: ColumnView<'a>,
    /// Which rows have a value here, as the mask of an evaluation; `None` when all have.
    pub present: Option<&'a [u64]>,
    /// Whether the other rows have nothing or a JSON null at the path.
    pub complete: bool,
    /// What is known of the column, and the row of the zones that is the first one here.
    pub zones: Option<(&'a Zones, usize)>,
}

impl<'a> Shred<'a> {
    /// What is known of some rows.
    pub(crate) fn zone(&self, rows: std::ops::Range<usize>) -> Option<Zone<'a>> {
        let (zones, first) = self.zones?;
        zones.over(first + rows.start..first + rows.end)
    }

    /// Which of 64 rows have a value here.
    #[inline]
    pub(crate) fn word(&self, word: usize) -> u64 {
        self.present.map_or(u64::MAX, |present| present.get(word).copied().unwrap_or(0))
    }

    /// The value of a row that has one here.
    #[inline]
    pub(crate) fn found(&self, row: usize) -> Option<Found<'a>> {
        Some(match self.values {
            ColumnView::Bool(v) => Found::Bool(*v.get(row)? != 0),
            ColumnView::Int8(v) => Found::Int(i64::from(*v.get(row)?)),
            ColumnView::Int16(v) => Found::Int(i64::from(*v.get(row)?)),
            ColumnView::Int32(v) => Found::Int(i64::from(*v.get(row)?)),
            ColumnView::Int64(v) => Found::Int(*v.get(row)?),
            ColumnView::Float(v) => Found::Float(f64::from(*v.get(row)?)),
            ColumnView::Double(v) => Found::Float(*v.get(row)?),
            ColumnView::Text(v) => Found::Text(v.get(row)?),
            ColumnView::Json(_) | ColumnView::Array { .. } => return None,
        })
    }
}

/// The type of a column of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShredType {
    /// Booleans.
    Bool,
    /// Integers.
    Int,
    /// Floats.
    Float,
    /// Texts.
    Text,
}

const TYPES: [ShredType; 4] = [ShredType::Bool, ShredType::Int, ShredType::Float, ShredType::Text];

/// What is counted of a path.
#[derive(Default)]
struct Counted {
    /// Rows by type.
    rows: [usize; 4],
    text_bytes: usize,
}

impl Counted {
    fn add(&mut self, found: &Found<'_>) {
        let at = match found {
            Found::Bool(_) => 0,
            Found::Int(_) => 1,
            Found::Float(_) => 2,
            Found::Text(text) => {
                self.text_bytes += text.len();
                3
            }
            Found::Null | Found::List(_) | Found::Object(_) => return,
        };
        self.rows[at] += 1;
    }
}

/// The frequent paths of some documents, the most frequent first, and the type of their values.
///
/// # Cost
/// Allocates for every key of every document: look at some thousand of them.
pub fn frequent_paths<'c>(
    cells: impl IntoIterator<Item = &'c [u8]>,
) -> Vec<(Vec<String>, ShredType)> {
    let mut counted: HashMap<Vec<String>, Counted> = HashMap::new();
    let mut rows = 0;
    let mut path = Vec::new();
    for cell in cells {
        rows += 1;
        if let Some(root) = Document::new(cell).root() {
            count(&root, &mut path, &mut counted);
        }
    }
    let mut frequent: Vec<(usize, Vec<String>, ShredType)> = Vec::new();
    for (path, of) in counted {
        let best = of.rows.iter().zip(TYPES).max_by_key(|(rows, _)| **rows);
        let Some((&found, kind)) = best else { continue };
        let is_long = kind == ShredType::Text && of.text_bytes > found * TEXT_BYTES_MAX;
        if found > 0 && found * ROWS_PER_VALUE_MAX >= rows && !is_long {
            frequent.push((found, path, kind));
        }
    }
    frequent.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    frequent.truncate(PATHS_MAX);
    frequent.into_iter().map(|(_, path, kind)| (path, kind)).collect()
}

fn count(found: &Found<'_>, path: &mut Vec<String>, into: &mut HashMap<Vec<String>, Counted>) {
    let Found::Object(members) = found else { return };
    for (key, value) in members.members() {
        let Ok(key) = str::from_utf8(key) else { continue };
        path.push(key.to_owned());
        match &value {
            Found::Object(_) if path.len() < DEPTH_MAX => count(&value, path, into),
            Found::Object(_) | Found::List(_) | Found::Null => {}
            scalar => {
                if let Some(counted) = into.get_mut(path.as_slice()) {
                    counted.add(scalar);
                } else if into.len() < COUNTED_MAX {
                    into.entry(path.clone()).or_default().add(scalar);
                }
            }
        }
        path.pop();
    }
}

/// Makes the columns of some paths of a JSON field, document by document.
#[derive(Debug)]
pub struct Shredder {
    columns: Vec<Growing>,
    rows: usize,
}

#[derive(Debug)]
struct Growing {
    steps: Vec<String>,
    values: Values,
    present: Vec<u8>,
    complete: bool,
}

#[derive(Debug)]
enum Values {
    Bool(Vec<u8>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text { offsets: Vec<u32>, bytes: Vec<u8> },
}

impl Shredder {
    /// Nothing yet of these paths.
    pub fn new(paths: Vec<(Vec<String>, ShredType)>) -> Shredder {
        let column = |(steps, kind)| Growing {
            steps,
            values: match kind {
                ShredType::Bool => Values::Bool(Vec::new()),
                ShredType::Int => Values::Int(Vec::new()),
                ShredType::Float => Values::Float(Vec::new()),
                ShredType::Text => Values::Text { offsets: vec![0], bytes: Vec::new() },
            },
            present: Vec::new(),
            complete: true,
        };
        Shredder { columns: paths.into_iter().map(column).collect(), rows: 0 }
    }

    /// Adds the document of the next row.
    pub fn push(&mut self, cell: &[u8]) {
        let document = Document::new(cell);
        for column in &mut self.columns {
            column.push(document.find(&column.steps));
        }
        self.rows += 1;
    }

    /// The columns; not those of paths that turned out to be rare.
    pub fn finish(self) -> Vec<Shredded> {
        let rows = self.rows;
        let frequent = |column: &Growing| {
            let found = column.present.iter().filter(|present| **present != 0).count();
            found * 2 * ROWS_PER_VALUE_MAX >= rows && column.present.len() == rows
        };
        self.columns.into_iter().filter(frequent).map(Shredded::of).collect()
    }
}

impl Growing {
    fn push(&mut self, found: Option<Found<'_>>) {
        let before = self.present.len();
        match (&mut self.values, &found) {
            (Values::Bool(all), Some(Found::Bool(v))) => all.push(u8::from(*v)),
            (Values::Int(all), Some(Found::Int(v))) => all.push(*v),
            (Values::Float(all), Some(Found::Float(v))) => all.push(*v),
            (Values::Text { offsets, bytes }, Some(Found::Text(v))) => {
                if bytes.len() + v.len() > COLUMN_BYTES_MAX {
                    // Too much of it: without a row more it is no column in the end.
                    return;
                }
                bytes.extend_from_slice(v);
                offsets.push(bytes.len() as u32);
            }
            _ => {
                self.complete &= matches!(found, None | Some(Found::Null));
                match &mut self.values {
                    Values::Bool(all) => all.push(0),
                    Values::Int(all) => all.push(0),
                    Values::Float(all) => all.push(0.0),
                    Values::Text { offsets, bytes } => offsets.push(bytes.len() as u32),
                }
                self.present.push(0);
            }
        }
        if self.present.len() == before {
            self.present.push(1);
        }
    }
}

/// A finished column of the values at a path.
#[derive(Debug)]
pub struct Shredded {
    /// The path.
    pub steps: Vec<String>,
    /// The values, integers in as few bits as all of them fit in.
    pub values: ShreddedValues,
    /// One byte a row, 1 where the row has its value here; `None` when all have.
    pub validity: Option<Vec<u8>>,
    /// As [`Shred::complete`].
    pub complete: bool,
}

/// Values of a finished column.
#[derive(Debug)]
#[allow(missing_docs)]
pub enum ShreddedValues {
    Bool(Vec<u8>),
    Int8(Vec<i8>),
    Int16(Vec<i16>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Double(Vec<f64>),
    /// As [`VarView`].
    Text {
        offsets: Vec<u32>,
        bytes: Vec<u8>,
    },
}

impl Shredded {
    fn of(column: Growing) -> Shredded {
        let Growing { steps, values, present, complete } = column;
        let values = match values {
            Values::Bool(all) => ShreddedValues::Bool(all),
            Values::Float(all) => ShreddedValues::Double(all),
            Values::Text { offsets, bytes } => ShreddedValues::Text { offsets, bytes },
            Values::Int(all) => narrow(all),
        };
        let validity = present.contains(&0).then_some(present);
        Shredded { steps, values, validity, complete }
    }

    /// The values as filters read them.
    pub fn view(&self) -> ColumnView<'_> {
        match &self.values {
            ShreddedValues::Bool(all) => ColumnView::Bool(all),
            ShreddedValues::Int8(all) => ColumnView::Int8(all),
            ShreddedValues::Int16(all) => ColumnView::Int16(all),
            ShreddedValues::Int32(all) => ColumnView::Int32(all),
            ShreddedValues::Int64(all) => ColumnView::Int64(all),
            ShreddedValues::Double(all) => ColumnView::Double(all),
            ShreddedValues::Text { offsets, bytes } => ColumnView::Text(VarView { offsets, bytes }),
        }
    }
}

/// Integers in the narrowest type that holds all of them.
fn narrow(all: Vec<i64>) -> ShreddedValues {
    fn to<T: TryFrom<i64> + Default>(all: &[i64]) -> Vec<T> {
        // All fit: the caller has looked at the smallest and the largest.
        all.iter().map(|v| T::try_from(*v).unwrap_or_default()).collect()
    }
    let (min, max) =
        all.iter().fold((0, 0), |(min, max): (i64, i64), v| (min.min(*v), max.max(*v)));
    let fits = |lo: i64, hi: i64| lo <= min && max <= hi;
    if fits(i8::MIN.into(), i8::MAX.into()) {
        ShreddedValues::Int8(to(&all))
    } else if fits(i16::MIN.into(), i16::MAX.into()) {
        ShreddedValues::Int16(to(&all))
    } else if fits(i32::MIN.into(), i32::MAX.into()) {
        ShreddedValues::Int32(to(&all))
    } else {
        ShreddedValues::Int64(all)
    }
}
