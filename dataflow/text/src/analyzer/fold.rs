//! ASCII folding: what a Latin letter, a mark or a full-width form is without its ornaments.

/// Appends `text` to `out` with every character that folding knows in ASCII, others as they are.
pub(super) fn fold(text: &str, out: &mut String) {
    for c in text.chars() {
        match if folds(c) { any_ascii::any_ascii_char(c) } else { "" } {
            "" => out.push(c),
            // A capital ligature is capital throughout: AE, not Ae.
            ascii if c.is_uppercase() => out.extend(ascii.chars().map(|c| c.to_ascii_uppercase())),
            ascii => out.push_str(ascii),
        }
    }
}

/// Whether folding replaces a character: forms of Latin letters, of digits and of ASCII signs.
///
/// Letters of other scripts stay what they are: folding is no transliteration.
fn folds(c: char) -> bool {
    matches!(c,
        '\u{ab}' | '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{bb}'
        | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{24f}' | '\u{250}'..='\u{2af}'
        | '\u{1d00}'..='\u{1d25}' | '\u{1d6b}'..='\u{1d77}' | '\u{1d79}'..='\u{1d9a}'
        | '\u{1e00}'..='\u{1eff}'
        | '\u{2010}'..='\u{2015}' | '\u{2018}'..='\u{201f}' | '\u{2032}'..='\u{203a}'
        | '\u{2044}'..='\u{2053}' | '\u{2070}'..='\u{208e}' | '\u{2090}'..='\u{209c}'
        | '\u{2184}' | '\u{2460}'..='\u{24ff}' | '\u{2768}'..='\u{2793}'
        | '\u{2c60}'..='\u{2c7f}' | '\u{2e28}'..='\u{2e29}' | '\u{a720}'..='\u{a7ff}'
        | '\u{fb00}'..='\u{fb06}' | '\u{ff01}'..='\u{ff5e}')
}
