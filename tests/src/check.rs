//! The checker: whether a history could have come from a server that keeps its promises.
//!
//! A write takes effect at one time `eff`. The client knows two bounds: `eff` is larger than every
//! timestamp that somebody had before the request was sent, and at most the timestamp that the
//! acknowledgement carries. So at a time T a key is in one of at most two states, and a read that
//! says its time has to show one of them; a read that does not say it gets the bounds of its time
//! from its level and from what was acknowledged around it. Linear in reads times keys.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::history::{History, Level, Outcome, Read, Seen, distance};

mod clock;
#[cfg(test)]
mod tests;

use clock::{Clock, Window};

/// The rules (see `docs` of each) that a history can break.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// A row that has to be there is missing, or an old version of it is shown.
    Lost,
    /// A row is shown that cannot be there: deleted, refused, or never written.
    Phantom,
    /// A key is answered twice.
    Duplicate,
    /// A later time shows an earlier version.
    Flapping,
    /// Part of one request is shown without the rest.
    Torn,
    /// The time of a read is older than its level allows.
    Stale,
    /// A session went back in time.
    Backwards,
    /// Timestamps repeat, or do not follow real time.
    Order,
    /// `count(*)` is not the number of rows.
    Count,
    /// Neighbours are not the nearest, not in order, or have a wrong distance.
    Nearest,
    /// Two reads at one time differ.
    Unrepeatable,
}

/// A broken rule and where it broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// What was seen and what was due.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.text)
    }
}

/// A state of a key from some time on.
#[derive(Clone, Copy, Debug)]
struct Version {
    /// The row's token; none after a delete and before the first write.
    token: Option<i64>,
    /// Takes effect after this time.
    lower: u64,
    /// Takes effect at this time at the latest; never for sure without it.
    upper: Option<u64>,
    /// The write that made it; none for the first version.
    write: Option<usize>,
}

/// Versions of a key that fit what was seen, by number, both ends included.
type Span = (usize, usize);

/// Checks a history; an empty answer means that every rule holds.
pub fn check(history: &History) -> Vec<Violation> {
    let clock = Clock::new(history);
    let mut checker = Checker { history, lines: lines(history, &clock), found: Vec::new() };
    checker.order(&clock);
    let mut reads: Vec<(&Read, Window)> =
        history.reads.iter().map(|read| (read, clock.window(read))).collect();
    checker.levels(&reads);
    reads.sort_by_key(|(_, window)| (window.lower, window.upper));
    checker.answers(&reads);
    checker.found
}

/// Fails a test with the first broken rules of a history.
///
/// # Panics
/// When a rule is broken.
pub fn assert_holds(history: &History) {
    let found = check(history);
    let first: Vec<String> = found.iter().take(10).map(Violation::to_string).collect();
    assert!(found.is_empty(), "{} rules broken:\n{}", found.len(), first.join("\n"));
}

/// The line of versions of every key.
fn lines(history: &History, clock: &Clock) -> BTreeMap<i64, Vec<Version>> {
    let mut order: Vec<usize> = (0..history.writes.len()).collect();
    order.sort_by_key(|&number| history.writes[number].invoked);
    let first = Version { token: None, lower: 0, upper: Some(0), write: None };
    let mut lines: BTreeMap<i64, Vec<Version>> = BTreeMap::new();
    for number in order {
        let write = &history.writes[number];
        let upper = match write.outcome {
            Outcome::Acknowledged(ts) => Some(ts),
            Outcome::Unknown => None,
            Outcome::Refused => continue,
        };
        let lower = clock.known_before(write.invoked);
        for (key, token) in write.change.keys() {
            let line = lines.entry(key).or_insert_with(|| vec![first]);
            line.push(Version { token, lower, upper, write: Some(number) });
        }
    }
    lines
}

/// The versions of a line that a read in this window can show.
fn allowed(line: &[Version], window: Window) -> Span {
    let due = |version: &Version| version.upper.is_some_and(|upper| upper <= window.lower);
    let least = line.iter().rposition(due).unwrap_or(0);
    let most = line.iter().rposition(|version| version.lower < window.upper).unwrap_or(0);
    (least, most.max(least))
}

struct Checker<'a> {
    history: &'a History,
    lines: BTreeMap<i64, Vec<Version>>,
    found: Vec<Violation>,
}

impl Checker<'_> {
    fn report(&mut self, rule: Rule, text: String) {
        self.found.push(Violation { rule, text });
    }

    /// Timestamps are unique and follow real time.
    fn order(&mut self, clock: &Clock) {
        for (earlier, later) in clock.disorder() {
            let text = format!("timestamp {later} was handed out after {earlier} had been");
            self.report(Rule::Order, text);
        }
        let mut stamps: Vec<u64> = self.history.stamps.iter().map(|stamp| stamp.ts).collect();
        stamps.sort_unstable();
        for pair in stamps.windows(2).filter(|pair| pair[0] == pair[1]) {
            self.report(Rule::Order, format!("timestamp {} was handed out twice", pair[0]));
        }
    }

    /// Every read is as fresh as its level says, and a session never goes back.
    fn levels(&mut self, reads: &[(&Read, Window)]) {
        let mut sessions: HashMap<usize, Vec<(u64, u64)>> = HashMap::new();
        for (read, window) in reads {
            let Some(as_of) = read.as_of else { continue };
            if as_of < window.due {
                let text = format!("as_of {as_of} of {read:?}, {} was due", window.due);
                self.report(Rule::Stale, text);
            }
            if matches!(read.level, Level::Pinned(at) if at != as_of) {
                self.report(Rule::Stale, format!("as_of {as_of} of the pinned {read:?}"));
            }
            if matches!(read.level, Level::Strong | Level::Session) {
                sessions.entry(read.client).or_default().push((read.invoked, as_of));
            }
        }
        for (client, mut times) in sessions {
            times.sort_unstable();
            for pair in times.windows(2).filter(|pair| pair[1].1 < pair[0].1) {
                let text = format!("client {client} read at {} after {}", pair[1].1, pair[0].1);
                self.report(Rule::Backwards, text);
            }
        }
    }

    /// Every answer is one that the versions allow. Reads come in order of their times.
    fn answers(&mut self, reads: &[(&Read, Window)]) {
        let mut floors: BTreeMap<i64, usize> = BTreeMap::new();
        let mut at: HashMap<u64, Vec<(i64, i64)>> = HashMap::new();
        for (read, window) in reads {
            match &read.seen {
                Seen::Count(rows) => self.count(*rows, *window, read),
                Seen::Nearest { token, topk, hits } => {
                    self.nearest(*token, *topk, hits, *window, read);
                }
                Seen::Rows(rows) => {
                    let exact = window.lower == window.as_of();
                    self.rows(rows, *window, exact.then_some(&mut floors), read);
                    let Some(as_of) = read.as_of else { continue };
                    let mut rows = rows.clone();
                    rows.sort_unstable();
                    let earlier = at.entry(as_of).or_insert_with(|| rows.clone());
                    if *earlier != rows {
                        let text = format!("reads at {as_of} differ; the second is {read:?}");
                        self.report(Rule::Unrepeatable, text);
                    }
                }
            }
        }
    }

    /// All rows of the collection.
    fn rows(
        &mut self,
        rows: &[(i64, i64)],
        window: Window,
        mut floors: Option<&mut BTreeMap<i64, usize>>,
        read: &Read,
    ) {
        let mut shown: HashMap<i64, i64> = HashMap::new();
        for &(key, token) in rows {
            if shown.insert(key, token).is_some() {
                self.report(Rule::Duplicate, format!("key {key} is twice in {}", place(read)));
            }
            if !self.lines.contains_key(&key) {
                self.report(Rule::Phantom, format!("key {key} was never written, {}", place(read)));
            }
        }
        let mut spans: HashMap<i64, Span> = HashMap::new();
        let mut broken = Vec::new();
        for (&key, line) in &self.lines {
            let token = shown.get(&key).copied();
            let (least, most) = allowed(line, window);
            let floor = floors.as_ref().and_then(|floors| floors.get(&key)).copied().unwrap_or(0);
            let fits = |from: usize| {
                let mut fitting = (from..=most).filter(|&n| line[n].token == token);
                fitting.next().map(|first| (first, fitting.next_back().unwrap_or(first)))
            };
            match fits(least.max(floor)) {
                Some(span) => {
                    spans.insert(key, span);
                    if let Some(floors) = floors.as_mut() {
                        floors.insert(key, span.0);
                    }
                }
                None => broken.push((fault(line, token, (least, most), fits(least)), key, token)),
            }
        }
        for (rule, key, token) in broken {
            let line = &self.lines[&key];
            let text = format!("key {key} shows {token:?} of {line:?}, {}", place(read));
            self.report(rule, text);
        }
        self.torn(&spans, window, read);
    }

    /// Every request is shown whole or not at all; on each shard only, if it failed, or if the log
    /// may store its parts apart and the read is older than its answer.
    fn torn(&mut self, spans: &HashMap<i64, Span>, window: Window, read: &Read) {
        let History { shards, late_parts, .. } = *self.history;
        let by_shard = |version: &Version| {
            let late = |upper: u64| late_parts && upper > window.lower;
            shards > 1 && version.upper.is_none_or(late)
        };
        let mut parts: HashMap<usize, (bool, bool)> = HashMap::new();
        for (key, span) in spans {
            for (number, version) in self.lines[key].iter().enumerate() {
                let Some(write) = version.write else { continue };
                if by_shard(version) {
                    continue;
                }
                let part = parts.entry(write).or_default();
                part.0 |= span.0 >= number;
                part.1 |= span.1 < number;
            }
        }
        for (write, _) in parts.into_iter().filter(|(_, (shown, hidden))| *shown && *hidden) {
            let text = format!("part of {:?}, {}", self.history.writes[write], place(read));
            self.report(Rule::Torn, text);
        }
    }

    /// The number of rows.
    fn count(&mut self, rows: u64, window: Window, read: &Read) {
        let (mut least, mut most) = (0, 0);
        for line in self.lines.values() {
            let (from, to) = allowed(line, window);
            let present = line[from..=to].iter().filter(|version| version.token.is_some()).count();
            least += u64::from(present == to - from + 1);
            most += u64::from(present > 0);
        }
        if rows < least || rows > most {
            let text = format!("{rows} rows, {least} to {most} are there, {}", place(read));
            self.report(Rule::Count, text);
        }
    }

    /// The neighbours of a token's vector.
    fn nearest(
        &mut self,
        token: i64,
        topk: usize,
        hits: &[(i64, f32)],
        window: Window,
        read: &Read,
    ) {
        let mut wrong = Vec::new();
        if hits.len() > topk {
            wrong.push(format!("{} hits, {topk} wanted", hits.len()));
        }
        for pair in hits.windows(2).filter(|pair| (pair[0].1, pair[0].0) >= (pair[1].1, pair[1].0))
        {
            wrong.push(format!("{:?} before {:?}", pair[0], pair[1]));
        }
        let worst = hits.last().filter(|_| hits.len() == topk).map_or(f32::INFINITY, |hit| hit.1);
        let shown: HashMap<i64, f32> = hits.iter().copied().collect();
        wrong.extend(
            shown
                .keys()
                .filter(|key| !self.lines.contains_key(key))
                .map(|key| format!("key {key} was never written")),
        );
        for (key, line) in &self.lines {
            let (from, to) = allowed(line, window);
            let far: Vec<Option<f32>> =
                line[from..=to].iter().map(|v| v.token.map(|row| distance(token, row))).collect();
            match shown.get(key) {
                Some(&far_shown) if !far.contains(&Some(far_shown)) => {
                    wrong.push(format!("key {key} at {far_shown}, can be {far:?}"));
                }
                None if far.iter().all(|far| far.is_some_and(|far| far < worst)) => {
                    wrong.push(format!("key {key} at {far:?} is missing, the last is at {worst}"));
                }
                _ => {}
            }
        }
        for text in wrong {
            self.report(Rule::Nearest, format!("{text}, {}", place(read)));
        }
    }
}

/// Which rule a key breaks that shows a token that no allowed version has.
fn fault(line: &[Version], token: Option<i64>, span: Span, fits: Option<Span>) -> Rule {
    if fits.is_some() {
        return Rule::Flapping;
    }
    match token {
        None => Rule::Lost,
        Some(_) => {
            let number = line.iter().position(|version| version.token == token);
            let newest_row = line[..=span.0].iter().rposition(|version| version.token.is_some());
            match number {
                // An old version in place of a newer one; not in place of a delete.
                Some(number) if number < span.0 && newest_row == Some(span.0) => Rule::Lost,
                _ => Rule::Phantom,
            }
        }
    }
}

/// Where in the history a read is.
fn place(read: &Read) -> String {
    format!(
        "{:?} read of client {} at {:?}, sent {} ns, answered {} ns",
        read.level, read.client, read.as_of, read.invoked, read.completed
    )
}
