//! The whole server in one process: data folder, catalog, log, workers, gateway, admin port.
//!
//! `main` and the tests start the same function.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use hashbrown::HashMap;
use millstream_catalog::catalog::{Catalog, Checkpoint};
use millstream_catalog::clock::Clock;
use millstream_catalog::fail;
use millstream_catalog::model::{ChannelId, Collection, CollectionState, Fault, VChannel};
use millstream_catalog::{Limits, StoredCatalog, sql};
use millstream_dataflow::storage::{Archive, StartShard, Storage};
use millstream_dataflow::{Config as FlowConfig, Dataflow};
use millstream_log::{Log, Nats, Wal, WalOptions, Writer};
use millstream_store::{S3Options, Store, StoreError, StoreOptions};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::{AbortHandle, JoinHandle};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic_health::server::HealthReporter;

use crate::admin::{self, Admin};
use crate::auth::layer::Guarded;
use crate::config::Config;
use crate::data_folder::{DataFolder, FolderError};
use crate::files::{self, CatalogArchive};
use crate::gateway::{Gateway, Parts};
use crate::quota::Settings;
use crate::service::{Limited, RPCS, Service, Wire};
use crate::tls::Tls;
use crate::{ddl, pb, telemetry};

/// Bytes that may wait between the log and a channel's worker.
const INBOX_BYTES: usize = 64 << 20;
/// How long requests under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(10);
/// HTTP/2 windows: large enough that a large insert does not wait for updates.
const STREAM_WINDOW: u32 = 4 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

/// Why the server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// An address cannot be listened on.
    #[error("cannot listen on {0}: {1}; is another server running there? choose another {2}")]
    Listen(SocketAddr, std::io::Error, &'static str),
    /// The catalog, the log or the workers refuse.
    #[error("{0}: {1}")]
    Part(&'static str, Fault),
    /// Metrics, reflection, or another thing of this process.
    #[error("{0}")]
    Other(String),
}

fn part(name: &'static str) -> impl Fn(Fault) -> StartError {
    move |fault| StartError::Part(name, fault)
}

/// A server that runs.
pub struct Running {
    /// Where clients connect.
    pub listen: SocketAddr,
    /// Where health and metrics are.
    pub admin: SocketAddr,
    /// The gateway, for tests that look inside.
    pub gateway: Arc<Gateway>,
    catalog: Arc<StoredCatalog>,
    dataflow: Dataflow,
    health: HealthReporter,
    stopping: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
    /// What seals and deletes files.
    background: [AbortHandle; 2],
    /// Last, so that the folder is unlocked when everything else is gone.
    _folder: DataFolder,
}

/// Starts a server. When it returns, requests are answered.
///
/// # Errors
/// See [`StartError`].
pub async fn start(config: &Config, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
    // The ports first: they fail most often, and then nothing was begun.
    let listener = listen(config.listen, "--listen").await?;
    let admin_listener = listen(config.admin_listen, "--admin-listen").await?;
    let folder = DataFolder::open(&config.data_dir)?;
    let metrics = telemetry::recorder().map_err(StartError::Other)?;

    let catalog = open_catalog(config, &folder, clock).await?;
    let channels = catalog.channels();
    let log = open_log(config, &folder, channels).await?;
    let writer = Writer::new(Arc::clone(&log), catalog.tso());
    let store = open_store(config, &folder).await?;
    let garbage = Arc::new(Notify::new());
    let (archive, seals_due) = open_archive(config, &catalog, &store, &garbage).await?;
    let dataflow = start_dataflow(config, &catalog, &log, (&store, archive)).await?;
    let parts = Parts {
        catalog: Arc::clone(&catalog) as Arc<dyn Catalog>,
        writer,
        dataflow: dataflow.clone(),
        garbage: Arc::clone(&garbage),
        process: rand::random(),
        slow: Duration::from_millis(config.slow_request_ms),
        auth: config.auth,
        quotas: Settings::parse(&config.quota).map_err(StartError::Other)?,
        address: listener.local_addr().map_err(|e| StartError::Other(e.to_string()))?.to_string(),
    };
    let gateway = Gateway::new(parts, RPCS);
    gateway.row_ids.refill_in_background();
    ddl::roll_forward(&gateway).await.map_err(part("metadata"))?;
    fail::point("start.rolled_forward");
    let in_background = [
        tokio::spawn(files::seal_due(Arc::clone(&gateway), seals_due)),
        tokio::spawn(files::delete_garbage_when_told(Arc::clone(&catalog) as _, store, garbage)),
    ];
    gateway.door.warn_of_defaults().await;

    let stopping = CancellationToken::new();
    let tls = start_tls(config, &stopping)?;
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_serving::<Wire>().await;
    let address = |l: &TcpListener| l.local_addr().map_err(|e| StartError::Other(e.to_string()));
    let (listen, admin) = (address(&listener)?, address(&admin_listener)?);
    let routes = admin::router(Admin { gateway: Arc::clone(&gateway), metrics });
    let service = Service::new(Arc::clone(&gateway));
    let admin_task = match tls.clone().filter(|_| config.admin_tls) {
        None => serve_admin(admin_listener, routes, stopping.clone()),
        Some(tls) => {
            let https = tls.https(admin_listener, stopping.clone());
            let https = https.map_err(|e| StartError::Other(e.to_string()))?;
            serve_admin(https, routes, stopping.clone())
        }
    };
    let tasks = vec![
        serve_grpc(listener, tls, &gateway, service, health_service, stopping.clone())?,
        admin_task,
    ];
    let background = in_background.map(|task| task.abort_handle());
    Ok(Running {
        listen,
        admin,
        gateway,
        catalog,
        dataflow,
        health,
        stopping,
        tasks,
        background,
        _folder: folder,
    })
}

/// What clients connect by, if it is TLS.
fn start_tls(
    config: &Config,
    stopping: &CancellationToken,
) -> Result<Option<Arc<Tls>>, StartError> {
    let started = config.tls().map(|files| Tls::start(files, stopping.clone())).transpose();
    started.map_err(|e| StartError::Other(format!("TLS: {e}")))
}

async fn listen(address: SocketAddr, flag: &'static str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|e| StartError::Listen(address, e, flag))
}

/// Opens the catalog that the settings name.
pub(crate) async fn open_catalog(
    config: &Config,
    folder: &DataFolder,
    clock: Arc<dyn Clock>,
) -> Result<Arc<StoredCatalog>, StartError> {
    let url = match config.catalog.as_str() {
        "sqlite" => format!("sqlite://{}", folder.path().join("catalog.db").display()),
        url => url.to_owned(),
    };
    let limits = Limits {
        databases: config.max_databases,
        collections: config.max_collections,
        partitions: config.max_partitions,
    };
    let opened = sql::open(&url, clock, config.channels, limits).await.map_err(part("catalog"))?;
    fail::point("start.catalog_opened");
    Ok(opened)
}

/// Opens the log that the settings name.
pub(crate) async fn open_log(
    config: &Config,
    folder: &DataFolder,
    channels: u16,
) -> Result<Arc<dyn Log>, StartError> {
    if config.log == "embedded" {
        let path = folder.path().join("log");
        let options = WalOptions { file_bytes_max: config.log_file_bytes, ..WalOptions::default() };
        let open = move || Wal::open(&path, channels, options);
        let opened = tokio::task::spawn_blocking(open).await;
        let opened = opened.map_err(|e| StartError::Other(format!("opening the log: {e}")))?;
        let opened = opened.map_err(part("log"))?;
        fail::point("start.log_opened");
        return Ok(opened);
    }
    Ok(Nats::connect(&config.log, channels).await.map_err(part("log"))?)
}

/// Opens the store of sealed rows that the settings name.
pub(crate) async fn open_store(config: &Config, folder: &DataFolder) -> Result<Store, StartError> {
    let address = match config.store.as_str() {
        "local" => folder.path().join("store").display().to_string(),
        url => url.to_owned(),
    };
    let s3 = S3Options {
        endpoint: config.s3_endpoint.clone(),
        region: config.s3_region.clone(),
        ..S3Options::default()
    };
    let cache_dir = Some(folder.path().join("store-cache"));
    let options = StoreOptions { cache_dir, cache_bytes_max: config.store_cache_bytes, s3 };
    let open = move || {
        let store = Store::open_with(&address, &options)?;
        store.check()?;
        Ok(store)
    };
    let opened: Result<Result<_, StoreError>, _> = tokio::task::spawn_blocking(open).await;
    let opened = opened.map_err(|e| StartError::Other(format!("opening the store: {e}")))?;
    let opened = opened.map_err(|e| part("store")(Fault::internal(e.to_string())))?;
    fail::point("start.store_opened");
    Ok(opened)
}

/// The catalog as the archive of sealed shards, and the shards that are due to be sealed.
async fn open_archive(
    config: &Config,
    catalog: &Arc<StoredCatalog>,
    store: &Store,
    garbage: &Arc<Notify>,
) -> Result<(Arc<dyn Archive>, UnboundedReceiver<VChannel>), StartError> {
    let catalog: Arc<dyn Catalog> = Arc::clone(catalog) as _;
    files::adopt(&catalog, store).await.map_err(part("store"))?;
    fail::point("start.store_adopted");
    let (due, seals_due) = unbounded_channel();
    let garbage = Arc::clone(garbage);
    let archive = CatalogArchive::new(catalog, due, garbage, config.retention_seconds);
    Ok((Arc::new(archive), seals_due))
}

/// What exists when the workers start.
async fn start_shards(catalog: &StoredCatalog) -> Result<Vec<StartShard>, Fault> {
    let mut stored: HashMap<VChannel, _> = HashMap::new();
    for (state, segments) in catalog.manifest().await? {
        stored.insert(state.vchannel, (state, segments));
    }
    let all = catalog.collection_all().await?;
    // The rows of one that is being dropped are not needed any more.
    let stays = |c: &&Arc<Collection>| c.state != CollectionState::Dropping;
    let mut shards = Vec::new();
    for collection in all.iter().filter(stays) {
        for (vchannel, channel) in collection.vchannels() {
            let schema = Arc::clone(&collection.schema);
            let stored = stored.remove(&vchannel);
            shards.push(StartShard { vchannel, channel, schema, stored });
        }
    }
    Ok(shards)
}

/// Starts the workers and lets the log feed them.
async fn start_dataflow(
    config: &Config,
    catalog: &Arc<StoredCatalog>,
    log: &Arc<dyn Log>,
    (store, archive): (&Store, Arc<dyn Archive>),
) -> Result<Dataflow, StartError> {
    let fault = part("catalog");
    let mut checkpoints = Vec::new();
    for channel in (0..log.channels()).map(ChannelId) {
        checkpoints.push(catalog.checkpoint_get(channel).await.map_err(&fault)?);
    }
    let shards = start_shards(catalog).await.map_err(&fault)?;
    let flow = FlowConfig {
        workers: config.worker_count(),
        scan_threads: config.scan_thread_count(),
        checkpoints: checkpoints.clone(),
        collections: shards.iter().map(|start| start.vchannel.collection).collect(),
        inbox_bytes: INBOX_BYTES,
        storage: Some(Storage { store: store.clone(), archive, shards }),
        on_checkpoint: on_checkpoint(Arc::clone(catalog), Arc::clone(log)),
    };
    let parts = Dataflow::start(flow).map_err(part("workers"))?;
    fail::point("start.workers_started");
    for (index, inbox) in (0..).zip(parts.inboxes) {
        let (channel, log) = (ChannelId(index), Arc::clone(log));
        let after = checkpoints[usize::from(index)].seq;
        log.subscribe(channel, after, inbox).await.map_err(part("log"))?;
        fail::point("start.channel_subscribed");
    }
    Ok(parts.dataflow)
}

/// Keeps a channel's checkpoint and gives its log's space back.
fn on_checkpoint(
    catalog: Arc<StoredCatalog>,
    log: Arc<dyn Log>,
) -> Box<dyn Fn(ChannelId, Checkpoint) + Send + Sync> {
    let runtime = tokio::runtime::Handle::current();
    Box::new(move |channel, checkpoint| {
        let (catalog, log) = (Arc::clone(&catalog), Arc::clone(&log));
        runtime.spawn(async move {
            let kept = async {
                catalog.checkpoint_set(channel, checkpoint).await?;
                fail::point("checkpoint.before_truncate");
                log.truncate(channel, checkpoint.seq).await?;
                fail::point("checkpoint.after_truncate");
                Ok::<(), Fault>(())
            };
            if let Err(fault) = kept.await {
                // The next checkpoint of the channel does what this one did not.
                tracing::warn!(%channel, %fault, "the log was not truncated");
            }
        });
    })
}

fn serve_grpc<H>(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    gateway: &Arc<Gateway>,
    service: Service,
    health: tonic_health::pb::health_server::HealthServer<H>,
    stopping: CancellationToken,
) -> Result<JoinHandle<()>, StartError>
where
    H: tonic_health::pb::health_server::Health,
{
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let other = |e: tonic_reflection::server::Error| StartError::Other(e.to_string());
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .add_service(Guarded::new(gateway, Limited::new(Wire::new(service))))
        // Probes have no credentials, and learn nothing but whether there is a server.
        .add_service(health)
        .add_service(Guarded::new(gateway, reflection().build_v1().map_err(other)?))
        .add_service(Guarded::new(gateway, reflection().build_v1alpha().map_err(other)?));
    fail::point("start.serving");
    let task = async move {
        let stopped = stopping.clone().cancelled_owned();
        let served = match tls {
            None => {
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                server.serve_with_incoming_shutdown(incoming, stopped).await
            }
            Some(tls) => {
                let incoming = tls.incoming(listener, stopping);
                server.serve_with_incoming_shutdown(incoming, stopped).await
            }
        };
        if let Err(error) = served {
            tracing::error!(%error, "the gRPC server ended");
        }
    };
    Ok(tokio::spawn(task))
}

fn serve_admin<L: Listener>(
    listener: L,
    routes: axum::Router,
    stopping: CancellationToken,
) -> JoinHandle<()>
where
    L::Addr: std::fmt::Debug,
{
    tokio::spawn(async move {
        let serve = axum::serve(listener, routes);
        if let Err(error) = serve.with_graceful_shutdown(stopping.cancelled_owned()).await {
            tracing::error!(%error, "the admin server ended");
        }
    })
}

impl Running {
    /// Stops in order: no new requests, the ones under way are answered, then everything closes.
    pub async fn stop(self) {
        self.health.set_not_serving::<Wire>().await;
        self.stopping.cancel();
        for task in self.tasks {
            let abort = task.abort_handle();
            if tokio::time::timeout(DRAIN, task).await.is_err() {
                tracing::warn!("requests were still under way when the server stopped");
                abort.abort();
            }
        }
        self.background.iter().for_each(AbortHandle::abort);
        let dataflow = self.dataflow.clone();
        // Joins threads, so not on the runtime's own.
        if let Err(error) = tokio::task::spawn_blocking(move || dataflow.stop()).await {
            tracing::error!(%error, "the workers did not stop");
        }
        self.catalog.close().await;
    }
}

/// Ends the process when a timely worker, or the thread that writes sealed shards, panics: they share
/// one fate, and a process that lost one can only be restarted.
pub fn abort_when_a_worker_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        before(panic);
        let thread = std::thread::current();
        if thread.name().is_some_and(|name| name.starts_with("timely") || name == "flush") {
            std::process::abort();
        }
    }));
}
