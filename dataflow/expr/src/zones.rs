//! Zone maps: what the values of a column lie between, a few thousand rows at a time, so that a
//! filter need not read what it cannot keep.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::columns::ColumnView;

/// Rows of a zone: those of a block of an evaluation.
const STEP: u32 = 4_096;
/// Longest bound of texts; longer ones are cut, the upper one upwards.
const TEXT_BYTES_MAX: usize = 24;
/// First byte of encoded zones.
const VERSION: u8 = 1;

/// What is known of the values of some rows. It may be less than what is true, never more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Zone<'a> {
    /// Whether a row may have a value.
    pub values: bool,
    /// Whether a row may be null.
    pub nulls: bool,
    /// Where the values lie that are not null.
    pub bounds: Bounds<'a>,
}

/// Where values lie: every one of them is at least the smallest and at most the largest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds<'a> {
    /// Anywhere.
    Unknown,
    /// Which of the two there may be.
    Bool {
        /// True.
        on_true: bool,
        /// False.
        on_false: bool,
    },
    /// Integers.
    Int {
        /// The smallest.
        min: i64,
        /// The largest.
        max: i64,
    },
    /// Floats. Without any number `min > max`.
    Float {
        /// The smallest number.
        min: f64,
        /// The largest number.
        max: f64,
        /// Whether a value may be NaN.
        nan: bool,
    },
    /// Texts, ordered by their bytes.
    Text {
        /// At most the smallest.
        min: &'a [u8],
        /// At least the largest; `None` when nothing short is.
        max: Option<&'a [u8]>,
        /// Whether both bounds are values and not cut.
        exact: bool,
    },
}

/// The zones of a column, one for each run of rows of one length.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Zones {
    step: u32,
    zones: Vec<Owned>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Owned {
    values: bool,
    nulls: bool,
    bounds: OwnedBounds,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum OwnedBounds {
    Unknown,
    Bool { on_true: bool, on_false: bool },
    Int { min: i64, max: i64 },
    Float { min: f64, max: f64, nan: bool },
    Text { min: Vec<u8>, max: Option<Vec<u8>>, exact: bool },
}

impl Owned {
    fn zone(&self) -> Zone<'_> {
        let bounds = match &self.bounds {
            OwnedBounds::Unknown => Bounds::Unknown,
            OwnedBounds::Bool { on_true, on_false } => {
                Bounds::Bool { on_true: *on_true, on_false: *on_false }
            }
            OwnedBounds::Int { min, max } => Bounds::Int { min: *min, max: *max },
            OwnedBounds::Float { min, max, nan } => {
                Bounds::Float { min: *min, max: *max, nan: *nan }
            }
            OwnedBounds::Text { min, max, exact } => {
                Bounds::Text { min, max: max.as_deref(), exact: *exact }
            }
        };
        Zone { values: self.values, nulls: self.nulls, bounds }
    }
}

impl<'a> Zone<'a> {
    /// What is known of the rows of both.
    #[must_use]
    pub fn with(self, other: Zone<'a>) -> Zone<'a> {
        let bounds = match (self.values, other.values) {
            (true, true) => self.bounds.with(other.bounds),
            (true, false) => self.bounds,
            (false, _) => other.bounds,
        };
        Zone { values: self.values || other.values, nulls: self.nulls || other.nulls, bounds }
    }
}

impl<'a> Bounds<'a> {
    fn with(self, other: Bounds<'a>) -> Bounds<'a> {
        match (self, other) {
            (Bounds::Bool { on_true, on_false }, Bounds::Bool { on_true: t, on_false: f }) => {
                Bounds::Bool { on_true: on_true || t, on_false: on_false || f }
            }
            (Bounds::Int { min, max }, Bounds::Int { min: lo, max: hi }) => {
                Bounds::Int { min: min.min(lo), max: max.max(hi) }
            }
            (Bounds::Float { min, max, nan }, Bounds::Float { min: lo, max: hi, nan: also }) => {
                Bounds::Float { min: min.min(lo), max: max.max(hi), nan: nan || also }
            }
            (Bounds::Text { min, max, exact }, Bounds::Text { min: lo, max: hi, exact: also }) => {
                Bounds::Text {
                    min: min.min(lo),
                    max: max.zip(hi).map(|(max, hi)| max.max(hi)),
                    exact: exact && also,
                }
            }
            _ => Bounds::Unknown,
        }
    }
}

impl Zones {
    /// What is known of rows `rows` of the column; `None` past its end.
    pub fn over(&self, rows: Range<usize>) -> Option<Zone<'_>> {
        let step = self.step as usize;
        let zones = self.zones.get(rows.start / step..rows.end.div_ceil(step))?;
        zones.iter().map(Owned::zone).reduce(Zone::with)
    }

    /// Whether there is a zone for each of so many rows.
    pub fn covers(&self, rows: usize) -> bool {
        self.zones.len() == rows.div_ceil(self.step as usize)
    }

    /// The zones as bytes.
    pub fn encode(&self) -> Vec<u8> {
        // Writing plain data into a growing buffer has no way to fail.
        postcard::to_extend(self, vec![VERSION]).expect("zones are plain data")
    }

    /// The zones of some bytes; `None` for bytes that [`Zones::encode`] does not write.
    pub fn decode(bytes: &[u8]) -> Option<Zones> {
        let (&version, rest) = bytes.split_first()?;
        let (zones, rest) = postcard::take_from_bytes::<Zones>(rest).ok()?;
        (version == VERSION && rest.is_empty() && zones.step > 0).then_some(zones)
    }
}

/// Makes the zones of a column from its rows, piece by piece.
#[derive(Debug)]
pub struct ZonesBuilder {
    zones: Zones,
    /// Rows of the last zone.
    filled: usize,
}

impl Default for ZonesBuilder {
    fn default() -> ZonesBuilder {
        ZonesBuilder::with_step(STEP)
    }
}

impl ZonesBuilder {
    /// Zones of so many rows each, at least one.
    pub fn with_step(step: u32) -> ZonesBuilder {
        let step = step.max(1);
        ZonesBuilder { zones: Zones { step, zones: Vec::new() }, filled: step as usize }
    }

    /// Adds rows of the column; `validity` is as in [`crate::Columns::validity`].
    pub fn add(&mut self, view: ColumnView<'_>, validity: Option<&[u8]>, rows: Range<usize>) {
        let step = self.zones.step as usize;
        let mut from = rows.start;
        while from < rows.end {
            if self.filled == step {
                self.cut_last();
                let bounds = OwnedBounds::Unknown;
                self.zones.zones.push(Owned { values: false, nulls: false, bounds });
                self.filled = 0;
            }
            let to = rows.end.min(from + step - self.filled);
            let zone = piece(view, validity.and_then(|valid| valid.get(from..to)), from..to);
            if let Some(last) = self.zones.zones.last_mut() {
                last.join(zone);
            }
            self.filled += to - from;
            from = to;
        }
    }

    /// The zones of all rows that were added.
    pub fn finish(mut self) -> Zones {
        self.cut_last();
        self.zones
    }

    /// Shortens the bounds of the last zone, whose rows are complete.
    fn cut_last(&mut self) {
        let Some(Owned { bounds: OwnedBounds::Text { min, max, exact }, .. }) =
            self.zones.zones.last_mut()
        else {
            return;
        };
        if min.len() > TEXT_BYTES_MAX {
            min.truncate(TEXT_BYTES_MAX);
            *exact = false;
        }
        if let Some(text) = max.as_mut().filter(|max| max.len() > TEXT_BYTES_MAX) {
            *exact = false;
            text.truncate(TEXT_BYTES_MAX);
            while text.pop_if(|byte| *byte == u8::MAX).is_some() {}
            match text.last_mut() {
                Some(last) => *last += 1,
                None => *max = None,
            }
        }
    }
}

impl Owned {
    /// Takes in what is known of other rows.
    fn join(&mut self, other: Owned) {
        let joined = self.zone().with(other.zone());
        let (values, nulls) = (joined.values, joined.nulls);
        let bounds = match joined.bounds {
            Bounds::Unknown => OwnedBounds::Unknown,
            Bounds::Bool { on_true, on_false } => OwnedBounds::Bool { on_true, on_false },
            Bounds::Int { min, max } => OwnedBounds::Int { min, max },
            Bounds::Float { min, max, nan } => OwnedBounds::Float { min, max, nan },
            Bounds::Text { min, max, exact } => {
                OwnedBounds::Text { min: min.to_vec(), max: max.map(<[u8]>::to_vec), exact }
            }
        };
        *self = Owned { values, nulls, bounds };
    }
}

/// What is known of rows that lie together; `validity` is of these rows alone.
fn piece(view: ColumnView<'_>, validity: Option<&[u8]>, rows: Range<usize>) -> Owned {
    let present = |row: usize| validity.is_none_or(|valid| valid[row - rows.start] != 0);
    let values = rows.clone().any(present);
    let nulls = !rows.clone().all(present);
    macro_rules! ints {
        ($values:expr) => {{
            let part = $values.get(rows.clone()).unwrap_or_default().iter().zip(rows.clone());
            let part = part.filter(|(_, row)| present(*row)).map(|(v, _)| *v);
            let (min, max) = part.fold((None, None), |(min, max), v| {
                (Some(min.map_or(v, |min| v.min(min))), Some(max.map_or(v, |max| v.max(max))))
            });
            match (min, max) {
                (Some(min), Some(max)) => {
                    OwnedBounds::Int { min: i64::from(min), max: i64::from(max) }
                }
                _ => OwnedBounds::Unknown,
            }
        }};
    }
    macro_rules! floats {
        ($values:expr) => {{
            let part = $values.get(rows.clone()).unwrap_or_default().iter().zip(rows.clone());
            let part = part.filter(|(_, row)| present(*row)).map(|(v, _)| f64::from(*v));
            let start = (f64::INFINITY, f64::NEG_INFINITY, false);
            // The smaller of a number and NaN is the number.
            let (min, max, nan) =
                part.fold(start, |(min, max, nan), v| (v.min(min), v.max(max), nan || v.is_nan()));
            OwnedBounds::Float { min, max, nan }
        }};
    }
    let bounds = match view {
        ColumnView::Bool(all) => {
            let all = all.get(rows.clone()).unwrap_or_default();
            let any = |wanted: bool| {
                let mut part = all.iter().zip(rows.clone());
                part.any(|(v, row)| present(row) && (*v != 0) == wanted)
            };
            OwnedBounds::Bool { on_true: any(true), on_false: any(false) }
        }
        ColumnView::Int8(all) => ints!(all),
        ColumnView::Int16(all) => ints!(all),
        ColumnView::Int32(all) => ints!(all),
        ColumnView::Int64(all) => ints!(all),
        ColumnView::Float(all) => floats!(all),
        ColumnView::Double(all) => floats!(all),
        ColumnView::Text(view) => {
            let texts = || rows.clone().filter(|row| present(*row)).filter_map(|row| view.get(row));
            match (texts().min(), texts().max()) {
                (Some(min), Some(max)) => {
                    OwnedBounds::Text { min: min.to_vec(), max: Some(max.to_vec()), exact: true }
                }
                _ => OwnedBounds::Unknown,
            }
        }
        ColumnView::Json(_) | ColumnView::Array { .. } => OwnedBounds::Unknown,
    };
    Owned { values, nulls, bounds }
}
