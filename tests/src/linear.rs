//! A checker of linearizability: whether what concurrent clients saw fits one order of their calls.
//!
//! A history holds, for each client, its calls in turn. One order must exist in which every call
//! lies between its beginning and its end and answers what the calls before it make of the model
//! (Herlihy and Wing 1990). The search is that of Wing and Gong, breadth first; where it stands is
//! how far each client has come and what the model holds. A call that only looks is taken as soon as
//! it may come next and its answer is right: nothing is lost by it. One that happens to change
//! nothing is not, for its answer may be the same where it does.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use std::time::Instant;

/// What the calls are about.
pub trait Model {
    /// What there is.
    type State: Clone + Eq + Hash;
    /// A call with its answer.
    type Call;
    /// What a call makes of a state; `None` when it would not have answered this.
    fn step(&self, state: &Self::State, call: &Self::Call) -> Option<Self::State>;
    /// Whether a call with this answer changes no state.
    fn looks(&self, call: &Self::Call) -> bool;
}

/// A call of one client.
#[derive(Clone, Debug)]
pub struct Timed<C> {
    /// When it began, at the earliest.
    pub begun: Instant,
    /// When its answer was there, at the latest.
    pub ended: Instant,
    /// The call with its answer.
    pub call: C,
}

/// Why no order was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Calls that ended before this one fit, and with it there is no order: client and call.
    None(usize, usize),
    /// As [`Failure::None`], but not all places were looked at.
    Unknown(usize, usize),
}

/// Looks for an order of the clients' calls, looking at the `width` likeliest places of each length.
///
/// # Errors
/// When there is none, or none was found.
pub fn check<M: Model>(
    model: &M,
    start: &M::State,
    clients: &[Vec<Timed<M::Call>>],
    width: usize,
) -> Result<(), Failure> {
    let search = Search { model, clients, width };
    let calls = |client: usize| (0..clients[client].len()).map(move |call| (client, call));
    let mut ends: Vec<(usize, usize)> = (0..clients.len()).flat_map(calls).collect();
    let ended = |&(client, call): &(usize, usize)| clients[client][call].ended;
    ends.sort_by_key(ended);
    let Some(last) = ends.last() else { return Ok(()) };
    if search.fits(start, ended(last)) == Found::Yes {
        return Ok(());
    }
    // Calls that did not end by a moment may have taken effect by then, or not.
    let (mut good, mut bad) = (0, ends.len() - 1);
    while good < bad {
        let middle = good.midpoint(bad);
        match search.fits(start, ended(&ends[middle])) {
            Found::Yes => good = middle + 1,
            Found::No | Found::Unknown => bad = middle,
        }
    }
    let (client, call) = ends[bad];
    match search.fits(start, ended(&ends[bad])) {
        Found::No => Err(Failure::None(client, call)),
        _ => Err(Failure::Unknown(client, call)),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Found {
    Yes,
    No,
    Unknown,
}

/// How many calls of each client are done, and what there is.
type Place<S> = (Vec<u32>, S);

struct Search<'a, M: Model> {
    model: &'a M,
    clients: &'a [Vec<Timed<M::Call>>],
    width: usize,
}

impl<M: Model> Search<'_, M> {
    /// Whether there is an order that has all calls that ended by a moment: few places are looked
    /// at first.
    fn fits(&self, start: &M::State, until: Instant) -> Found {
        let mut width = 4;
        loop {
            let found = self.narrow(start, until, width);
            if found != Found::Unknown || width >= self.width {
                return found;
            }
            width *= 4;
        }
    }

    /// As [`Search::fits`], with a number of places of each length.
    ///
    /// Calls take effect about in the order in which they end. Of the places with equally many calls
    /// done, those are gone on from that are reached with the fewest calls before their turn.
    fn narrow(&self, start: &M::State, until: Instant, width: usize) -> Found {
        let needed = |calls: &Vec<Timed<M::Call>>| calls.partition_point(|c| c.ended <= until);
        let needed: Vec<u32> = self.clients.iter().map(|calls| needed(calls) as u32).collect();
        let mut layers: BTreeMap<u32, HashMap<Place<M::State>, usize>> = BTreeMap::new();
        let begin = (vec![0; self.clients.len()], start.clone());
        layers.entry(0).or_default().insert(begin, 0);
        let mut whole = true;
        while let Some((_, layer)) = layers.pop_first() {
            let mut layer: Vec<(Place<M::State>, usize)> = layer.into_iter().collect();
            layer.sort_by_key(|(_, early)| *early);
            whole &= layer.len() <= width;
            layer.truncate(width);
            let mut seen = HashSet::new();
            for (place, early) in layer {
                let place = self.settled(place);
                if place.0.iter().zip(&needed).all(|(done, needed)| done >= needed) {
                    return Found::Yes;
                }
                if seen.contains(&place) {
                    continue;
                }
                for (more, next) in self.steps(&place) {
                    let layer = layers.entry(next.0.iter().sum()).or_default();
                    let least = layer.entry(next).or_insert(usize::MAX);
                    *least = (*least).min(early + more);
                }
                seen.insert(place);
            }
        }
        if whole { Found::No } else { Found::Unknown }
    }

    /// The clients' next calls that nothing has to come before.
    fn next(&self, done: &[u32]) -> impl Iterator<Item = (usize, &Timed<M::Call>)> {
        let next: Vec<_> = (0..done.len())
            .filter_map(|client| Some((client, self.clients[client].get(done[client] as usize)?)))
            .collect();
        let first_end = next.iter().map(|(_, timed)| timed.ended).min();
        next.into_iter().filter(move |(_, timed)| Some(timed.begun) <= first_end)
    }

    /// Takes all calls that may come next and only look.
    fn settled(&self, mut place: Place<M::State>) -> Place<M::State> {
        loop {
            let idle: Vec<usize> = self
                .next(&place.0)
                .filter(|(_, timed)| {
                    let unchanged =
                        || self.model.step(&place.1, &timed.call).as_ref() == Some(&place.1);
                    self.model.looks(&timed.call) && unchanged()
                })
                .map(|(client, _)| client)
                .collect();
            if idle.is_empty() {
                return place;
            }
            idle.into_iter().for_each(|client| place.0[client] += 1);
        }
    }

    /// What may come next, with the number of calls that end before the one that leads there.
    fn steps(&self, place: &Place<M::State>) -> Vec<(usize, Place<M::State>)> {
        let mut next: Vec<_> = self.next(&place.0).collect();
        next.sort_by_key(|(_, timed)| timed.ended);
        let taken = |(before, (client, timed)): (usize, (usize, &Timed<M::Call>))| {
            let state = self.model.step(&place.1, &timed.call)?;
            let mut done = place.0.clone();
            done[client] += 1;
            Some((before, (done, state)))
        };
        next.into_iter().enumerate().filter_map(taken).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A number that is written and read.
    struct Register;

    enum Call {
        Write(u32),
        Read(u32),
        /// Sets zero, and answers nothing.
        Clear,
    }

    impl Model for Register {
        type State = u32;
        type Call = Call;

        fn step(&self, state: &u32, call: &Call) -> Option<u32> {
            match call {
                Call::Write(value) => Some(*value),
                Call::Clear => Some(0),
                Call::Read(value) => (value == state).then_some(*state),
            }
        }

        fn looks(&self, call: &Call) -> bool {
            matches!(call, Call::Read(_))
        }
    }

    /// Calls of one client with the milliseconds of their beginning and end.
    fn client(base: Instant, calls: Vec<(u64, u64, Call)>) -> Vec<Timed<Call>> {
        let at = |ms| base + Duration::from_millis(ms);
        let timed = |(begun, ended, call)| Timed { begun: at(begun), ended: at(ended), call };
        calls.into_iter().map(timed).collect()
    }

    #[test]
    fn a_read_may_see_a_write_that_runs_beside_it_or_not() {
        let base = Instant::now();
        for seen in [0, 1] {
            let writer = client(base, vec![(0, 10, Call::Write(1))]);
            let reader = client(base, vec![(5, 6, Call::Read(seen))]);
            assert_eq!(check(&Register, &0, &[writer, reader], 100), Ok(()));
        }
    }

    #[test]
    fn a_read_after_a_write_that_ended_must_see_it() {
        let base = Instant::now();
        let writer = client(base, vec![(0, 10, Call::Write(1))]);
        let reader = client(base, vec![(11, 12, Call::Read(0))]);
        assert_eq!(check(&Register, &0, &[writer, reader], 100), Err(Failure::None(1, 0)));
    }

    #[test]
    fn a_call_that_changes_nothing_at_first_may_do_so_later() {
        let base = Instant::now();
        let clearer = client(base, vec![(0, 30, Call::Clear)]);
        let writer = client(base, vec![(1, 10, Call::Write(1)), (11, 12, Call::Read(1))]);
        let reader = client(base, vec![(13, 14, Call::Read(0))]);
        assert_eq!(check(&Register, &0, &[clearer, writer, reader], 100), Ok(()));
    }

    #[test]
    fn what_was_seen_once_is_not_unseen_later() {
        let base = Instant::now();
        let writer = client(base, vec![(0, 100, Call::Write(1))]);
        let reader = client(base, vec![(5, 6, Call::Read(1)), (7, 8, Call::Read(0))]);
        assert_eq!(check(&Register, &0, &[writer, reader], 100), Err(Failure::None(1, 1)));
    }
}
