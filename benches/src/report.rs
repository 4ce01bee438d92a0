//! The lines a benchmark prints.

use std::fmt;
use std::io::Write;

/// One measured figure.
#[derive(Debug, Clone)]
pub struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
    peer: Option<(String, f64)>,
    target: Option<Target>,
}

/// What a figure is meant to reach.
#[derive(Debug, Clone, Copy)]
enum Target {
    ValueMin(f64),
    ValueMax(f64),
    RatioMin(f64),
    RatioMax(f64),
}

impl Figure {
    /// A figure by its name, value and unit.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Figure {
        Figure { name: name.into(), value, unit, peer: None, target: None }
    }

    /// States the value of a limit or a peer, in the same unit and from the same run.
    pub fn against(mut self, name: impl Into<String>, value: f64) -> Figure {
        self.peer = Some((name.into(), value));
        self
    }

    /// The value is meant to be at least `min`.
    pub fn at_least(mut self, min: f64) -> Figure {
        self.target = Some(Target::ValueMin(min));
        self
    }

    /// The value is meant to be at most `max`.
    pub fn at_most(mut self, max: f64) -> Figure {
        self.target = Some(Target::ValueMax(max));
        self
    }

    /// The ratio to the peer is meant to be at least `min`.
    pub fn ratio_at_least(mut self, min: f64) -> Figure {
        self.target = Some(Target::RatioMin(min));
        self
    }

    /// The ratio to the peer is meant to be at most `max`.
    pub fn ratio_at_most(mut self, max: f64) -> Figure {
        self.target = Some(Target::RatioMax(max));
        self
    }

    /// Value over the peer's value.
    fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|(_, peer)| self.value / peer)
    }

    /// Writes the line to standard output.
    pub fn print(&self) {
        // A closed pipe ends the reader's interest, not the measurement.
        let _ = writeln!(std::io::stdout(), "{self}");
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:<36} {:>12} {:<8}", self.name, rounded(self.value), self.unit)?;
        let ratio = self.ratio();
        if let (Some((peer, value)), Some(ratio)) = (&self.peer, ratio) {
            write!(f, " {ratio:.3} of {} {} {peer}", rounded(*value), self.unit)?;
        }
        let Some(target) = self.target else { return Ok(()) };
        let ratio = ratio.unwrap_or(f64::NAN);
        let (sign, bound, what, reached) = match target {
            Target::ValueMin(min) => (">=", min, "", self.value >= min),
            Target::ValueMax(max) => ("<=", max, "", self.value <= max),
            Target::RatioMin(min) => (">=", min, "ratio ", ratio >= min),
            Target::RatioMax(max) => ("<=", max, "ratio ", ratio <= max),
        };
        let verdict = if reached { "reached" } else { "MISSED" };
        write!(f, " | target {what}{sign} {}: {verdict}", rounded(bound))
    }
}

/// Writes a line that is no figure.
pub fn note(text: &str) {
    let _ = writeln!(std::io::stdout(), "# {text}");
}

/// A number with about four significant digits, and thousands in groups.
fn rounded(value: f64) -> String {
    let digits = match value.abs() {
        x if x >= 1000.0 => 0,
        x if x >= 100.0 => 1,
        x if x >= 10.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    let digits_total = whole.trim_start_matches('-').len();
    for (i, c) in whole.trim_start_matches('-').chars().enumerate() {
        if i > 0 && (digits_total - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(c);
    }
    let sign = if whole.starts_with('-') { "-" } else { "" };
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::{Figure, rounded};

    #[test]
    fn numbers_are_grouped_and_cut_to_what_matters() {
        let shown: Vec<String> = [1234567.8, 0.12345, 99.999, -4321.0].map(rounded).to_vec();
        assert_eq!(shown, ["1,234,568", "0.123", "100.00", "-4,321"]);
    }

    #[test]
    fn a_line_tells_ratio_target_and_verdict() {
        let line =
            Figure::new("scan", 30.0, "GB/s").against("read loop", 40.0).ratio_at_least(0.85);
        let line = line.to_string();
        assert!(line.contains("0.750 of 40.00 GB/s read loop"), "{line}");
        assert!(line.ends_with("target ratio >= 0.850: MISSED"), "{line}");
    }
}
