//! Bounds on a filter text and on an encoded plan, checked before anything recurses or allocates.

/// Most bytes of a filter text. A delete by keys is one long list, so a message's worth is
/// accepted.
pub const TEXT_BYTES_MAX: usize = 64 << 20;

/// Most bytes of a filter text outside its `[..]` lists.
pub const LOGIC_BYTES_MAX: usize = 1 << 20;

/// Most items of all lists of a filter together.
pub const LIST_ITEMS_MAX: usize = 1_000_000;

/// Deepest nesting of parentheses, lists, calls and prefix operators together.
pub const NESTING_MAX: usize = 128;

/// Most characters between two `%` of a `like` pattern when `_` is among them.
pub const LIKE_WILD_CHARS_MAX: usize = 1024;

/// Deepest plan that is decoded: a parenthesis adds at most one `and` and one `or`.
pub(crate) const PLAN_DEPTH_MAX: u32 = 2 * NESTING_MAX as u32 + 8;

/// Most bytes of a filter text that an error repeats.
pub(crate) const ECHO_BYTES_MAX: usize = 1024;
