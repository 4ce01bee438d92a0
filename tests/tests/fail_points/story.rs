//! What clients do while the server may be killed: stories, and whether what they were told holds.

use std::time::{Duration, Instant};

use millstream_gateway::pb::{
    DescribeIndexRequest, GetCompactionStateRequest, HasCollectionRequest, ManualCompactionRequest,
};
use millstream_tests::check::assert_holds;
use millstream_tests::client::{Answer, Client, Trouble, accept, hits, message, search};
use millstream_tests::history::{Change, DIM, History, Level, Outcome, Write};
use millstream_tests::rows::{int_ids, longs, plain_schema, vectors};
use millstream_tests::site::Site;
use millstream_tests::workload::{Ask, Workload, columns};
use rand::RngExt;
use rand::rngs::StdRng;
use std::sync::Arc;

use crate::call::{Call, call};

/// How long something in the background may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is told by many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Story {
    /// Writes of every kind, into several segments, which are then compacted.
    Rows,
    /// A graph is built and taken away, and a collection dropped.
    Graphs,
    /// So many bytes that the log begins another file, and gives one back.
    Bytes,
}

/// A client that stops when the server does not answer.
type Told = Result<(), Ended>;

/// The server did not answer.
#[derive(Debug)]
pub(crate) struct Ended;

/// Whether a fact is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fact {
    No,
    Yes,
    Perhaps,
}

/// Nothing that a story asks for may be refused.
fn heard<T>(answer: Answer<T>, what: &str) -> Result<T, Ended> {
    match answer {
        Ok(heard) => Ok(heard),
        Err(Trouble::Lost(_)) => Err(Ended),
        Err(trouble) => panic!("{what}: {trouble}"),
    }
}

/// Keeps a fact up to date with a request that makes it `to`.
fn note(fact: &mut Fact, to: Fact, answer: Answer<()>, what: &str) -> Told {
    let told = heard(answer, what);
    *fact = if told.is_ok() { to } else { Fact::Perhaps };
    told
}

/// A telling of a story about one collection.
pub(crate) struct Telling {
    story: Story,
    name: String,
    client: Client,
    workload: Arc<Workload>,
    history: History,
    /// Keys that have a row, and their tokens.
    alive: Vec<i64>,
    next: i64,
    there: Fact,
    /// Of each insert of the stories that count, whether it happened.
    inserts: Vec<Fact>,
}

impl Telling {
    pub(crate) fn new(site: &Site, story: Story, name: &str) -> Telling {
        let client = site.client();
        let workload = Workload::new(client.clone(), name, 1);
        let history = History { shards: 1, ..History::default() };
        Telling {
            story,
            name: name.to_owned(),
            client,
            workload,
            history,
            alive: Vec::new(),
            next: 1,
            there: Fact::No,
            inserts: Vec::new(),
        }
    }

    /// What has to be there before the server may die.
    pub(crate) async fn begin(&self) {
        if self.story == Story::Rows {
            self.client.prepare(&self.name, DIM, 1).await.expect("a collection");
        }
    }

    /// Tells the story, as far as the server lives.
    pub(crate) async fn tell(&mut self, random: &mut StdRng) -> Told {
        match self.story {
            Story::Rows => self.rows(random).await,
            Story::Graphs => self.graphs().await,
            Story::Bytes => self.bytes().await,
        }
    }

    async fn rows(&mut self, random: &mut StdRng) -> Told {
        for round in 0..3 {
            self.put(random, 60, 0).await?;
            self.put(random, 5, 30 * round.min(1)).await?;
            self.end(random, 15).await?;
            heard(self.client.flush(&self.name).await, "a flush")?;
        }
        self.compact().await?;
        self.put(random, 10, 10).await?;
        self.end(random, 5).await
    }

    /// Writes new keys and some that have rows.
    async fn put(&mut self, random: &mut StdRng, new: i64, old: usize) -> Told {
        let mut keys: Vec<i64> = (self.next..self.next + new).collect();
        self.next += new;
        keys.extend(self.pick(random, old));
        let rows: Vec<(i64, i64)> =
            keys.iter().map(|&key| (key, key + random.random_range(1..1_000) * 1_000)).collect();
        let columns = columns(&rows);
        let invoked = self.workload.moment();
        let answer = match old {
            0 => self.client.insert(&self.name, rows.len(), columns).await,
            _ => self.client.upsert(&self.name, rows.len(), columns).await,
        };
        self.alive.extend(keys);
        self.written(invoked, Change::Put(rows), answer.map(|result| result.timestamp))
    }

    /// Deletes some keys that have rows, by key or by another field.
    async fn end(&mut self, random: &mut StdRng, count: usize) -> Told {
        let keys = self.pick(random, count);
        let filter = match random.random_bool(0.5) {
            true => format!("id in {keys:?}"),
            false => format!("value >= 0 and id in {keys:?}"),
        };
        let invoked = self.workload.moment();
        let answer = self.client.delete(&self.name, &filter).await;
        self.written(invoked, Change::Delete(keys), answer.map(|result| result.timestamp))
    }

    /// Some keys that have rows; they are not among them any more.
    fn pick(&mut self, random: &mut StdRng, count: usize) -> Vec<i64> {
        let pick = |_| self.alive.swap_remove(random.random_range(0..self.alive.len()));
        (0..count).map(pick).collect()
    }

    fn written(&mut self, invoked: u64, change: Change, answer: Answer<u64>) -> Told {
        let completed = self.workload.moment();
        let answer = heard(answer, "a write");
        let outcome = match &answer {
            Ok(ts) => Outcome::Acknowledged(*ts),
            Err(Ended) => Outcome::Unknown,
        };
        self.history.writes.push(Write { client: 0, invoked, completed, change, outcome });
        answer.map(drop)
    }

    async fn compact(&self) -> Told {
        let end = Instant::now() + PATIENCE;
        let request =
            ManualCompactionRequest { collection_name: self.name.clone(), ..Default::default() };
        let answer = message(self.client.rpc().manual_compaction(request).await);
        let compaction_id = heard(answer, "a compaction")?.compaction_id;
        // -1: there is nothing to compact.
        while compaction_id != -1 && Instant::now() < end {
            let request = GetCompactionStateRequest { compaction_id };
            let answer = message(self.client.rpc().get_compaction_state(request).await);
            if heard(answer, "a compaction")?.executing_plan_no == 0 {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(compaction_id == -1, "a compaction ends");
        Ok(())
    }

    fn hnsw(&self) -> Call {
        let extra = [("index_type", "HNSW"), ("metric_type", "L2"), ("params", "{\"M\":4}")];
        let extra_params: Vec<_> =
            extra.iter().map(|(key, value)| millstream_tests::rows::pair(key, value)).collect();
        call!(create_index CreateIndexRequest {
            collection_name: self.name.clone(),
            field_name: "vector".to_owned(),
            extra_params: extra_params.clone(),
        })
    }

    /// Rows and their vectors, all of the same number, and the dimension.
    fn size(&self) -> (i64, usize) {
        match self.story {
            // Fewer have no graph.
            Story::Graphs => (260, 1_024),
            // Two of these are more than a file of the log.
            _ => (20, 8_192),
        }
    }

    async fn create(&mut self) -> Told {
        let (_, dim) = self.size();
        let answer = self.client.create(&plain_schema(&self.name, dim), 1).await;
        note(&mut self.there, Fact::Yes, answer, "a collection")
    }

    async fn insert(&mut self) -> Told {
        let (rows, dim) = self.size();
        let first = rows * self.inserts.len() as i64;
        let keys: Vec<i64> = (first..first + rows).collect();
        let flat: Vec<f32> = keys
            .iter()
            .flat_map(|&key| (0..dim).map(move |d| (key * d as i64 % 97) as f32))
            .collect();
        let columns =
            vec![longs("id", keys.clone()), longs("value", keys), vectors("vector", dim, &flat)];
        self.inserts.push(Fact::No);
        let answer = self.client.insert(&self.name, rows as usize, columns).await.map(drop);
        let fact = self.inserts.last_mut().expect("an insert");
        note(fact, Fact::Yes, answer, "rows")
    }

    async fn drop(&mut self) -> Told {
        let answer = self.client.drop(&self.name).await;
        note(&mut self.there, Fact::No, answer, "a drop")
    }

    async fn graphs(&mut self) -> Told {
        self.create().await?;
        self.insert().await?;
        heard(self.client.flush(&self.name).await, "a flush")?;
        heard(self.hnsw().send(&self.client).await, "an index")?;
        self.indexed().await?;
        let drop_index = call!(drop_index DropIndexRequest { collection_name: self.name.clone() });
        heard(drop_index.send(&self.client).await, "an index that goes")?;
        tokio::time::sleep(Duration::from_millis(30)).await;
        self.drop().await
    }

    /// Waits until all rows are indexed.
    async fn indexed(&self) -> Told {
        let end = Instant::now() + PATIENCE;
        loop {
            let request =
                DescribeIndexRequest { collection_name: self.name.clone(), ..Default::default() };
            let answer = message(self.client.rpc().describe_index(request).await);
            let found = heard(answer, "an index")?.index_descriptions;
            if found.iter().all(|index| index.indexed_rows == index.total_rows) {
                return Ok(());
            }
            assert!(Instant::now() < end, "a graph is built: {found:?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn bytes(&mut self) -> Told {
        self.create().await?;
        self.insert().await?;
        self.insert().await?;
        heard(self.client.flush(&self.name).await, "a flush").map(drop)
    }

    /// Whether all that was told holds, and the server works.
    pub(crate) async fn check(&mut self, random: &mut StdRng) {
        if self.story == Story::Rows {
            self.put(random, 5, 0).await.expect("a server that takes rows");
            for ask in [Ask::Rows, Ask::Count, Ask::Nearest { token: 1_000, topk: 20 }] {
                let read = self.workload.read(usize::MAX, Level::Strong, ask).await;
                self.history.reads.push(read.expect("an answer"));
            }
            assert_holds(&self.history);
            return;
        }
        let request =
            HasCollectionRequest { collection_name: self.name.clone(), ..Default::default() };
        let found = message(self.client.rpc().has_collection(request).await).expect("an answer");
        accept(found.status.as_ref()).expect("an answer");
        let fits = self.there == Fact::Perhaps || (self.there == Fact::Yes) == found.value;
        assert!(fits, "{} is there: {}, should be: {:?}", self.name, found.value, self.there);
        if found.value {
            self.count().await;
        }
    }

    async fn count(&mut self) {
        let (rows, dim) = self.size();
        self.hnsw().send(&self.client).await.expect("an index");
        self.client.load(&self.name).await.expect("a collection that is loaded");
        for (number, fact) in (0..).zip(self.inserts.clone()) {
            let range = format!("id >= {} and id < {}", rows * number, rows * (number + 1));
            let count = self.client.count(&self.name, &range).await.expect("a count");
            let fits = match fact {
                Fact::Yes => count == rows,
                Fact::No => count == 0,
                Fact::Perhaps => count == 0 || count == rows,
            };
            assert!(fits, "{} has {count} of {rows} rows; they are there: {fact:?}", self.name);
        }
        self.insert().await.expect("a server that takes rows");
        let key = rows * (self.inserts.len() as i64 - 1) + 7;
        let near: Vec<f32> = (0..dim).map(|d| (key * d as i64 % 97) as f32).collect();
        let found = self.client.search(search(&self.name, dim, &near, 1)).await.expect("hits");
        let ids = int_ids(hits(&found).ids.as_ref());
        assert_eq!(ids.len(), 1, "one is nearest");
        let close = hits(&found).scores.first().is_some_and(|score| *score == 0.0);
        assert!(close, "the row itself is nearest: {ids:?} {:?}", hits(&found).scores);
    }

    /// Leaves nothing.
    pub(crate) async fn clean(&self) {
        self.client.drop(&self.name).await.expect("a drop");
    }
}
