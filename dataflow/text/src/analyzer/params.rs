//! Reads `analyzer_params`: a built-in `type`, or a `tokenizer` with a list of `filter`.

use aho_corasick::{AhoCorasick, MatchKind};
use fancy_regex::RegexBuilder;
use frostem::{Algorithm, Stemmer};
use hashbrown::HashSet;
use millstream_catalog::model::Fault;
use serde_json::{Map, Value};

use super::filter::Filter;
use super::stop;
use super::tokenizer::{Tokenizer, Words};

type Object = Map<String, Value>;

/// The tokenizer and the filters of `analyzer_params`.
pub(super) fn pipeline(json: &str) -> Result<(Tokenizer, Vec<Filter>), Fault> {
    if json.trim().is_empty() {
        return built_in("standard", &Map::new());
    }
    let value: Value =
        serde_json::from_str(json).map_err(|e| fault(format_args!("not JSON: {e}")))?;
    let Value::Object(object) = value else {
        return Err(fault(format_args!("it should be a JSON object")));
    };
    match object.get("type") {
        Some(Value::String(name)) => built_in(name, &object),
        Some(_) => Err(fault(format_args!("analyzer type should be a string"))),
        None if object.is_empty() => built_in("standard", &object),
        None => custom(&object),
    }
}

fn fault(what: std::fmt::Arguments<'_>) -> Fault {
    Fault::invalid(format_args!("invalid analyzer_params, {what}"))
}

fn built_in(name: &str, object: &Object) -> Result<(Tokenizer, Vec<Filter>), Fault> {
    let (tokenizer, mut filters) = match name {
        "standard" => (Tokenizer::Standard, vec![Filter::Lowercase]),
        "english" => (
            Tokenizer::Standard,
            vec![
                Filter::Lowercase,
                Filter::Stemmer(Stemmer::new(Algorithm::English)),
                Filter::Stop(stop_set(["_english_"].into_iter())),
            ],
        ),
        "chinese" => (Tokenizer::Jieba(Words::standard()), vec![Filter::CnAlphaNumOnly]),
        other => return Err(fault(format_args!("unknown built-in analyzer type: {other}"))),
    };
    known_keys(object, &["type", "stop_words"], "analyzer")?;
    if let Some(words) = object.get("stop_words") {
        filters.push(Filter::Stop(stop_set(words_of(words, "stop_words")?.into_iter())));
    }
    Ok((tokenizer, filters))
}

fn custom(object: &Object) -> Result<(Tokenizer, Vec<Filter>), Fault> {
    known_keys(object, &["tokenizer", "filter"], "analyzer")?;
    let tokenizer = match object.get("tokenizer") {
        Some(Value::String(name)) => tokenizer(name, &Map::new())?,
        Some(Value::Object(params)) => tokenizer(type_of(params, "tokenizer")?, params)?,
        Some(_) => {
            return Err(fault(format_args!("tokenizer should be a string or an object")));
        }
        None => return Err(fault(format_args!("tokenizer name or type must be set"))),
    };
    let filters = match object.get("filter") {
        None => Vec::new(),
        Some(Value::Array(list)) => list.iter().map(filter).collect::<Result<_, _>>()?,
        Some(_) => return Err(fault(format_args!("filter should be an array"))),
    };
    Ok((tokenizer, filters))
}

fn tokenizer(name: &str, params: &Object) -> Result<Tokenizer, Fault> {
    match name {
        "standard" | "whitespace" => {
            known_keys(params, &["type"], name)?;
            Ok(if name == "standard" { Tokenizer::Standard } else { Tokenizer::Whitespace })
        }
        "jieba" => jieba(params),
        other => Err(fault(format_args!("unsupported tokenizer: {other}"))),
    }
}

fn jieba(params: &Object) -> Result<Tokenizer, Fault> {
    known_keys(params, &["type", "dict", "mode", "hmm"], "jieba")?;
    let mut words = Words::standard();
    words.search = match params.get("mode").map(Value::as_str) {
        None | Some(Some("search")) => true,
        Some(Some("exact")) => false,
        Some(_) => {
            return Err(fault(format_args!(r#"jieba mode must be "exact" or "search""#)));
        }
    };
    words.hmm = match params.get("hmm") {
        None => true,
        Some(Value::Bool(hmm)) => *hmm,
        Some(_) => return Err(fault(format_args!("jieba hmm must be a boolean"))),
    };
    if let Some(dict) = params.get("dict") {
        let mut list = words_of(dict, "jieba dict")?;
        if let Some(name) = list.iter().find(|w| **w == "_extend_default_") {
            return Err(fault(format_args!("unsupported jieba dict: {name}")));
        }
        let all = list.len();
        list.retain(|word| *word != "_default_");
        let default = list.len() < all;
        words.own(list.into_iter().map(str::to_owned).collect(), default);
    }
    Ok(Tokenizer::Jieba(words))
}

fn filter(value: &Value) -> Result<Filter, Fault> {
    match value {
        Value::String(name) => plain_filter(name, &Map::new()),
        Value::Object(params) => match type_of(params, "filter")? {
            "length" => length(params),
            "stop" => {
                known_keys(params, &["type", "stop_words"], "stop")?;
                let words = params.get("stop_words").map(|v| words_of(v, "stop_words"));
                let words = words.transpose()?.unwrap_or_default();
                Ok(Filter::Stop(stop_set(words.into_iter())))
            }
            "decompounder" => decompounder(params),
            "stemmer" => stemmer(params),
            "regex" => regex(params),
            other => plain_filter(other, params),
        },
        _ => Err(fault(format_args!("filter should be a string or an object"))),
    }
}

fn plain_filter(name: &str, params: &Object) -> Result<Filter, Fault> {
    let filter = match name {
        "lowercase" => Filter::Lowercase,
        "asciifolding" => Filter::AsciiFolding,
        "alphanumonly" => Filter::AlphaNumOnly,
        "cnalphanumonly" => Filter::CnAlphaNumOnly,
        "cncharonly" => Filter::CnCharOnly,
        "removepunct" => Filter::RemovePunct,
        "length" | "stop" | "decompounder" | "stemmer" | "regex" => {
            return Err(fault(format_args!("filter {name} should be an object with its options")));
        }
        other => return Err(fault(format_args!("unsupported filter: {other}"))),
    };
    known_keys(params, &["type"], name)?;
    Ok(filter)
}

fn length(params: &Object) -> Result<Filter, Fault> {
    known_keys(params, &["type", "max"], "length")?;
    let max = params.get("max").and_then(Value::as_u64);
    let max = max.ok_or_else(|| fault(format_args!("length max should be an unsigned integer")))?;
    Ok(Filter::Length(usize::try_from(max).unwrap_or(usize::MAX)))
}

fn decompounder(params: &Object) -> Result<Filter, Fault> {
    known_keys(params, &["type", "word_list"], "decompounder")?;
    let words = params.get("word_list").map(|v| words_of(v, "decompounder word_list"));
    let words = words.transpose()?.unwrap_or_default();
    if words.is_empty() {
        return Err(fault(format_args!("decompounder word_list is empty")));
    }
    let words = words.iter().filter(|word| !word.is_empty());
    let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(words);
    built
        .map(Filter::Decompounder)
        .map_err(|e| fault(format_args!("create decompounder failed: {e}")))
}

fn stemmer(params: &Object) -> Result<Filter, Fault> {
    known_keys(params, &["type", "language"], "stemmer")?;
    let Some(language) = params.get("language").and_then(Value::as_str) else {
        return Err(fault(format_args!("stemmer language should be a string")));
    };
    let algorithm = match language.to_lowercase().as_str() {
        "arabic" | "arabig" => Algorithm::Arabic,
        "danish" => Algorithm::Danish,
        "dutch" => Algorithm::DutchPorter,
        "english" => Algorithm::English,
        "finnish" => Algorithm::Finnish,
        "french" => Algorithm::French,
        "german" => Algorithm::German,
        "greek" => Algorithm::Greek,
        "hungarian" => Algorithm::Hungarian,
        "italian" => Algorithm::Italian,
        "norwegian" => Algorithm::Norwegian,
        "portuguese" => Algorithm::Portuguese,
        "romanian" => Algorithm::Romanian,
        "russian" => Algorithm::Russian,
        "spanish" => Algorithm::Spanish,
        "swedish" => Algorithm::Swedish,
        "tamil" => Algorithm::Tamil,
        "turkish" => Algorithm::Turkish,
        _ => return Err(fault(format_args!("unsupported stemmer language: {language}"))),
    };
    Ok(Filter::Stemmer(Stemmer::new(algorithm)))
}

/// Most steps back of a regular expression on one token: a pattern that needs more, on a token of
/// a text that some client sends, does not match it.
const BACKTRACKS_MAX: usize = 10_000;

fn regex(params: &Object) -> Result<Filter, Fault> {
    known_keys(params, &["type", "expr"], "regex")?;
    let Some(expr) = params.get("expr").and_then(Value::as_str) else {
        return Err(fault(format_args!("regex expr should be a string")));
    };
    let regex = RegexBuilder::new(expr).backtrack_limit(BACKTRACKS_MAX).build();
    let regex = regex.map_err(|e| fault(format_args!("regex expr {expr}: {e}")))?;
    Ok(Filter::Regex(Box::new(regex)))
}

fn type_of<'a>(params: &'a Object, what: &str) -> Result<&'a str, Fault> {
    match params.get("type") {
        Some(Value::String(name)) => Ok(name),
        Some(_) => Err(fault(format_args!("{what} type should be a string"))),
        None => Err(fault(format_args!("{what} must set type"))),
    }
}

fn known_keys(object: &Object, known: &[&str], what: &str) -> Result<(), Fault> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(fault(format_args!("unknown {what} option key: {key}"))),
        None => Ok(()),
    }
}

/// The words of a list, or the one word that stands alone.
fn words_of<'a>(value: &'a Value, what: &str) -> Result<Vec<&'a str>, Fault> {
    match value {
        Value::String(word) => Ok(vec![word]),
        Value::Array(list) => list
            .iter()
            .map(|item| item.as_str())
            .collect::<Option<_>>()
            .ok_or_else(|| fault(format_args!("{what} list item should be a string"))),
        _ => Err(fault(format_args!("{what} should be an array"))),
    }
}

/// The words, with those of the lists they name.
fn stop_set<'a>(words: impl Iterator<Item = &'a str>) -> HashSet<Box<str>> {
    let mut set = HashSet::new();
    for word in words {
        match stop::list(word) {
            Some(list) => set.extend(list.iter().map(|&word| Box::from(word))),
            None => {
                set.insert(Box::from(word));
            }
        }
    }
    set
}
