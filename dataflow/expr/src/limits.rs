//! Bounds on a filter text and on an encoded plan, checked before anything recurses or allocates.

/// Most bytes of a filter text. A delete by keys is one long list, so a message's worth is
/// accepted.
pub const TEXT_BYTES_MAX: usize = 64 << 20;

/// Most bytes of a filter text outside its `[..]` lists: a list of equalities with `or` between
/// them is accepted up to here, because it becomes one list as it is read.
pub const LOGIC_BYTES_MAX: usize = 16 << 20;

/// Most predicates and operators of a filter, not counting those that became items of a list.
pub const PIECES_MAX: usize = 400_000;

/// Most bytes of a compiled regular expression, and of the tables it builds while it runs.
pub const REGEX_BYTES_MAX: usize = 1 << 20;

/// Largest `minimum_should_match` of a `text_match`.
pub const MATCH_WORDS_MAX: i64 = 1_000;

/// Most bytes of the text of a `phrase_match` with a slop: its cost grows with the square of them.
pub const PHRASE_BYTES_MAX: usize = 4096;

/// Most regular expressions of a filter: each may take [`REGEX_BYTES_MAX`].
pub const REGEXES_MAX: usize = 64;

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
