//! `Dataflow`: the handle of a process's workers, and how they are started.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use crossbeam_channel::Sender;
use futures::channel::oneshot;
use hashbrown::HashSet;
use millstream_catalog::catalog::Checkpoint;
use millstream_catalog::model::{
    ChannelId, Code, CollectionId, Fault, RequestId, Timestamp, VChannel,
};
use millstream_log::Inbox;
use parking_lot::Mutex;
use timely::communication::Allocator;
use timely::worker::Worker;

use crate::api::{
    AggregateReply, AggregateRequest, CountReply, CountRequest, GroupBy, Guarantee, QueryReply,
    QueryRequest, SearchReply, SearchRequest, Target,
};
use crate::ask::{Ask, Reply};
use crate::census::ShardPart;
use crate::flow::{self, Incoming, Local, Setup, WakeRequests, owner};
use crate::pool::Pool;
use crate::retention::Hold;
use crate::shared::Shared;
use crate::storage::{
    Compaction, Compactor, Flusher, IndexSpec, Indexes, Interim, Progress, Storage,
};

/// How many workers, and what they read.
pub struct Config {
    /// Timely workers, 1 or more. Each owns the channels whose number it divides.
    pub workers: usize,
    /// Threads that scan; 0 scans on the worker itself, which only simulation wants.
    pub scan_threads: usize,
    /// Where each channel begins, by number.
    pub checkpoints: Vec<Checkpoint>,
    /// Collections that exist according to the catalog: data of one of them that comes before its
    /// ddl record is corruption; data of any other is what a drop left behind.
    pub collections: HashSet<CollectionId>,
    /// The most bytes that wait between the log and a channel's worker.
    pub inbox_bytes: usize,
    /// Where sealed shards are written out; without it, everything stays in memory and in the log.
    pub storage: Option<Storage>,
    /// Called, on a worker thread, when a channel's checkpoint may move forward.
    pub on_checkpoint: Box<dyn Fn(ChannelId, Checkpoint) + Send + Sync>,
}

/// A started dataflow.
pub struct Parts {
    /// The handle.
    pub dataflow: Dataflow,
    /// The inbox of each channel: subscribe it to the log after the channel's checkpoint.
    pub inboxes: Vec<Arc<Inbox>>,
}

struct Entrance {
    requests: Sender<Incoming>,
    wake: WakeRequests,
}

struct Inner {
    shared: Arc<Shared>,
    entrances: Vec<Entrance>,
    inboxes: Vec<Arc<Inbox>>,
    flusher: Option<Arc<Flusher>>,
    indexes: Option<Arc<Indexes>>,
    interim: Option<Arc<Interim>>,
    compactor: Option<Arc<Compactor>>,
    stopping: Arc<AtomicBool>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// The workers of one process. Clones are cheap and share them.
#[derive(Clone)]
pub struct Dataflow(Arc<Inner>);

fn setup(config: Config) -> Result<(Setup, Vec<Arc<Inbox>>), Fault> {
    let closed: Vec<Timestamp> = config.checkpoints.iter().map(|c| c.closed).collect();
    let inbox = |_: &Checkpoint| Arc::new(Inbox::new(config.inbox_bytes));
    let inboxes: Vec<_> = config.checkpoints.iter().map(inbox).collect();
    let threaded = config.scan_threads > 0;
    let indexes = config.storage.as_ref().map(|storage| {
        let (store, archive) = (storage.store.clone(), Arc::clone(&storage.archive));
        Indexes::start(store, archive, config.scan_threads).map(Arc::new)
    });
    let indexes = indexes.transpose()?;
    let flusher = config.storage.map(|storage| Flusher::start(storage, threaded)).transpose()?;
    let flusher = flusher.map(Arc::new);
    let shared = Arc::new(Shared::new(&closed, config.on_checkpoint));
    let compactor = flusher.clone().zip(indexes.clone()).map(|(flusher, indexes)| {
        Compactor::start(Arc::clone(&shared), flusher, indexes, threaded).map(Arc::new)
    });
    let interim = threaded.then(Interim::start).transpose()?;
    let setup = Setup {
        compactor: compactor.transpose()?,
        flusher,
        indexes,
        interim: interim.map(Arc::new),
        shared,
        pool: Pool::new(config.scan_threads)?,
        threads: config.scan_threads,
        checkpoints: config.checkpoints.into(),
        inboxes: inboxes.clone().into(),
        expected: Arc::new(config.collections),
    };
    Ok((setup, inboxes))
}

impl Dataflow {
    /// Starts the workers, each on a thread named `timely:work-N`.
    ///
    /// A worker that panics takes its cluster with it: install a panic hook that aborts the process
    /// when a thread of that name panics.
    ///
    /// # Errors
    /// When threads cannot be started.
    pub fn start(config: Config) -> Result<Parts, Fault> {
        let workers = config.workers.max(1);
        let (setup, inboxes) = setup(config)?;
        let (shared, flusher) = (Arc::clone(&setup.shared), setup.flusher.clone());
        let (indexes, compactor) = (setup.indexes.clone(), setup.compactor.clone());
        let interim = setup.interim.clone();
        let stopping = Arc::new(AtomicBool::new(false));
        let (senders, receivers): (Vec<_>, Vec<_>) =
            (0..workers).map(|_| crossbeam_channel::unbounded::<Incoming>()).unzip();
        let (built_sender, built) = crossbeam_channel::unbounded::<(usize, WakeRequests)>();
        let stop = Arc::clone(&stopping);
        let run = move |worker: &mut Worker| {
            let index = worker.index();
            let (local, wake) = flow::build(worker, &setup, receivers[index].clone());
            // Nobody waits for it any more when the start failed elsewhere.
            let _ = built_sender.send((index, wake));
            while !stop.load(Ordering::Acquire) {
                worker.step_or_park(None);
                flow::tidy(&local);
            }
            for dataflow in worker.installed_dataflows() {
                worker.drop_dataflow(dataflow);
            }
        };
        let guards = timely::execute(timely::Config::process(workers), run);
        let guards = guards.map_err(|e| Fault::internal(format!("cannot start workers: {e}")))?;
        let mut wakes: Vec<_> = built.iter().take(workers).collect();
        wakes.sort_by_key(|(index, _)| *index);
        let entrance = |((_, wake), requests)| Entrance { requests, wake };
        let entrances = wakes.into_iter().zip(senders).map(entrance).collect();
        // The guards join their threads when dropped, so they wait on a thread of their own.
        let joiner = std::thread::Builder::new().name("join-workers".to_owned());
        let joiner = joiner.spawn(move || drop(guards));
        let joiner = joiner.map_err(|e| Fault::internal(format!("cannot start a thread: {e}")))?;
        let inner = Inner {
            shared,
            entrances,
            inboxes: inboxes.clone(),
            flusher,
            indexes,
            interim,
            compactor,
            stopping,
            threads: Mutex::new(vec![joiner]),
        };
        Ok(Parts { dataflow: Dataflow(Arc::new(inner)), inboxes })
    }

    /// Makes one worker that only moves when it is stepped by hand, on the caller's thread.
    ///
    /// # Errors
    /// When the pool cannot be started.
    pub fn manual(config: Config) -> Result<(Manual, Parts), Fault> {
        let (setup, inboxes) = setup(config)?;
        let (shared, flusher) = (Arc::clone(&setup.shared), setup.flusher.clone());
        let (indexes, compactor) = (setup.indexes.clone(), setup.compactor.clone());
        let interim = setup.interim.clone();
        let allocator = Allocator::Thread(Default::default());
        let mut worker = Worker::new(timely::WorkerConfig::default(), allocator, None);
        let (requests, receiver) = crossbeam_channel::unbounded();
        let (local, wake) = flow::build(&mut worker, &setup, receiver);
        let inner = Inner {
            shared,
            entrances: vec![Entrance { requests, wake }],
            inboxes: inboxes.clone(),
            flusher: flusher.clone(),
            indexes,
            interim,
            compactor: compactor.clone(),
            stopping: Arc::new(AtomicBool::new(false)),
            threads: Mutex::default(),
        };
        let parts = Parts { dataflow: Dataflow(Arc::new(inner)), inboxes };
        Ok((Manual { worker, local, flusher, compactor }, parts))
    }

    async fn ask(&self, ask: Ask) -> Result<Reply, Fault> {
        let first = ask.target().channels.first().copied();
        let first = first.ok_or_else(|| Fault::internal("a read names no channel"))?;
        let ask = Arc::new(ask);
        let (id, reply) = self.0.shared.call(Arc::clone(&ask));
        let _gone = ForgetCaller(&self.0.shared, id);
        let entrance = &self.0.entrances[owner(first, self.0.entrances.len())];
        let stopped = || Fault::new(Code::ServiceUnavailable, "the server is stopping");
        entrance.requests.send((id, ask)).map_err(|_| stopped())?;
        entrance.wake.activate().map_err(|_| stopped())?;
        reply.await.map_err(|_| stopped())?
    }

    /// The nearest rows of each query.
    ///
    /// # Errors
    /// A [`Fault`] for the client. Waits for ever while a channel does not close the read's time:
    /// put a deadline around it, and name [`Dataflow::stalled`] when it passes.
    ///
    /// A search for texts, and one for several hits a group, takes two rounds at one time.
    pub async fn search(&self, mut request: SearchRequest) -> Result<SearchReply, Fault> {
        let _hold = Hold::new(&self.0.shared, &request.target)?;
        if request.text.as_ref().is_some_and(|text| text.statistics.is_empty()) {
            let Reply::Statistics(as_of, sums) = self.ask(Ask::Statistics(request.clone())).await?
            else {
                return Err(Fault::internal("statistics got another answer"));
            };
            request.target.guarantee = Guarantee::Pinned(as_of);
            if let Some(text) = &mut request.text {
                text.statistics = sums;
            }
        }
        if let Some(by) = request.group.clone().filter(|by| by.size > 1 && by.only.is_none()) {
            let first = SearchRequest {
                group: Some(GroupBy { size: 1, ..by.clone() }),
                output: Vec::new(),
                ..request.clone()
            };
            let best = self.search_once(first).await?;
            let values = best.groups;
            let values = values.ok_or_else(|| Fault::internal("a grouped search has no groups"))?;
            request.target.guarantee = Guarantee::Pinned(best.as_of);
            request.group = Some(GroupBy { only: Some((best.hits, values)), ..by });
        }
        self.search_once(request).await
    }

    async fn search_once(&self, request: SearchRequest) -> Result<SearchReply, Fault> {
        match self.ask(Ask::Search(request)).await? {
            Reply::Search(reply) => Ok(reply),
            _ => Err(Fault::internal("a search got another answer")),
        }
    }

    /// Rows in key order.
    ///
    /// # Errors
    /// As [`Dataflow::search`].
    pub async fn query(&self, request: QueryRequest) -> Result<QueryReply, Fault> {
        let _hold = Hold::new(&self.0.shared, &request.target)?;
        match self.ask(Ask::Query(request)).await? {
            Reply::Query(reply) => Ok(reply),
            _ => Err(Fault::internal("a query got another answer")),
        }
    }

    /// A number of rows.
    ///
    /// # Errors
    /// As [`Dataflow::search`].
    pub async fn count(&self, request: CountRequest) -> Result<CountReply, Fault> {
        let _hold = Hold::new(&self.0.shared, &request.target)?;
        match self.ask(Ask::Count(request)).await? {
            Reply::Count(reply) => Ok(reply),
            _ => Err(Fault::internal("a count got another answer")),
        }
    }

    /// Groups of rows and their aggregates.
    ///
    /// # Errors
    /// As [`Dataflow::search`].
    pub async fn aggregate(&self, request: AggregateRequest) -> Result<AggregateReply, Fault> {
        let _hold = Hold::new(&self.0.shared, &request.target)?;
        match self.ask(Ask::Aggregate(request)).await? {
            Reply::Aggregate(reply) => Ok(reply),
            _ => Err(Fault::internal("an aggregation got another answer")),
        }
    }

    /// The time that a read of this target would run at now: for several reads that must see the
    /// same rows, each of which is then pinned to it.
    pub fn time_of(&self, target: &Target) -> Timestamp {
        match target.guarantee {
            Guarantee::Pinned(at) => at,
            Guarantee::AtLeast(at) => at.max(self.0.shared.closed_all(&target.channels)),
        }
    }

    /// Closed-through of a channel.
    pub fn closed(&self, channel: ChannelId) -> Timestamp {
        self.0.shared.closed(channel)
    }

    /// Resolves when every time up to `at_least` is closed on all these channels.
    ///
    /// # Errors
    /// When the workers stop.
    pub async fn wait_closed(
        &self,
        channels: &[ChannelId],
        at_least: Timestamp,
    ) -> Result<(), Fault> {
        let done = self.0.shared.wait_closed(channels, at_least);
        done.await.map_err(|_| Fault::new(Code::ServiceUnavailable, "the server is stopping"))
    }

    /// Which of these channels are not closed through a time, and what stopped them if known: the
    /// text for an error when a deadline passes.
    pub fn stalled(&self, channels: &[ChannelId], at_least: Timestamp) -> Option<String> {
        let late = channels.iter().filter(|&&c| self.closed(c) < at_least);
        let names: Vec<String> = late.map(|c| format!("{c} at {}", self.closed(*c))).collect();
        (!names.is_empty())
            .then(|| format!("channels not closed through {at_least}: {}", names.join(", ")))
    }

    /// Channels that stopped for good, and why.
    pub fn broken(&self) -> Vec<(ChannelId, Fault)> {
        self.0.shared.broken()
    }

    /// Live rows in this process.
    pub fn rows(&self) -> i64 {
        self.0.shared.rows()
    }

    /// Rows that reads and deletes by filter looked at so far, rows that were not visible included.
    pub fn rows_scanned(&self) -> u64 {
        self.0.shared.scanned()
    }

    /// Bytes that were read from the log and not applied yet.
    pub fn backlog_bytes(&self, channel: ChannelId) -> usize {
        self.0.inboxes.get(usize::from(channel.0)).map_or(0, |inbox| inbox.bytes())
    }

    /// Whether what the log says of these shards up to a time is in files.
    pub fn is_flushed(&self, shards: &[VChannel], through: Timestamp) -> bool {
        self.0.shared.is_flushed(shards, through)
    }

    /// Resolves when what the log says of these shards up to a time is in files, or their collection
    /// is gone; to whether it is in files. That takes a seal of each: put a deadline around it.
    ///
    /// # Errors
    /// When the workers stop.
    pub async fn wait_flushed(
        &self,
        shards: Vec<VChannel>,
        through: Timestamp,
    ) -> Result<bool, Fault> {
        let done = self.0.shared.wait_flushed(shards, through);
        done.await.map_err(|_| Fault::new(Code::ServiceUnavailable, "the server is stopping"))
    }

    /// What these shards consist of as far as they are applied, in order of their segments: close
    /// their channels through a time before, to see all that was acknowledged by then.
    pub fn parts_of(&self, shards: &[VChannel]) -> Vec<ShardPart> {
        self.0.shared.census.parts_of(shards)
    }

    /// Has built what the indexes of a collection ask for, as they are now.
    pub fn build_indexes(&self, collection: CollectionId) {
        if let Some(indexes) = &self.0.indexes {
            indexes.want(collection);
        }
    }

    /// How far an index is built.
    pub fn index_progress(&self, collection: CollectionId, spec: &IndexSpec) -> Progress {
        let indexes = self.0.indexes.as_ref();
        indexes.map_or_else(Progress::default, |indexes| indexes.progress(collection, spec))
    }

    /// The oldest time at which a collection can be read.
    pub fn since(&self, collection: CollectionId) -> Timestamp {
        self.0.shared.retention.since(collection)
    }

    /// Compacts all of a collection that makes fewer segments or fewer dead rows. Blocks while files
    /// are looked at; what was planned goes on behind.
    ///
    /// # Errors
    /// When the catalog does not answer, or files cannot be read.
    pub fn compact(&self, collection: CollectionId) -> Result<Compaction, Fault> {
        let compactor = self.0.compactor.as_ref();
        let none = || Fault::internal("nothing is written out, so nothing can be compacted");
        compactor.ok_or_else(none)?.compact(collection)
    }

    /// A compaction that was asked for, as it is doing now; `None` when it is too long ago.
    pub fn compaction(&self, id: i64) -> Option<Compaction> {
        self.0.compactor.as_ref()?.compaction(id)
    }

    /// The compactions of a collection that were asked for, oldest first.
    pub fn compactions(&self, collection: CollectionId) -> Vec<Compaction> {
        let compactor = self.0.compactor.as_ref();
        compactor.map_or_else(Vec::new, |compactor| compactor.compactions(collection))
    }

    /// Announces a filter delete: call this before its records are written.
    pub fn delete_outcome(&self, request: RequestId, shards: usize) -> DeleteOutcome {
        let rows = self.0.shared.expect_outcome(request, shards);
        DeleteOutcome { shared: Arc::clone(&self.0.shared), request, rows }
    }

    /// Stops the workers; reads that wait are answered with 'stopping'. Blocks until they ended.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
        for inbox in &self.0.inboxes {
            inbox.close();
        }
        for entrance in &self.0.entrances {
            // A worker that is gone needs no waking.
            let _ = entrance.wake.activate();
        }
        for thread in self.0.threads.lock().drain(..) {
            // A worker that panicked has aborted the process already.
            let _ = thread.join();
        }
        if let Some(flusher) = &self.0.flusher {
            flusher.stop();
        }
        if let Some(indexes) = &self.0.indexes {
            indexes.stop();
        }
        if let Some(interim) = &self.0.interim {
            interim.stop();
        }
        if let Some(compactor) = &self.0.compactor {
            compactor.stop();
        }
        self.0.shared.forget_callers();
    }
}

/// Forgets a caller that stopped waiting.
struct ForgetCaller<'a>(&'a Shared, u64);

impl Drop for ForgetCaller<'_> {
    fn drop(&mut self) {
        self.0.take_caller(self.1);
    }
}

/// Resolves to the number of rows that a filter delete ended, over all its shards.
pub struct DeleteOutcome {
    shared: Arc<Shared>,
    request: RequestId,
    rows: oneshot::Receiver<Result<u64, Fault>>,
}

impl Future for DeleteOutcome {
    type Output = Result<u64, Fault>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.rows).poll(context).map(|rows| {
            rows.unwrap_or_else(|_| {
                Err(Fault::new(Code::ServiceUnavailable, "the server is stopping"))
            })
        })
    }
}

impl Drop for DeleteOutcome {
    fn drop(&mut self) {
        self.shared.forget_outcome(self.request);
    }
}

/// A worker that is stepped by hand: for simulation.
pub struct Manual {
    worker: Worker,
    local: Rc<Local>,
    flusher: Option<Arc<Flusher>>,
    compactor: Option<Arc<Compactor>>,
}

impl Manual {
    /// Schedules every operator that has something to do, once.
    pub fn step(&mut self) {
        if let Some(flusher) = &self.flusher {
            flusher.run_waiting();
        }
        if let Some(compactor) = &self.compactor {
            compactor.run_waiting();
        }
        self.worker.step();
        flow::tidy(&self.local);
    }
}
