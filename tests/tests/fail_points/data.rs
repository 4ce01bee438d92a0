//! Rows, files and the log, killed at every point, and killed again while the server recovers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use millstream_catalog::fail::POINTS;
use millstream_tests::site::{Site, Variant};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use crate::story::{Story, Telling};
use crate::{seed, steps};

/// Ended rows go at once, so that there is something to compact; files of the log are short, so that
/// it gives some back.
const ARGUMENTS: [&str; 4] =
    ["--retention-seconds=0", "--channels=2", "--workers=1", "--log-file-bytes=1048576"];
/// How long what runs beside a story may take to reach its point.
const LATE: Duration = Duration::from_secs(1);
/// A server that was killed serves again within this time.
const HEAL_LIMIT: Duration = Duration::from_secs(10);

/// How often each point was passed.
type Passes = BTreeMap<String, usize>;

/// Trials of one site.
struct Trials {
    site: Site,
    random: StdRng,
    told: usize,
    /// What a restart passes.
    restart: Passes,
    killed: usize,
}

fn counted(passed: Vec<String>) -> Passes {
    let mut passes = Passes::new();
    for point in passed {
        *passes.entry(point).or_default() += 1;
    }
    passes
}

impl Trials {
    fn start(variant: Variant, seed: u64) -> Trials {
        eprintln!("{variant:?}: MILLSTREAM_TEST_CRASH_SEED={seed}");
        let site = Site::start_armed(variant, &ARGUMENTS).expect("a server");
        let random = StdRng::seed_from_u64(seed);
        Trials { site, random, told: 0, restart: Passes::new(), killed: 0 }
    }

    fn telling(&mut self, story: Story) -> Telling {
        self.told += 1;
        Telling::new(&self.site, story, &format!("told_{}", self.told))
    }

    /// Tells a story to its end; the points that it passes. Then starts again, and notes what that
    /// passes.
    async fn trace(&mut self, story: Story) -> Passes {
        let mut telling = self.telling(story);
        telling.begin().await;
        self.site.trace().expect("a trace");
        telling.tell(&mut self.random).await.expect("a server that lives");
        // What runs beside it ends.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let passes = counted(self.site.passed().expect("a trace"));
        self.site.kill();
        self.site.trace().expect("a trace");
        self.site.restart().expect("a server that starts again");
        // It answers probes before the last step of its start.
        self.site.wait_passed("start.serving").expect("a start to its end");
        for (point, passes) in counted(self.site.passed().expect("a trace")) {
            let most = self.restart.entry(point).or_default();
            *most = passes.max(*most);
        }
        telling.check(&mut self.random).await;
        telling.clean().await;
        passes
    }

    /// Tells a story to a server that dies at a point, dies again while it recovers, and then holds
    /// all that it said.
    async fn kill_at(&mut self, story: Story, point: &str, pass: usize) {
        let begun = Instant::now();
        let mut telling = self.telling(story);
        telling.begin().await;
        self.site.arm(point, pass).expect("a fail point");
        let told = telling.tell(&mut self.random).await;
        let end = Instant::now() + LATE;
        while self.site.server.ended().is_none() && Instant::now() < end && told.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.site.disarm().expect("no fail point");
        let again: Vec<(String, usize)> =
            self.restart.iter().map(|(point, passes)| (point.clone(), *passes)).collect();
        let (second, passes) = again.choose(&mut self.random).expect("points of a restart");
        let second_pass = self.random.random_range(1..=*passes);
        let place = match (&told, self.site.server.ended()) {
            (Err(_), _) => "in the middle",
            (Ok(()), Some(_)) => "at the end",
            (Ok(()), None) => "not passed",
        };
        self.site.kill();
        let dead = Instant::now();
        self.site.arm(second, second_pass).expect("a fail point");
        // It need not get there: what is recovered differs.
        let _ = self.site.restart();
        self.site.disarm().expect("no fail point");
        self.site.restart().expect("a server that starts again");
        telling.check(&mut self.random).await;
        assert!(dead.elapsed() < HEAL_LIMIT, "it took {:?} to heal", dead.elapsed());
        telling.clean().await;
        let (told, healed) = (dead - begun, dead.elapsed());
        eprintln!(
            "  {story:?}: {point}:{pass} ({place}), then {second}:{second_pass}; {told:.1?} to there, \
             {healed:.1?} to heal"
        );
        self.killed += 1;
    }

    /// Nothing of what is gone is left, after everything was dropped.
    async fn nothing_is_left(&self) {
        let end = Instant::now() + HEAL_LIMIT;
        loop {
            let left = files(&self.site.data().join("store"));
            if left.iter().all(|name| name.ends_with("CLUSTER")) {
                return;
            }
            assert!(Instant::now() < end, "files are left: {left:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry of a folder").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path.display().to_string()),
        }
    }
    found
}

/// Points that are tried on NATS, unless more steps are asked for; the others share most of their
/// code with the embedded log.
const POINTS_ON_NATS: usize = 14;

/// Kills at each point that these stories pass, once or more often.
async fn kill_at_all(trials: &mut Trials, variant: Variant, stories: &[Story]) -> BTreeSet<String> {
    let mut places: BTreeMap<String, (Story, usize)> = BTreeMap::new();
    for &story in stories {
        for (point, passes) in trials.trace(story).await {
            places.entry(point).or_insert((story, passes));
        }
    }
    let mut seen: BTreeSet<String> = places.keys().cloned().collect();
    seen.extend(trials.restart.keys().cloned());
    let mut places: Vec<_> = places.into_iter().collect();
    places.shuffle(&mut trials.random);
    if variant.has_nats() && steps().is_none() {
        places.truncate(POINTS_ON_NATS);
    }
    for (point, (story, passes)) in places {
        let steps = steps().unwrap_or(1).min(passes);
        let chosen = rand::seq::index::sample(&mut trials.random, passes, steps);
        for pass in chosen {
            trials.kill_at(story, &point, pass + 1).await;
        }
    }
    trials.nothing_is_left().await;
    eprintln!("{variant:?}: killed {} times", trials.killed);
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_at_any_point_on_the_embedded_log() {
    let mut trials = Trials::start(Variant::Embedded, seed());
    let stories = [Story::Rows, Story::Graphs, Story::Bytes];
    let seen = kill_at_all(&mut trials, Variant::Embedded, &stories).await;
    let elsewhere = |point: &str| {
        // On NATS, in a bucket, on the first start, and when there is something to recover.
        let prefixes =
            ["nats.", "store.before_upload", "store.after_upload", "start.folder_marked"];
        prefixes.iter().any(|prefix| point.starts_with(prefix))
            || ["start.pending_found", "garbage.orphan"].contains(&point)
    };
    let missing: Vec<&str> =
        POINTS.into_iter().filter(|point| !seen.contains(*point) && !elsewhere(point)).collect();
    assert!(missing.is_empty(), "no story passes {missing:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_at_any_point_on_postgres_and_nats() {
    let mut trials = Trials::start(Variant::Remote, seed());
    let seen = kill_at_all(&mut trials, Variant::Remote, &[Story::Rows, Story::Graphs]).await;
    let due = POINTS.into_iter().filter(|point| point.starts_with("nats."));
    let missing: Vec<&str> = due.filter(|point| !seen.contains(*point)).collect();
    assert!(missing.is_empty(), "no story passes {missing:?}");
}

/// What a crash leaves is found by the next start, which may crash too, wherever that is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_may_be_killed_anywhere_and_the_next_one_carries_on() {
    let mut trials = Trials::start(Variant::Embedded, seed());
    trials.trace(Story::Rows).await;
    // A change that is decided and not made, and files that nothing names.
    let mut again: Vec<(String, usize)> = trials.restart.clone().into_iter().collect();
    again.push(("start.pending_found".to_owned(), 1));
    again.push(("garbage.orphan".to_owned(), 1));
    for (point, passes) in again {
        let pass = trials.random.random_range(1..=passes);
        let mut telling = trials.telling(Story::Rows);
        telling.begin().await;
        let orphan = point == "garbage.orphan" || trials.random.random_bool(0.5);
        let first = if orphan { "flush.written" } else { "write.acknowledged" };
        trials.site.arm(first, 2).expect("a fail point");
        telling.tell(&mut trials.random).await.expect_err("it is killed");
        trials.site.disarm().expect("no fail point");
        trials.site.restart().expect("a server that starts again");
        trials.site.arm("ddl.decided", 1).expect("a fail point");
        let client = trials.site.client();
        client.drop("told_1").await.expect("nothing to drop");
        let name = format!("half_{}", trials.told);
        client.prepare(&name, 4, 2).await.expect_err("it is killed");
        eprintln!("  start: {first}, then {point}:{pass}");
        trials.site.arm(&point, pass).expect("a fail point");
        let _ = trials.site.restart();
        trials.site.disarm().expect("no fail point");
        trials.site.restart().expect("a server that starts again");
        let client = trials.site.client();
        client.prepare(&name, 4, 2).await.expect("the rest of it");
        assert_eq!(client.count(&name, "").await.expect("a count"), 0);
        client.drop(&name).await.expect("a drop");
        telling.check(&mut trials.random).await;
        telling.clean().await;
    }
    trials.nothing_is_left().await;
}

/// The very first start may be killed anywhere too: what it leaves is no reason not to start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_may_be_killed_anywhere() {
    let mut trials = Trials::start(Variant::Embedded, seed());
    let fresh = |trials: &mut Trials| {
        trials.site.kill();
        fs::remove_dir_all(trials.site.data()).expect("a folder that goes");
    };
    fresh(&mut trials);
    trials.site.trace().expect("a trace");
    trials.site.restart().expect("a server that starts");
    let passes = counted(trials.site.passed().expect("a trace"));
    assert!(passes.contains_key("start.folder_marked"), "{passes:?}");
    for (point, passes) in passes {
        fresh(&mut trials);
        let pass = trials.random.random_range(1..=passes);
        trials.site.arm(&point, pass).expect("a fail point");
        let died = trials.site.restart().is_err() || trials.site.server.ended().is_some();
        trials.site.disarm().expect("no fail point");
        eprintln!("  first start: {point}:{pass}, died: {died}");
        trials.site.restart().expect("a server that starts again");
        let mut telling = trials.telling(Story::Rows);
        telling.begin().await;
        telling.check(&mut trials.random).await;
    }
}
