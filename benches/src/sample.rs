//! Percentiles of measured durations.

use std::time::Duration;

/// Durations of one kind of request.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    milliseconds: Vec<f64>,
}

impl Sample {
    /// Adds one duration.
    pub fn add(&mut self, duration: Duration) {
        self.milliseconds.push(duration.as_secs_f64() * 1e3);
    }

    /// Adds all durations of another sample.
    pub fn extend(&mut self, other: &Sample) {
        self.milliseconds.extend_from_slice(&other.milliseconds);
    }

    /// Number of durations.
    pub fn count(&self) -> usize {
        self.milliseconds.len()
    }

    /// The duration in ms that `share` (0 to 1) of all do not exceed; NaN of an empty sample.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        let mut sorted = self.milliseconds.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let last = sorted.len().saturating_sub(1);
        sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// The median in ms.
    pub fn median_ms(&self) -> f64 {
        self.quantile_ms(0.5)
    }
}

#[cfg(test)]
mod tests {
    use super::Sample;
    use std::time::Duration;

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let mut sample = Sample::default();
        (1..=101).rev().for_each(|ms| sample.add(Duration::from_millis(ms)));
        assert_eq!(sample.count(), 101);
        assert_eq!(
            [sample.median_ms(), sample.quantile_ms(0.99), sample.quantile_ms(1.0)],
            [51.0, 100.0, 101.0]
        );
        assert!(Sample::default().median_ms().is_nan());
    }
}
