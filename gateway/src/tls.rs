//! TLS of the ports: certificates from files, read again when these change.
//!
//! A connection keeps the certificate that it began with; the next one gets the new one. Files
//! that cannot be used, a certificate that was replaced before its key included, leave things as
//! they are until they can.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use axum::serve::Listener;
use futures::Stream;
use futures::stream::poll_fn;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

/// How often the files are looked at.
const CHECK: Duration = Duration::from_secs(2);
/// How long a client may take to agree on a connection.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Most clients that do so at once.
const HANDSHAKES_MAX: usize = 1_024;
/// How long to wait when no connection can be accepted, for want of files perhaps.
const ACCEPT_WAIT: Duration = Duration::from_millis(100);

/// Where the certificates are, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The server's certificate, then those that it is signed with.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Authorities that must have signed the certificate of every client; without them no client
    /// is asked for one.
    pub client_ca: Option<PathBuf>,
}

/// What shows that a file is another one: when it was written, and its length.
type Stamps = Vec<Option<(SystemTime, u64)>>;

impl Files {
    fn paths(&self) -> impl Iterator<Item = &Path> {
        [&self.cert, &self.key].into_iter().chain(&self.client_ca).map(PathBuf::as_path)
    }

    fn stamps(&self) -> Stamps {
        let stamp = |path: &Path| {
            let meta = std::fs::metadata(path).ok()?;
            Some((meta.modified().ok()?, meta.len()))
        };
        self.paths().map(stamp).collect()
    }

    /// Whether the files can be used.
    ///
    /// # Errors
    /// A text that names the file and what is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        self.read().map(|_| ())
    }

    fn read(&self) -> Result<ServerConfig, String> {
        let certs = certificates(&self.cert)?;
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(broken(&self.key))?;
        let provider = Arc::new(default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|e| e.to_string())?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for cert in certificates(path)? {
                    roots.add(cert).map_err(broken(path))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(broken(path))?)
            }
        };
        builder.with_single_cert(certs, key).map_err(broken(&self.cert))
    }
}

fn broken<E: std::fmt::Display>(path: &Path) -> impl Fn(E) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let all = CertificateDer::pem_file_iter(path).map_err(broken(path))?;
    let all: Vec<_> = all.collect::<Result<_, _>>().map_err(broken(path))?;
    if all.is_empty() {
        return Err(format!("{}: no certificate is in there", path.display()));
    }
    Ok(all)
}

/// The certificates in use.
pub struct Tls {
    files: Files,
    config: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the files, and from now on again whenever they change, until `stopping`.
    ///
    /// # Errors
    /// A text that names the file and what is wrong with it.
    pub fn start(files: Files, stopping: CancellationToken) -> Result<Arc<Tls>, String> {
        let stamps = files.stamps();
        let config = ArcSwap::from_pointee(files.read()?);
        let tls = Arc::new(Tls { files, config });
        tokio::spawn(Arc::clone(&tls).follow(stamps, stopping));
        Ok(tls)
    }

    async fn follow(self: Arc<Tls>, mut used: Stamps, stopping: CancellationToken) {
        let mut refused = None;
        while stopping.run_until_cancelled(tokio::time::sleep(CHECK)).await.is_some() {
            let files = self.files.clone();
            let before = used.clone();
            let look = move || {
                let now = files.stamps();
                (now != before).then(|| (files.read(), now))
            };
            let Ok(Some((read, now))) = tokio::task::spawn_blocking(look).await else { continue };
            match read {
                Ok(config) => {
                    self.config.store(Arc::new(config));
                    used = now;
                    tracing::info!("the certificates of TLS are those of the changed files");
                }
                Err(error) if refused.as_ref() != Some(&now) => {
                    tracing::warn!(error, "the changed certificates of TLS are not used");
                    refused = Some(now);
                }
                Err(_) => {}
            }
        }
    }

    /// The connections of a listener for gRPC, each once its client has agreed.
    pub fn incoming(
        self: Arc<Tls>,
        listener: TcpListener,
        stopping: CancellationToken,
    ) -> impl Stream<Item = io::Result<Connection>> {
        let (sender, mut ready) = mpsc::channel(1);
        tokio::spawn(self.accept(listener, b"h2", sender, stopping));
        poll_fn(move |context| ready.poll_recv(context).map(|next| next.map(Ok)))
    }

    /// The connections of a listener for HTTP, each once its client has agreed.
    ///
    /// # Errors
    /// When the listener has no address.
    pub fn https(
        self: Arc<Tls>,
        listener: TcpListener,
        stopping: CancellationToken,
    ) -> io::Result<Https> {
        let address = listener.local_addr()?;
        let (sender, ready) = mpsc::channel(1);
        tokio::spawn(self.accept(listener, b"http/1.1", sender, stopping));
        Ok(Https { address, ready })
    }

    async fn accept(
        self: Arc<Tls>,
        listener: TcpListener,
        protocol: &'static [u8],
        sender: mpsc::Sender<Connection>,
        stopping: CancellationToken,
    ) {
        let places = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        while let Some(accepted) = stopping.run_until_cancelled(listener.accept()).await {
            let tcp = match accepted {
                Ok((tcp, _)) => tcp,
                Err(error) => {
                    tracing::warn!(%error, "a connection was not accepted");
                    tokio::time::sleep(ACCEPT_WAIT).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let mut config = ServerConfig::clone(&self.config.load());
            config.alpn_protocols = vec![protocol.to_vec()];
            let acceptor = TlsAcceptor::from(Arc::new(config));
            let sender = sender.clone();
            tokio::spawn(async move {
                let agreed = tokio::time::timeout(HANDSHAKE, agree(acceptor, tcp)).await;
                drop(place);
                match agreed {
                    // Nobody takes it when the server stops.
                    Ok(Ok(connection)) => drop(sender.send(connection).await),
                    Ok(Err(error)) => tracing::debug!(%error, "no TLS with a client"),
                    Err(_) => tracing::debug!("a client did not agree on TLS in time"),
                }
            });
        }
    }
}

async fn agree(acceptor: TlsAcceptor, tcp: TcpStream) -> io::Result<Connection> {
    tcp.set_nodelay(true)?;
    acceptor.accept(tcp).await.map(Connection)
}

/// Encrypted connections of a port for HTTP.
pub struct Https {
    address: SocketAddr,
    ready: mpsc::Receiver<Connection>,
}

impl Listener for Https {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        match self.ready.recv().await {
            Some(connection) => (connection, self.address),
            // The server is stopping.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// An encrypted connection.
pub struct Connection(TlsStream<TcpStream>);

impl Connected for Connection {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }
}
