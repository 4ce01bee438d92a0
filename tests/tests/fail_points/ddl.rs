//! Every change of metadata, killed at every step: all of it or nothing, and it can be repeated.

use std::collections::BTreeMap;

use millstream_tests::client::{Answer, Trouble};
use millstream_tests::site::{Site, Variant};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};

use crate::call::Call;
use crate::kinds::{Kind, insert, kept, kinds};
use crate::view::view;
use crate::{seed, steps};

/// Steps of each kind at which it is killed: a few of all by default.
fn steps_max(variant: Variant) -> usize {
    steps().unwrap_or(if variant.has_postgres() { 1 } else { 2 })
}

async fn send_all(site: &Site, calls: &[Call]) -> Result<(), String> {
    let client = site.client();
    for call in calls {
        call.send(&client).await.map_err(|trouble| format!("{call:?}: {trouble}"))?;
    }
    Ok(())
}

/// What differs between two views.
fn difference(is: &[String], due: &[String]) -> String {
    let lacks = due.iter().filter(|line| !is.contains(line)).map(|line| format!("  - {line}\n"));
    let more = is.iter().filter(|line| !due.contains(line)).map(|line| format!("  + {line}\n"));
    lacks.chain(more).collect()
}

/// A kind, and what clients see before and after the change.
struct Trials {
    kind: Kind,
    before: Vec<String>,
    after: Vec<String>,
}

/// Where the server is killed: the point, and which pass of it.
type Step = (String, usize);

impl Trials {
    /// Makes the change once, without killing anything; the steps that it takes.
    async fn first(site: &Site, kind: Kind) -> Result<(Trials, Vec<Step>), String> {
        let base = view(&site.client()).await;
        send_all(site, &kind.setup).await?;
        let before = view(&site.client()).await;
        site.trace().expect("a trace");
        let made = kind.change.send(&site.client()).await;
        let passed = site.passed().expect("a trace");
        made.map_err(|trouble| trouble.to_string())?;
        let after = view(&site.client()).await;
        if before == after && kind.name != "change a password" {
            return Err("nobody sees that it was done".to_owned());
        }
        send_all(site, &kind.undo).await?;
        let left = difference(&view(&site.client()).await, &base);
        if !left.is_empty() {
            return Err(format!("it is not taken back:\n{left}"));
        }
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        let steps = passed.into_iter().map(|point| {
            let count = counts.entry(point.clone()).or_default();
            *count += 1;
            (point, *count)
        });
        Ok((Trials { kind, before, after }, steps.collect()))
    }

    /// Kills the server in the middle of the change; what is wrong with what is there then, and after
    /// a repetition.
    async fn kill_at(&self, site: &mut Site, step: &Step, id: Option<&str>) -> Result<(), String> {
        let Kind { setup, change, undo, again, .. } = &self.kind;
        let send = async |site: &Site| -> Answer<()> {
            match id {
                Some(id) => change.send_as(&site.client(), id).await,
                None => change.send(&site.client()).await,
            }
        };
        send_all(site, setup).await?;
        site.arm(&step.0, step.1).expect("a fail point");
        let answer = send(site).await;
        site.disarm().expect("no fail point");
        if let Err(Trouble::Refused(status)) = &answer {
            return Err(format!("refused: {status:?}"));
        }
        // It may be killed after the answer, or not at all: what was passed beside the change when
        // it was traced need not be.
        site.restart().map_err(|error| error.to_string())?;
        let seen = view(&site.client()).await;
        let done = seen == self.after;
        if !(done || (seen == self.before && answer.is_err())) {
            let (before, after) = (difference(&seen, &self.before), difference(&seen, &self.after));
            return Err(format!(
                "answered {answer:?}, done in part; against before:\n{before}against after:\n{after}"
            ));
        }
        if let Err(trouble) = send(site).await {
            let known = again.filter(|_| done && id.is_none());
            if !known.is_some_and(|text| trouble.to_string().contains(text)) {
                return Err(format!("the same again (it was done: {done}): {trouble}"));
            }
        }
        let wrong = difference(&view(&site.client()).await, &self.after);
        if !wrong.is_empty() {
            return Err(format!("after the same again:\n{wrong}"));
        }
        send_all(site, undo).await
    }
}

/// Rows of tables that are valid now, and of those that hold what is on its way.
fn rows(site: &Site) -> Vec<String> {
    let now = i64::MAX;
    let tables = [
        "databases",
        "collections",
        "schemas",
        "partitions",
        "indexes",
        "aliases",
        "users",
        "roles",
        "grants",
        "privilege_groups",
        "resource_groups",
    ];
    let mut parts: Vec<String> = tables
        .iter()
        .map(|table| format!("(SELECT count(*) FROM {table} WHERE valid_to = {now})"))
        .collect();
    parts.push("(SELECT count(*) FROM intents)".to_owned());
    parts.push("(SELECT count(*) FROM shards)".to_owned());
    let statement = format!("SELECT {}", parts.join(" || ' ' || "));
    let output = site.sql(&statement);
    let names = tables.iter().copied().chain(["intents", "shards"]);
    names.zip(output.split_whitespace()).map(|(name, rows)| format!("{name} {rows}")).collect()
}

/// A server, and the collection that no change is about.
async fn prepared(variant: Variant) -> Site {
    let site = Site::start_armed(variant, &[]).expect("a server");
    send_all(&site, &kept()).await.expect("a collection with rows");
    site.client().flush("kept").await.expect("a flush");
    insert("kept", "", 1_000).send(&site.client()).await.expect("rows");
    site
}

/// Makes a change of a kind again and again, and kills the server each time: how often it was killed,
/// of how many steps, and what went wrong.
async fn kind(
    site: &mut Site,
    kind: Kind,
    random: &mut StdRng,
    most: usize,
) -> Result<(usize, usize), String> {
    let name = kind.name;
    // Asking takes longer than a trial: only when there are many.
    let rows_before = steps().map(|_| rows(site));
    let (trials, mut steps) =
        Trials::first(site, kind).await.map_err(|wrong| format!("{name}: {wrong}"))?;
    let known = steps.len();
    steps.shuffle(random);
    steps.truncate(most);
    for (number, step) in steps.iter().enumerate() {
        let id =
            (trials.kind.has_ids && random.random_bool(0.5)).then(|| format!("{name}-{number}"));
        let outcome = trials.kill_at(site, step, id.as_deref()).await;
        let (point, pass) = step;
        outcome.map_err(|wrong| format!("{name}, {point}:{pass}, id {id:?}: {wrong}"))?;
    }
    let left = rows_before.map(|before| difference(&rows(site), &before)).unwrap_or_default();
    match left.as_str() {
        "" => Ok((steps.len(), known)),
        left => Err(format!("{name}: rows are left in tables:\n{left}")),
    }
}

async fn trials(variant: Variant) {
    let seed = seed();
    eprintln!("{variant:?}: MILLSTREAM_TEST_CRASH_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut site = prepared(variant).await;
    let (base, rows_before) = (view(&site.client()).await, rows(&site));
    let (mut killed, mut known, mut wrong) = (0, 0, Vec::new());
    for of in kinds() {
        match kind(&mut site, of, &mut random, steps_max(variant)).await {
            Ok((steps, all)) => (killed, known) = (killed + steps, known + all),
            Err(text) => {
                eprintln!("{text}");
                wrong.push(text);
                site = prepared(variant).await;
            }
        }
    }
    eprintln!("{variant:?}: killed at {killed} of {known} steps");
    assert!(wrong.is_empty(), "{} kinds:\n{}", wrong.len(), wrong.join("\n"));
    let left = difference(&view(&site.client()).await, &base);
    assert!(left.is_empty(), "{left}");
    let left = difference(&rows(&site), &rows_before);
    assert!(left.is_empty(), "rows are left in tables:\n{left}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_metadata_is_whole_or_not_there_wherever_it_is_killed_on_sqlite() {
    trials(Variant::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_metadata_is_whole_or_not_there_wherever_it_is_killed_on_postgres() {
    trials(Variant::Remote).await;
}
