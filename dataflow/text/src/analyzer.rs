//! Analyzers: a tokenizer and a list of filters, built from a field's `analyzer_params`.

mod filter;
mod fold;
mod params;
mod stop;
mod tokenizer;

use std::fmt;
use std::sync::Arc;

use millstream_catalog::model::Fault;

use filter::Filter;
use tokenizer::Tokenizer;

/// One token of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'a> {
    /// The term, as the filters left it.
    pub text: &'a str,
    /// Where the token starts in the text, in bytes.
    pub start: u32,
    /// Where it ends, in bytes.
    pub end: u32,
    /// Its place among the tokens (for `jieba`: among the characters), before any filter.
    pub position: u32,
    /// Places that it takes: 1, or for `jieba` its characters.
    pub length: u32,
}

/// Turns texts into tokens. Clones are cheap and share everything.
#[derive(Clone)]
pub struct Analyzer(Arc<Pipeline>);

struct Pipeline {
    tokenizer: Tokenizer,
    filters: Vec<Filter>,
}

/// Buffers of an analysis, one a filter, kept from text to text.
#[derive(Default)]
pub(crate) struct Scratch(Vec<String>);

impl Analyzer {
    /// Builds the analyzer that `analyzer_params` describes; none, an empty text or `{}` is the
    /// `standard` one.
    ///
    /// # Errors
    /// Code 1100, naming the key, the type or the value that is not known.
    pub fn from_params(json: Option<&str>) -> Result<Analyzer, Fault> {
        let (tokenizer, filters) = params::pipeline(json.unwrap_or_default())?;
        Ok(Analyzer(Arc::new(Pipeline { tokenizer, filters })))
    }

    /// Calls `each` with every token of `text`, in order.
    pub fn analyze(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) {
        self.analyze_with(&mut Scratch::default(), text, each);
    }

    /// As [`Analyzer::analyze`], with buffers that the caller keeps.
    pub(crate) fn analyze_with(
        &self,
        scratch: &mut Scratch,
        text: &str,
        each: &mut dyn FnMut(Token<'_>),
    ) {
        let Pipeline { tokenizer, filters } = &*self.0;
        scratch.0.resize_with(filters.len(), String::new);
        tokenizer.each(text, &mut |token| filter::pass(filters, &mut scratch.0, token, each));
    }
}

impl fmt::Debug for Analyzer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Analyzer").field("filters", &self.0.filters.len()).finish_non_exhaustive()
    }
}
