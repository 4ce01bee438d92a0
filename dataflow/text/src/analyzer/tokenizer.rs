//! Tokenizers: where a text is cut.

use std::sync::LazyLock;

use jieba_rs::{Jieba, TokenizeMode};

use super::Token;

/// The default dictionary of Chinese words, loaded when the first text needs it, once a process.
static DICTIONARY: LazyLock<Jieba> = LazyLock::new(Jieba::new);

/// How a text is cut into tokens.
pub(super) enum Tokenizer {
    /// Runs of letters and digits.
    Standard,
    /// What lies between ASCII white space.
    Whitespace,
    /// Chinese words.
    Jieba(Box<Words>),
}

/// Makes a dictionary when the first text needs it.
type Load = Box<dyn FnOnce() -> Jieba + Send>;

/// Chinese words by dictionary, and by a hidden Markov model where the dictionary has none.
pub(super) struct Words {
    /// A dictionary of the analyzer's own; the default one when none.
    pub(super) own: Option<LazyLock<Jieba, Load>>,
    pub(super) search: bool,
    pub(super) hmm: bool,
}

impl Words {
    /// Words of the default dictionary, `search` mode, with the model.
    pub(super) fn standard() -> Box<Words> {
        Box::new(Words { own: None, search: true, hmm: true })
    }

    /// Sets a dictionary of `words`, on top of the default one when `default` says so.
    pub(super) fn own(&mut self, words: Vec<String>, default: bool) {
        if default && words.is_empty() {
            self.own = None;
            return;
        }
        self.own = Some(LazyLock::new(Box::new(move || {
            let mut jieba = if default { Jieba::clone(&DICTIONARY) } else { Jieba::empty() };
            for word in &words {
                jieba.add_word(word, None, None);
            }
            jieba
        })));
    }
}

impl Tokenizer {
    /// Calls `each` with every token.
    pub(super) fn each(&self, text: &str, each: &mut dyn FnMut(Token<'_>)) {
        match self {
            Tokenizer::Standard => runs(text, char::is_alphanumeric, each),
            Tokenizer::Whitespace => runs(text, |c| !c.is_ascii_whitespace(), each),
            Tokenizer::Jieba(words) => {
                let jieba = words.own.as_ref().map_or(&*DICTIONARY, |own| &**own);
                let mode = if words.search { TokenizeMode::Search } else { TokenizeMode::Default };
                for word in jieba.tokenize(text, mode, words.hmm) {
                    each(Token {
                        text: word.word,
                        start: word.byte_start as u32,
                        end: word.byte_end as u32,
                        position: word.start as u32,
                        length: (word.end - word.start) as u32,
                    });
                }
            }
        }
    }
}

/// Cuts a text into the longest runs of characters that `belongs` accepts.
fn runs(text: &str, belongs: impl Fn(char) -> bool, each: &mut dyn FnMut(Token<'_>)) {
    let mut position = 0;
    let mut start = None;
    let mut cut = |from: usize, to: usize| {
        let (start, end) = (from as u32, to as u32);
        each(Token { text: &text[from..to], start, end, position, length: 1 });
        position += 1;
    };
    for (at, c) in text.char_indices() {
        match (belongs(c), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                cut(from, at);
                start = None;
            }
            _ => {}
        }
    }
    if let Some(from) = start {
        cut(from, text.len());
    }
}
