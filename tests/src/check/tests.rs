//! The checker finds every planted fault in the history of a toy server, and nothing else.

use super::*;
use crate::history::{Change, Stamp, Write};
use std::collections::BTreeMap;

/// A correct history: one client writes, one reads, each request takes 10 ns, and timestamps are
/// the moments of the clock times ten.
fn toy() -> History {
    let mut toy = Toy::default();
    toy.put(&[(1, 101), (2, 102), (3, 103)]);
    toy.read(Level::Strong);
    toy.put(&[(2, 202)]);
    toy.read(Level::Strong);
    toy.stamp();
    toy.delete(&[1]);
    toy.read(Level::Session);
    toy.count();
    toy.nearest(150, 2);
    toy.put(&[(4, 104), (5, 105)]);
    toy.read(Level::Strong);
    toy.stamp();
    toy.count();
    toy.nearest(104, 3);
    toy.read(Level::Strong);
    toy.read(Level::Strong);
    toy.history
}

#[derive(Default)]
struct Toy {
    moment: u64,
    rows: BTreeMap<i64, i64>,
    history: History,
}

impl Toy {
    fn step(&mut self) -> (u64, u64) {
        let invoked = self.moment + 1;
        self.moment += 10;
        (invoked, self.moment)
    }

    fn write(&mut self, change: Change) {
        let (invoked, completed) = self.step();
        for (key, token) in change.keys() {
            match token {
                Some(token) => self.rows.insert(key, token),
                None => self.rows.remove(&key),
            };
        }
        let outcome = Outcome::Acknowledged(completed * 10);
        self.history.writes.push(Write { client: 0, invoked, completed, change, outcome });
    }

    fn put(&mut self, rows: &[(i64, i64)]) {
        self.write(Change::Put(rows.to_vec()));
    }

    fn delete(&mut self, keys: &[i64]) {
        self.write(Change::Delete(keys.to_vec()));
    }

    fn stamp(&mut self) {
        let (invoked, completed) = self.step();
        self.history.stamps.push(Stamp { invoked, completed, ts: completed * 10 });
    }

    fn answer(&mut self, level: Level, seen: Seen) {
        let (invoked, completed) = self.step();
        let as_of = Some(completed * 10);
        self.history.reads.push(Read { client: 1, invoked, completed, level, as_of, seen });
    }

    fn read(&mut self, level: Level) {
        let rows = self.rows.iter().map(|(&key, &token)| (key, token)).collect();
        self.answer(level, Seen::Rows(rows));
    }

    fn count(&mut self) {
        self.answer(Level::Strong, Seen::Count(self.rows.len() as u64));
    }

    fn nearest(&mut self, token: i64, topk: usize) {
        let mut hits: Vec<(i64, f32)> =
            self.rows.iter().map(|(&key, &row)| (key, distance(token, row))).collect();
        hits.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0)));
        hits.truncate(topk);
        self.answer(Level::Strong, Seen::Nearest { token, topk, hits });
    }
}

/// The rows of the n-th read that shows rows.
fn rows(history: &mut History, n: usize) -> &mut Vec<(i64, i64)> {
    let mut found = history.reads.iter_mut().filter_map(|read| match &mut read.seen {
        Seen::Rows(rows) => Some(rows),
        _ => None,
    });
    found.nth(n).expect("that many reads")
}

fn nearest(history: &mut History) -> &mut Vec<(i64, f32)> {
    let mut found = history.reads.iter_mut().filter_map(|read| match &mut read.seen {
        Seen::Nearest { hits, .. } => Some(hits),
        _ => None,
    });
    found.next().expect("a search")
}

/// Plants a fault and expects that the checker names this rule.
fn finds(rule: Rule, plant: impl Fn(&mut History)) {
    let mut history = toy();
    plant(&mut history);
    let found: Vec<Rule> = check(&history).iter().map(|violation| violation.rule).collect();
    assert!(found.contains(&rule), "{rule:?} not in {found:?}");

    // The same fault shows when the server does not say its times, where it can.
    let hides_without_times =
        [Rule::Stale, Rule::Backwards, Rule::Unrepeatable, Rule::Flapping].contains(&rule);
    if !hides_without_times {
        history.reads.iter_mut().for_each(|read| read.as_of = None);
        let found: Vec<Rule> = check(&history).iter().map(|violation| violation.rule).collect();
        assert!(found.contains(&rule), "without times: {rule:?} not in {found:?}");
    }
}

#[test]
fn a_correct_history_breaks_no_rule() {
    assert_eq!(check(&toy()), []);
    let mut silent = toy();
    silent.reads.iter_mut().for_each(|read| read.as_of = None);
    assert_eq!(check(&silent), []);
}

#[test]
fn an_unknown_write_may_have_happened_or_not() {
    for happened in [true, false] {
        let mut toy = Toy::default();
        toy.put(&[(1, 101), (2, 102)]);
        if happened {
            toy.put(&[(1, 201), (2, 202)]);
        } else {
            let (invoked, completed) = toy.step();
            let change = Change::Put(vec![(1, 201), (2, 202)]);
            let outcome = Outcome::Unknown;
            toy.history.writes.push(Write { client: 0, invoked, completed, change, outcome });
        }
        toy.history.writes.last_mut().expect("a write").outcome = Outcome::Unknown;
        toy.read(Level::Strong);
        toy.read(Level::Strong);
        assert_eq!(check(&toy.history), [], "happened: {happened}");
    }
}

#[test]
fn a_lost_row_is_found() {
    finds(Rule::Lost, |history| {
        rows(history, 4).pop();
    });
}

#[test]
fn a_row_that_is_lost_at_the_end_is_found() {
    finds(Rule::Lost, |history| rows(history, 5).retain(|(key, _)| *key != 2));
}

#[test]
fn an_old_version_in_place_of_the_new_one_is_found() {
    finds(Rule::Lost, |history| rows(history, 3)[0] = (2, 102));
}

#[test]
fn a_duplicate_is_found() {
    finds(Rule::Duplicate, |history| rows(history, 2).push((2, 202)));
}

#[test]
fn a_deleted_row_that_comes_back_is_found() {
    finds(Rule::Phantom, |history| rows(history, 4).push((1, 101)));
}

#[test]
fn a_row_that_nobody_wrote_is_found() {
    finds(Rule::Phantom, |history| rows(history, 0).push((77, 7)));
}

#[test]
fn a_refused_write_that_shows_is_found() {
    finds(Rule::Phantom, |history| {
        let mut write = history.writes[0].clone();
        write.change = Change::Put(vec![(9, 909)]);
        write.outcome = Outcome::Refused;
        history.writes.push(write);
        rows(history, 1).push((9, 909));
    });
}

#[test]
fn a_write_that_shows_before_it_was_asked_for_is_found() {
    finds(Rule::Phantom, |history| rows(history, 0).push((4, 104)));
}

#[test]
fn a_stale_strong_read_is_found() {
    finds(Rule::Stale, |history| history.reads[1].as_of = history.reads[0].as_of);
}

#[test]
fn a_session_that_goes_back_is_found() {
    finds(Rule::Backwards, |history| {
        let last = history.reads.len() - 1;
        let as_of = history.reads[last - 1].as_of.map(|ts| ts - 15);
        history.reads[last].as_of = as_of;
    });
}

#[test]
fn a_repeated_timestamp_is_found() {
    finds(Rule::Order, |history| history.stamps[1].ts = history.stamps[0].ts);
}

#[test]
fn a_timestamp_out_of_order_is_found() {
    finds(Rule::Order, |history| history.writes[1].outcome = Outcome::Acknowledged(40));
}

#[test]
fn half_of_a_request_is_found() {
    finds(Rule::Torn, |history| {
        history.writes[3].outcome = Outcome::Unknown;
        history.reads.retain(|read| matches!(read.seen, Seen::Rows(_)));
        history.reads.iter_mut().skip(3).for_each(|read| {
            if let Seen::Rows(rows) = &mut read.seen {
                rows.retain(|(key, _)| *key != 5);
            }
        });
    });
}

#[test]
fn an_unknown_write_that_comes_and_goes_is_found() {
    finds(Rule::Flapping, |history| {
        history.writes[3].outcome = Outcome::Unknown;
        rows(history, 4).retain(|(key, _)| *key < 4);
    });
}

#[test]
fn a_wrong_count_is_found() {
    finds(Rule::Count, |history| {
        for read in &mut history.reads {
            if let Seen::Count(rows) = &mut read.seen {
                *rows += 1;
            }
        }
    });
}

#[test]
fn a_missing_neighbour_is_found() {
    finds(Rule::Nearest, |history| {
        nearest(history).remove(0);
    });
}

#[test]
fn neighbours_out_of_order_are_found() {
    finds(Rule::Nearest, |history| nearest(history).reverse());
}

#[test]
fn a_wrong_distance_is_found() {
    finds(Rule::Nearest, |history| nearest(history)[0].1 += 0.5);
}

#[test]
fn two_answers_at_one_time_are_found() {
    finds(Rule::Unrepeatable, |history| {
        history.writes[3].outcome = Outcome::Unknown;
        let last = history.reads.len() - 1;
        history.reads[last].as_of = history.reads[last - 1].as_of;
        rows(history, 5).retain(|(key, _)| *key < 4);
    });
}
