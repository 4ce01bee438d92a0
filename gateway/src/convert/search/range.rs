//! Range search: the scores where hits end.

use millstream_catalog::model::{Fault, Metric};
use millstream_dataflow::api::{Bound, Bounds};
use serde_json::{Map, Value};

use super::SearchParams;
use crate::convert::params::{find, text_of};
use crate::pb::common::KeyValuePair;

/// `radius` and `range_filter`, beside the other parameters or among the nested ones.
pub(super) fn read(
    pairs: &[KeyValuePair],
    inner: &Map<String, Value>,
) -> Result<(Option<f32>, Option<f32>), Fault> {
    let one = |key: &str| {
        let text = match (find(pairs, key), inner.get(key)) {
            (Some(text), _) => text.to_owned(),
            (None, None | Some(Value::Null)) => return Ok(None),
            (None, Some(value)) => text_of(value),
        };
        match text.trim().parse::<f64>() {
            // A bound beyond the largest score leaves nothing out.
            Ok(bound) if !bound.is_nan() => Ok(Some(bound as f32)),
            _ => Err(Fault::invalid(format!(
                "Type conflict in json: param '{key}' ({text}) should be a number"
            ))),
        }
    };
    let (radius, range_filter) = (one("radius")?, one("range_filter")?);
    if radius.is_none() && range_filter.is_some() {
        return Err(Fault::invalid(
            "range_filter requires radius to be set; range_filter alone is not a valid range \
             search parameter",
        ));
    }
    Ok((radius, range_filter))
}

impl SearchParams {
    /// The scores that are hits under a metric.
    ///
    /// # Errors
    /// When the bounds leave nothing between them.
    pub fn bounds(&self, metric: Metric) -> Result<Bounds, Fault> {
        if let (Some(radius), Some(best)) = (self.radius, self.range_filter) {
            let larger = metric.larger_is_better();
            let empty = if larger { best <= radius } else { best >= radius };
            if empty {
                let relation = if larger { "greater" } else { "less" };
                return Err(Fault::invalid(format!(
                    "range_filter({best}) must be {relation} than radius({radius}) for metric \
                     type {}",
                    metric.name()
                )));
            }
        }
        let bound = |inclusive| move |score| Bound { score, inclusive };
        let after = self.page.as_ref().and_then(|page| page.after);
        let best = match (self.range_filter, after) {
            (Some(best), Some(after)) => {
                let passed = if metric.larger_is_better() { after <= best } else { after >= best };
                Some(if passed { bound(false)(after) } else { bound(true)(best) })
            }
            (Some(best), None) => Some(bound(true)(best)),
            (None, after) => after.map(bound(false)),
        };
        Ok(Bounds { best, worst: self.radius.map(bound(false)) })
    }
}
