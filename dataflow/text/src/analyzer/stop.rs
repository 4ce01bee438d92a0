//! Stop words: the lists that `stop_words` may name as `_language_`.

/// The English words that carry no meaning of their own, as Lucene has them.
const ENGLISH: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
];

/// The list that a name like `_english_` stands for; none when there is no such list.
pub(super) fn list(name: &str) -> Option<&'static [&'static str]> {
    let code = match name {
        "_english_" => return Some(ENGLISH),
        "_arabic_" => "ar",
        "_chinese_" => "zh",
        "_danish_" => "da",
        "_dutch_" => "nl",
        "_finnish_" => "fi",
        "_french_" => "fr",
        "_german_" => "de",
        "_greek_" => "el",
        "_hungarian_" => "hu",
        "_italian_" => "it",
        "_norwegian_" => "no",
        "_portuguese_" => "pt",
        "_romanian_" => "ro",
        "_russian_" => "ru",
        "_spanish_" => "es",
        "_swedish_" => "sv",
        "_turkish_" => "tr",
        _ => return None,
    };
    stop_words::lookup(code)
}
