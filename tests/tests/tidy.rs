//! House rules that the compiler and clippy do not know.

use std::fs;
use std::path::{Path, PathBuf};

use millstream_catalog::fail::POINTS;

/// Files with `unsafe` blocks: each has a SAFETY line, a safe twin and a property test.
const UNSAFE_ALLOWED: [&str; 3] =
    ["dataflow/index/src/kernel.rs", "dataflow/segment/src/chunk.rs", "dataflow/store/src/map.rs"];
/// Longest file, in lines, unless it says that it is a table.
const FILE_LINES_MAX: usize = 600;
/// Longest function, in lines.
const FUNCTION_LINES_MAX: usize = 70;
/// Longest line, in characters. rustfmt wraps code at 100; comments and texts may stand out by a
/// word, rows of tables in docs as far as they need.
const LINE_CHARACTERS_MAX: usize = 108;
/// A file with this line may be as long as its table is, and so may functions that return it.
const TABLE: &str = "// tidy: table";

/// Which crates may name a library: elsewhere it is a leak between layers.
const LAYERS: [(&str, Where); 9] = [
    ("tokio", Where::Never(&["dataflow/index/", "dataflow/expr/", "dataflow/segment/"])),
    ("tokio", Where::Never(&["dataflow/src/flow/"])),
    ("timely", Where::Only(&["dataflow/src/", "dataflow/benches/", "dataflow/tests/", "tests/"])),
    ("differential_dataflow", Where::Only(&["dataflow/src/", "tests/"])),
    ("sqlx", Where::Only(&["catalog/"])),
    ("async_nats", Where::Only(&["dataflow/log/"])),
    ("object_store", Where::Only(&["dataflow/store/"])),
    ("tonic", Where::Only(&["gateway/", "tests/", "benches/"])),
    ("axum", Where::Only(&["gateway/"])),
];

/// Where a library may be named.
#[derive(Clone, Copy)]
enum Where {
    Only(&'static [&'static str]),
    Never(&'static [&'static str]),
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").to_owned()
}

/// All files of the checkout below a folder that have one of these endings: path and text.
fn files(endings: &[&str]) -> Vec<(String, String)> {
    let root = root();
    let mut folders = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a readable folder") {
            let path = entry.expect("a readable entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() {
                if ![".git", "target", "node_modules"].contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if endings.iter().any(|ending| name.ends_with(ending)) {
                let place = path.strip_prefix(&root).expect("a file of the checkout");
                let text = fs::read_to_string(&path).unwrap_or_default();
                found.push((place.to_string_lossy().into_owned(), text));
            }
        }
    }
    found.sort();
    found
}

fn rust() -> Vec<(String, String)> {
    files(&[".rs"])
}

#[track_caller]
fn expect_none(found: Vec<String>, rule: &str) {
    assert!(found.is_empty(), "{rule}:\n  {}", found.join("\n  "));
}

/// The code without comments and without what stands in quotes; line breaks stay.
fn bare(text: &str) -> String {
    let source: Vec<char> = text.chars().collect();
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while at < source.len() {
        let end = match source[at] {
            '/' if source.get(at + 1) == Some(&'/') => line_end(&source, at),
            '/' if source.get(at + 1) == Some(&'*') => comment_end(&source, at),
            '"' => string_end(&source, at),
            'r' if !word_before(&source, at) => raw_string_end(&source, at).unwrap_or(at),
            '\'' => char_end(&source, at),
            _ => at,
        };
        if end == at {
            out.push(source[at]);
            at += 1;
        } else {
            out.extend(source[at..end].iter().filter(|c| **c == '\n'));
            out.push(' ');
            at = end;
        }
    }
    out
}

fn word_before(source: &[char], at: usize) -> bool {
    at > 0 && (source[at - 1].is_alphanumeric() || source[at - 1] == '_')
}

fn line_end(source: &[char], at: usize) -> usize {
    source[at..].iter().position(|c| *c == '\n').map_or(source.len(), |n| at + n)
}

fn comment_end(source: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < source.len() {
        match (source[at], source.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

fn string_end(source: &[char], mut at: usize) -> usize {
    at += 1;
    while at < source.len() && source[at] != '"' {
        at += if source[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(source.len())
}

/// The end of `r"..."` or `r#"..."#`, if there is one here.
fn raw_string_end(source: &[char], at: usize) -> Option<usize> {
    let hashes = source[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if source.get(open) != Some(&'"') {
        return None;
    }
    let closes = |n: &usize| {
        source[*n] == '"' && source[n + 1..].iter().take_while(|c| **c == '#').count() >= hashes
    };
    (open + 1..source.len()).find(closes).map(|n| n + 1 + hashes)
}

/// The end of a character; a lifetime has none.
fn char_end(source: &[char], at: usize) -> usize {
    match (source.get(at + 1), source.get(at + 2)) {
        (Some('\\'), _) => {
            let rest = source.get(at + 3..).unwrap_or_default();
            rest.iter().position(|c| *c == '\'').map_or(at, |n| at + 4 + n)
        }
        (Some(_), Some('\'')) => at + 3,
        _ => at,
    }
}

/// The words of bare code, each with its line number and what follows it directly.
fn words(bare: &str) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    for (number, line) in bare.lines().enumerate() {
        let mut rest = line;
        while let Some(start) = rest.find(|c: char| c.is_alphabetic() || c == '_') {
            let word_on = &rest[start..];
            let end = word_on.find(|c: char| !c.is_alphanumeric() && c != '_');
            let (word, after) = word_on.split_at(end.unwrap_or(word_on.len()));
            found.push((number + 1, word.to_owned(), after.chars().take(2).collect()));
            rest = after;
        }
    }
    found
}

/// Functions longer than the limit: their names and lengths. Works on bare code.
fn long_functions(bare: &str) -> Vec<(String, usize)> {
    let lines: Vec<&str> = bare.lines().collect();
    let mut found = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let Some(place) = line.find("fn ").filter(|&p| p == 0 || !word_at(line, p - 1)) else {
            continue;
        };
        let name: String =
            line[place + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if name.is_empty() {
            continue;
        }
        let length = body_end(&lines, number, place).map_or(1, |end| end - number + 1);
        if length > FUNCTION_LINES_MAX {
            found.push((name, length));
        }
    }
    found
}

fn word_at(line: &str, place: usize) -> bool {
    let byte = line.as_bytes()[place];
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The line that ends the body of a function; none for a declaration.
fn body_end(lines: &[&str], first: usize, place: usize) -> Option<usize> {
    let (mut depth, mut brackets) = (0_i32, 0_i32);
    for (number, line) in lines.iter().enumerate().skip(first) {
        for c in line.chars().skip(if number == first { place } else { 0 }) {
            match c {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets -= 1,
                ';' if depth == 0 && brackets == 0 => return None,
                '{' => depth += 1,
                '}' => {
                    depth -= 1;
                    if depth <= 0 {
                        return Some(number);
                    }
                }
                _ => {}
            }
        }
    }
    None
}

#[test]
fn every_file_begins_with_what_it_is() {
    let found = rust().into_iter().filter(|(_, text)| !text.starts_with("//! "));
    expect_none(found.map(|(path, _)| path).collect(), "the first line is `//! ...`");
}

#[test]
fn files_are_short() {
    let long = rust().into_iter().filter(|(_, text)| !text.lines().any(|line| line == TABLE));
    let long = long.map(|(path, text)| (path, text.lines().count()));
    let long = long.filter(|(_, lines)| *lines > FILE_LINES_MAX);
    expect_none(
        long.map(|(path, lines)| format!("{path} has {lines} lines")).collect(),
        &format!("a file has at most {FILE_LINES_MAX} lines"),
    );
}

#[test]
fn functions_are_short() {
    let plain = rust().into_iter().filter(|(_, text)| !text.lines().any(|line| line == TABLE));
    let found = plain.flat_map(|(path, text)| {
        long_functions(&bare(&text))
            .into_iter()
            .map(move |(name, lines)| format!("{path}: {name} has {lines} lines"))
    });
    let rule = format!("a function has at most {FUNCTION_LINES_MAX} lines");
    expect_none(found.collect(), &rule);
}

#[test]
fn lines_are_short() {
    let mut found = Vec::new();
    for (path, text) in rust() {
        for (number, line) in text.lines().enumerate() {
            let table = ["//! |", "/// |"].iter().any(|row| line.trim_start().starts_with(row));
            if line.chars().count() > LINE_CHARACTERS_MAX && !table {
                found.push(format!("{path}:{}", number + 1));
            }
        }
    }
    expect_none(found, &format!("a line has at most {LINE_CHARACTERS_MAX} characters"));
}

#[test]
fn unsafe_code_is_only_where_it_is_allowed() {
    let mut found = Vec::new();
    for (path, text) in rust() {
        if UNSAFE_ALLOWED.contains(&path.as_str()) {
            continue;
        }
        let used = words(&bare(&text)).into_iter().filter(|(_, word, _)| word == "unsafe");
        found.extend(used.map(|(line, ..)| format!("{path}:{line}")));
    }
    expect_none(found, &format!("`unsafe` is only in {UNSAFE_ALLOWED:?}"));
}

#[test]
fn libraries_stay_in_their_layers() {
    let mut found = Vec::new();
    for (path, text) in rust() {
        for (line, word, after) in words(&bare(&text)) {
            for (library, place) in LAYERS.iter().filter(|(library, _)| *library == word) {
                let allowed = match place {
                    Where::Only(places) => places.iter().any(|place| path.starts_with(place)),
                    Where::Never(places) => !places.iter().any(|place| path.starts_with(place)),
                };
                if after == "::" && !allowed {
                    found.push(format!("{path}:{line} names {library}"));
                }
            }
        }
    }
    expect_none(found, "a library is named only in its layer");
}

#[test]
fn nothing_is_left_for_later() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("HA", "CK")];
    let mut found = Vec::new();
    for (path, text) in files(&[".rs", ".proto", ".sql", ".py", ".sh", ".toml", ".md", "run"]) {
        for (number, line) in text.lines().enumerate() {
            let mut line_words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if line_words.any(|word| marks.contains(&word)) {
                found.push(format!("{path}:{}", number + 1));
            }
        }
    }
    expect_none(found, "nothing is marked as unfinished");
}

#[test]
fn no_file_knows_the_machine_it_was_written_on() {
    let mut machine = vec![root().display().to_string()];
    machine.extend(std::env::var("HOME").ok().map(|home| format!("{home}/")));
    machine.retain(|path| path.len() > 5);
    let mut found = Vec::new();
    for (path, text) in files(&["", ".rs"]) {
        for (number, line) in text.lines().enumerate() {
            if machine.iter().any(|place| line.contains(place.as_str())) {
                found.push(format!("{path}:{}", number + 1));
            }
        }
    }
    expect_none(found, "no absolute path of a machine is in a file");
}

#[test]
fn every_crate_keeps_the_lints_of_the_workspace() {
    let missing = files(&["Cargo.toml"])
        .into_iter()
        .filter(|(path, text)| path != "Cargo.toml" && !text.contains("[lints]\nworkspace = true"));
    expect_none(missing.map(|(path, _)| path).collect(), "`[lints] workspace = true` is there");
}

#[test]
fn every_fail_point_is_at_one_place() {
    // Not written out, so that this file has none.
    let call = concat!("fail::point", "(\"");
    let mut places: Vec<String> = Vec::new();
    for (_, text) in rust() {
        let name = |rest: &str| rest.split('"').next().unwrap_or_default().to_owned();
        places.extend(text.split(call).skip(1).map(name));
    }
    places.sort();
    let mut listed = POINTS.map(str::to_owned);
    listed.sort();
    assert_eq!(places, listed, "the places are not those that `fail::POINTS` names");
    assert!(POINTS.len() >= 40, "{} points", POINTS.len());
}

#[test]
fn the_reader_of_code_skips_comments_strings_and_lifetimes() {
    let text = "fn a<'x>() { // unsafe\n let b = \"unsafe {\"; /* unsafe\n */ let c = '{'; \
                let d = r#\"unsafe \"} \"#; let e = '\\''; }\n";
    let seen = bare(text);
    assert_eq!(seen.lines().count(), text.lines().count());
    assert!(!seen.contains("unsafe"), "{seen}");
    assert_eq!(seen.matches('{').count(), seen.matches('}').count(), "{seen}");
    let long = format!("fn f() -> [u8; 2] {{\n{}}}\nfn g();\n", "    x();\n".repeat(80));
    assert_eq!(long_functions(&long), [("f".to_owned(), 82)]);
}
