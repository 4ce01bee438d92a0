//! Pages of search iterators that the server helps with: each ends where the next one begins.

use millstream_catalog::model::Fault;
use millstream_catalog::model::limits::TOPK_MAX;

use crate::convert::params::{find, flag};
use crate::pb::common::KeyValuePair;

/// A page of a search iterator.
#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The iterator's name, from its first page on.
    pub token: Option<String>,
    /// Hits wanted.
    pub size: u32,
    /// The worst score of the pages before.
    pub after: Option<f32>,
}

/// The page that is asked for; none when no page is.
pub(super) fn read(
    pairs: &[KeyValuePair],
    iterator: bool,
    offset: u32,
) -> Result<Option<Page>, Fault> {
    if !flag(pairs, "search_iter_v2") {
        return Ok(None);
    }
    let wrong = |text: String| Fault::plain(format!("parse iterator v2 info failed: {text}"));
    if !iterator {
        return Err(wrong("both iterator and search_iter_v2 must be set in the SDK".to_owned()));
    }
    if offset > 0 {
        return Err(Fault::invalid(
            "parse iterator v2 info failed: Setting an offset is not permitted when using a \
             search iterator v2",
        ));
    }
    let given = |key| find(pairs, key).map(str::trim).filter(|text| !text.is_empty());
    let token = given("search_iter_id").map(str::to_owned);
    if token.as_deref().is_some_and(|token| !is_uuid(token)) {
        return Err(wrong("invalid token format".to_owned()));
    }
    let size = given("search_iter_batch_size");
    let size = size.ok_or_else(|| wrong("batch size is required".to_owned()))?;
    let count: i64 =
        size.parse().map_err(|_| wrong(format!("batch size is invalid, {size} is no number")))?;
    let size = u32::try_from(count).ok().filter(|&n| (1..=TOPK_MAX).contains(&u64::from(n)));
    let size = size.ok_or_else(|| {
        let range = format!("[1, {TOPK_MAX}]");
        wrong(format!("batch size is invalid, it should be in range {range}, but got {count}"))
    })?;
    let after = match given("search_iter_last_bound") {
        None => None,
        Some(text) => match text.parse::<f32>() {
            Ok(bound) if !bound.is_nan() => Some(bound),
            _ => return Err(wrong(format!("failed to parse input last bound, {text}"))),
        },
    };
    Ok(Some(Page { token, size, after }))
}

/// Whether a text is a UUID in its usual form.
fn is_uuid(text: &str) -> bool {
    let is_hyphen = |at| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match byte {
            b'-' => is_hyphen(at),
            other => other.is_ascii_hexdigit() && !is_hyphen(at),
        })
}

/// A new UUID of random bits.
pub fn new_token(random: u128) -> String {
    let bits = (random & !(0xF << 76) & !(0x3 << 62)) | 4 << 76 | 2 << 62;
    let hex = format!("{bits:032x}");
    let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
    format!("{a}-{b}-{c}-{d}-{e}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_token_is_a_random_uuid() {
        for random in [0, u128::MAX, 0x0123_4567_89ab_cdef_0123_4567_89ab_cdef] {
            let token = new_token(random);
            assert!(is_uuid(&token), "{token}");
            assert_eq!(&token[14..15], "4");
            assert!(["8", "9", "a", "b"].contains(&&token[19..20]), "{token}");
        }
        assert!(!is_uuid("0123456789abcdef0123456789abcdef0123"));
        assert!(!is_uuid("short"));
    }
}
