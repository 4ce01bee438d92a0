//! Known texts and what their tokens are; known mistakes and what they are told.

use millstream_catalog::model::Code;

use super::terms;
use crate::Analyzer;

const TEXT: &str = "The Milvus vector database is built for scale!";

#[test]
fn no_params_mean_the_standard_analyzer() {
    let standard = ["the", "milvus", "vector", "database", "is", "built", "for", "scale"];
    for params in ["", "{}", r#"{"type": "standard"}"#] {
        assert_eq!(terms(params, TEXT), standard);
    }
}

#[test]
fn stop_words_may_be_words_and_lists() {
    let params = r#"{"type": "standard", "stop_words": ["vector", "_english_"]}"#;
    assert_eq!(terms(params, TEXT), ["milvus", "database", "built", "scale"]);
}

#[test]
fn english_words_lose_their_endings_and_stop_words_go() {
    assert_eq!(
        terms(r#"{"type": "english"}"#, TEXT),
        ["milvus", "vector", "databas", "built", "scale"]
    );
    let text = "Running runners ran easily";
    assert_eq!(terms(r#"{"type": "english"}"#, text), ["run", "runner", "ran", "easili"]);
}

#[test]
fn chinese_text_is_cut_into_words_and_into_the_words_in_them() {
    let chinese = r#"{"type": "chinese"}"#;
    assert_eq!(
        terms(chinese, "Milvus 是一个高性能、可扩展的向量数据库！").first().unwrap(),
        "Milvus"
    );
    let words = terms(chinese, "我来到北京清华大学。");
    assert_eq!(words, ["我", "来到", "北京", "清华", "华大", "大学", "清华大学"]);
}

#[test]
fn jieba_takes_words_of_its_own_a_mode_and_a_model() {
    let params = r#"{"tokenizer": {"type": "jieba", "dict": ["结巴分词器"], "mode": "exact", "hmm": false}}"#;
    let words = terms(params, "milvus结巴分词器中文测试");
    assert_eq!(words, ["milvus", "结巴分词器", "中", "文", "测", "试"]);
    let params =
        r#"{"tokenizer": {"type": "jieba", "dict": ["_default_", "清华大学的"], "mode": "exact"}}"#;
    assert!(terms(params, "我来到北京清华大学的").contains(&"北京".to_owned()));
}

#[test]
fn positions_and_offsets_are_those_of_the_tokenizer() {
    let analyzer = Analyzer::from_params(Some(r#"{"type": "english"}"#)).unwrap();
    let mut tokens = Vec::new();
    analyzer.analyze("the quick, THE foxes", &mut |t| {
        tokens.push((t.text.to_owned(), t.start, t.end, t.position, t.length));
    });
    assert_eq!(tokens, [("quick".to_owned(), 4, 9, 1, 1), ("fox".to_owned(), 15, 20, 3, 1)]);
}

#[test]
fn every_filter_does_what_its_name_says() {
    let custom = |tokenizer: &str, filter: &str| {
        format!(r#"{{"tokenizer": "{tokenizer}", "filter": [{filter}]}}"#)
    };
    let cases = [
        ("whitespace", r#""lowercase""#, "Ä-B c\tD\n", vec!["ä-b", "c", "d"]),
        (
            "standard",
            r#""asciifolding""#,
            "Ærø façade ﬁn ＡＢ1 Привет 中",
            vec!["AEro", "facade", "fin", "AB1", "Привет", "中"],
        ),
        ("standard", r#""alphanumonly""#, "abc1 naïve 中文 x", vec!["abc1", "x"]),
        ("whitespace", r#""cnalphanumonly""#, "ab 中 привет ?! 1", vec!["ab", "中", "1"]),
        ("whitespace", r#""cncharonly""#, "ab 中文 привет 1", vec!["中文"]),
        ("whitespace", r#""removepunct""#, "a+b , c! ，d $ e", vec!["a+b", "$", "e"]),
        ("standard", r#"{"type": "length", "max": 3}"#, "abc abcd é éé", vec!["abc", "é"]),
        (
            "standard",
            r#"{"type": "stop", "stop_words": ["of", "_english_"]}"#,
            "end of an era",
            vec!["end", "era"],
        ),
        (
            "standard",
            r#"{"type": "stop", "stop_words": "_english_"}"#,
            "end of an era",
            vec!["end", "era"],
        ),
        (
            "standard",
            r#"{"type": "decompounder", "word_list": ["dampf", "schiff", "fahrt"]}"#,
            "dampfschifffahrt dampfer",
            vec!["dampf", "schiff", "fahrt", "dampfer"],
        ),
        ("standard", r#"{"type": "stemmer", "language": "German"}"#, "häuser", vec!["haus"]),
        ("standard", r#"{"type": "regex", "expr": "^(?!test)"}"#, "testing a test", vec!["a"]),
        (
            "standard",
            r#""lowercase", {"type": "stemmer", "language": "english"}"#,
            "Cats",
            vec!["cat"],
        ),
    ];
    for (tokenizer, filter, text, expected) in cases {
        assert_eq!(terms(&custom(tokenizer, filter), text), expected, "{filter} of {text}");
    }
}

#[test]
fn a_text_without_tokens_has_none() {
    for text in ["", "  \n", "!?。", "\u{0}"] {
        for params in ["", r#"{"type": "english"}"#, r#"{"type": "chinese"}"#] {
            assert!(terms(params, text).is_empty(), "{text:?} under {params}");
        }
    }
}

#[test]
fn a_mistake_is_named() {
    let cases = [
        ("[]", "JSON object"),
        ("{", "not JSON"),
        (r#"{"type": 1}"#, "type should be a string"),
        (r#"{"type": "klingon"}"#, "klingon"),
        (r#"{"type": "standard", "stop_wrods": []}"#, "stop_wrods"),
        (r#"{"type": "standard", "stop_words": [1]}"#, "stop_words"),
        (r#"{"filter": []}"#, "tokenizer name or type must be set"),
        (r#"{"tokenizer": 3}"#, "tokenizer should be"),
        (r#"{"tokenizer": "lindera"}"#, "lindera"),
        (r#"{"tokenizer": {"mode": "exact"}}"#, "tokenizer must set type"),
        (r#"{"tokenizer": {"type": "jieba", "mode": "all"}}"#, "jieba mode"),
        (r#"{"tokenizer": {"type": "jieba", "hmm": 1}}"#, "jieba hmm"),
        (r#"{"tokenizer": {"type": "jieba", "dict": {}}}"#, "jieba dict"),
        (r#"{"tokenizer": {"type": "jieba", "dicts": []}}"#, "dicts"),
        (r#"{"tokenizer": "standard", "filters": []}"#, "filters"),
        (r#"{"tokenizer": "standard", "filter": "lowercase"}"#, "filter should be an array"),
        (r#"{"tokenizer": "standard", "filter": ["uppercase"]}"#, "uppercase"),
        (r#"{"tokenizer": "standard", "filter": ["length"]}"#, "length"),
        (r#"{"tokenizer": "standard", "filter": [7]}"#, "filter should be"),
        (r#"{"tokenizer": "standard", "filter": [{"max": 7}]}"#, "filter must set type"),
        (r#"{"tokenizer": "standard", "filter": [{"type": "length", "max": -1}]}"#, "length max"),
        (r#"{"tokenizer": "standard", "filter": [{"type": "decompounder"}]}"#, "word_list"),
        (r#"{"tokenizer": "standard", "filter": [{"type": "stemmer"}]}"#, "language"),
        (
            r#"{"tokenizer": "standard", "filter": [{"type": "stemmer", "language": "latin"}]}"#,
            "latin",
        ),
        (
            r#"{"tokenizer": "standard", "filter": [{"type": "regex", "expr": "("}]}"#,
            "regex expr (",
        ),
        (r#"{"tokenizer": "standard", "filter": [{"type": "synonym"}]}"#, "synonym"),
    ];
    for (params, named) in cases {
        let fault = Analyzer::from_params(Some(params)).unwrap_err();
        assert_eq!(fault.code, Code::ParameterInvalid, "{params}");
        assert!(fault.message.contains(named), "{params}: {}", fault.message);
    }
}
