//! Regular expressions: linear in the text, bounded in size, found anywhere in a text unless the
//! pattern says where.

use regex::bytes::{Regex, RegexBuilder};

use crate::limits::REGEX_BYTES_MAX;

/// Compiles a pattern.
///
/// # Errors
/// A pattern that is no regular expression, or one that is too large when compiled.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(pattern);
    let built = builder.size_limit(REGEX_BYTES_MAX).dfa_size_limit(REGEX_BYTES_MAX).build();
    built.map_err(|e| {
        let reason = e.to_string();
        let reason = reason.lines().last().unwrap_or("").trim_start_matches("error: ");
        format!("invalid regex pattern '{}': {reason}", crate::token::clip(pattern))
    })
}
