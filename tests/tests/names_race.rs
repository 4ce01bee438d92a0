//! Sixty-four clients create, drop, rename and describe the same few names: one order explains all
//! that they saw.

use std::time::{Duration, Instant};

use millstream_gateway::pb::{DescribeCollectionRequest, RenameCollectionRequest};
use millstream_tests::client::{Client, Trouble, accept, message};
use millstream_tests::linear::{Failure, Model, Timed, check};
use millstream_tests::on_both;
use millstream_tests::rows::plain_schema;
use millstream_tests::site::Site;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

const CLIENTS: usize = 64;
const NAMES: [&str; 3] = ["a", "b", "c"];
/// Dimensions of the two schemas.
const DIMS: [usize; 2] = [4, 8];
/// Places of each length that the checker goes on from.
const PLACES: usize = 300;

/// How long they go on: a few seconds by default, `MILLSTREAM_TEST_RACE_SECONDS` for longer.
fn duration() -> Duration {
    let set = std::env::var("MILLSTREAM_TEST_RACE_SECONDS").ok();
    Duration::from_secs(set.and_then(|text| text.parse().ok()).unwrap_or(3))
}

/// A collection: which of the schemas, and its id as soon as somebody saw it.
type Known = (usize, Option<i64>);

/// What a client called, and what it was told. Names and schemas by their numbers.
#[derive(Clone, Copy, Debug)]
enum Call {
    Create { name: usize, schema: usize, different: bool },
    Drop { name: usize },
    Rename { from: usize, to: usize, outcome: Renamed },
    Describe { name: usize, found: Option<(usize, i64)> },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renamed {
    Done,
    Missing,
    Taken,
}

/// Names and what they stand for.
struct Names;

impl Model for Names {
    type State = [Option<Known>; NAMES.len()];
    type Call = Call;

    fn step(&self, state: &Self::State, call: &Call) -> Option<Self::State> {
        let mut next = *state;
        match *call {
            Call::Create { name, schema, different } => match state[name] {
                None => next[name] = (!different).then_some((schema, None)),
                Some((there, _)) => return ((there != schema) == different).then_some(next),
            },
            Call::Drop { name } => next[name] = None,
            Call::Rename { from, to, outcome } => {
                let possible = match (state[from], state[to]) {
                    (_, Some(_)) => Renamed::Taken,
                    (None, None) => Renamed::Missing,
                    (Some(_), None) => Renamed::Done,
                };
                if possible != outcome {
                    return None;
                }
                if outcome == Renamed::Done {
                    next[to] = next[from].take();
                }
            }
            Call::Describe { name, found } => match (state[name], found) {
                (None, None) => {}
                (Some((there, id)), Some((schema, seen)))
                    if there == schema && id.is_none_or(|id| id == seen) =>
                {
                    next[name] = Some((schema, Some(seen)));
                }
                _ => return None,
            },
        }
        let made = !matches!(*call, Call::Create { name, .. } if next[name].is_none());
        made.then_some(next)
    }

    fn looks(&self, call: &Call) -> bool {
        match *call {
            Call::Describe { .. } | Call::Create { different: true, .. } => true,
            Call::Rename { outcome, .. } => outcome != Renamed::Done,
            Call::Create { .. } | Call::Drop { .. } => false,
        }
    }
}

/// One call of a client.
async fn call(client: &Client, rng: &mut StdRng) -> Call {
    let name = rng.random_range(0..NAMES.len());
    match rng.random_range(0..10) {
        0 | 1 => {
            let schema = rng.random_range(0..DIMS.len());
            let made = client.create(&plain_schema(NAMES[name], DIMS[schema]), 1).await;
            let different = match made {
                Ok(()) => false,
                Err(Trouble::Refused(status))
                    if status.reason.contains("create duplicate collection") =>
                {
                    true
                }
                Err(trouble) => panic!("creating {}: {trouble}", NAMES[name]),
            };
            Call::Create { name, schema, different }
        }
        2 => {
            client.drop(NAMES[name]).await.expect("a drop");
            Call::Drop { name }
        }
        3 => {
            let to = (name + rng.random_range(1..NAMES.len())) % NAMES.len();
            let request = RenameCollectionRequest {
                old_name: NAMES[name].to_owned(),
                new_name: NAMES[to].to_owned(),
                ..RenameCollectionRequest::default()
            };
            let answer = message(client.rpc().rename_collection(request).await).expect("an answer");
            let outcome = match accept(Some(&answer)) {
                Ok(()) => Renamed::Done,
                Err(_) if answer.code == 100 => Renamed::Missing,
                Err(_) if answer.reason.contains("duplicated new collection name") => {
                    Renamed::Taken
                }
                Err(trouble) => panic!("renaming {}: {trouble}", NAMES[name]),
            };
            Call::Rename { from: name, to, outcome }
        }
        _ => Call::Describe { name, found: described(client, name).await },
    }
}

/// The schema and the id of a name, if there is such a collection.
async fn described(client: &Client, name: usize) -> Option<(usize, i64)> {
    let request = DescribeCollectionRequest {
        collection_name: NAMES[name].to_owned(),
        ..DescribeCollectionRequest::default()
    };
    let answer = message(client.rpc().describe_collection(request).await).expect("an answer");
    match accept(answer.status.as_ref()) {
        Ok(()) => {
            let schema = answer.schema.expect("a schema");
            let dims = schema.fields.iter().flat_map(|field| &field.type_params);
            let dim = dims.filter(|pair| pair.key == "dim").map(|pair| pair.value.as_str()).next();
            let dim: usize = dim.expect("a dimension").parse().expect("a number");
            let number = DIMS.iter().position(|&there| there == dim).expect("one of the schemas");
            Some((number, answer.collection_id))
        }
        Err(Trouble::Refused(status)) if status.code == 100 => None,
        Err(trouble) => panic!("describing {}: {trouble}", NAMES[name]),
    }
}

/// The calls beside and shortly before the one with which there is no order any more.
fn stuck(clients: &[Vec<Timed<Call>>], failure: &Failure) -> String {
    let (Failure::None(client, call) | Failure::Unknown(client, call)) = *failure;
    let last = &clients[client][call];
    let from = last.begun - Duration::from_millis(200);
    let near = |timed: &&Timed<Call>| timed.ended >= from && timed.begun <= last.ended;
    let base = clients.iter().flatten().map(|timed| timed.begun).min().expect("calls");
    let mut near: Vec<_> = clients.iter().flatten().filter(near).collect();
    near.sort_by_key(|timed| timed.ended);
    let line = |timed: &&Timed<Call>| {
        format!("{:?} to {:?} {:?}", timed.begun - base, timed.ended - base, timed.call)
    };
    let lines: Vec<String> = near.iter().map(line).collect();
    format!("{failure:?}: no order has this call: {}\n{}", line(&last), lines.join("\n"))
}

async fn one_order_explains_what_sixty_four_clients_saw_of_three_names(site: Site) {
    let end = Instant::now() + duration();
    let run = |number: usize| {
        let client = site.client();
        tokio::spawn(async move {
            let mut rng = StdRng::seed_from_u64(number as u64);
            let mut calls = Vec::new();
            while Instant::now() < end {
                let begun = Instant::now();
                let call = call(&client, &mut rng).await;
                calls.push(Timed { begun, ended: Instant::now(), call });
            }
            calls
        })
    };
    let running: Vec<_> = (0..CLIENTS).map(run).collect();
    let mut clients = Vec::new();
    for client in running {
        clients.push(client.await.expect("a client that was told only what it may be told"));
    }
    let all: usize = clients.iter().map(Vec::len).sum();
    eprintln!("{all} calls");
    assert!(all > 2 * CLIENTS, "only {all} calls");
    let start = [None; NAMES.len()];
    if let Err(failure) = check(&Names, &start, &clients, PLACES) {
        panic!("{}", stuck(&clients, &failure));
    }

    for name in NAMES {
        site.client().drop(name).await.expect("a drop");
    }
    // Nothing is left half done.
    assert_eq!(rows(&site, "SELECT count(*) FROM intents"), 0);
    assert_eq!(rows(&site, "SELECT count(*) FROM shards"), 0);
}
on_both!(one_order_explains_what_sixty_four_clients_saw_of_three_names);

/// The number that a statement answers on the catalog's database.
fn rows(site: &Site, statement: &str) -> i64 {
    let output = site.sql(statement);
    output.trim().parse().expect("a number")
}
