//! A site: everything one server needs, in a temporary folder, for each variant of its back ends.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::client::Client;
use crate::nats::Nats;
use crate::postgres::Database;
use crate::server::Server;

/// Where the catalog and the log of a server are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// SQLite and the embedded log: the default.
    Embedded,
    /// PostgreSQL and NATS JetStream.
    Remote,
    /// SQLite and NATS JetStream.
    NatsOnly,
    /// PostgreSQL and the embedded log.
    PostgresOnly,
}

impl Variant {
    /// Whether the log is NATS JetStream.
    pub fn has_nats(self) -> bool {
        matches!(self, Variant::Remote | Variant::NatsOnly)
    }

    /// Whether the catalog is PostgreSQL.
    pub fn has_postgres(self) -> bool {
        matches!(self, Variant::Remote | Variant::PostgresOnly)
    }
}

/// A server and its back ends. The server goes first when everything is dropped.
#[derive(Debug)]
pub struct Site {
    /// The server.
    pub server: Server,
    /// Its nats-server, if the log is there.
    pub nats: Option<Nats>,
    /// Its database, if the catalog is there.
    pub database: Option<Database>,
    folder: TempDir,
}

impl Site {
    /// Prepares the back ends and starts a server.
    ///
    /// # Errors
    /// When something does not come up.
    pub fn start(variant: Variant) -> io::Result<Site> {
        Site::start_with(variant, &[])
    }

    /// The same with more arguments for the server.
    ///
    /// # Errors
    /// When something does not come up.
    pub fn start_with(variant: Variant, more: &[&str]) -> io::Result<Site> {
        let folder = TempDir::with_prefix("millstream-test-")?;
        let nats = match variant.has_nats() {
            true => Some(Nats::start(&folder.path().join("nats"))?),
            false => None,
        };
        let database = match variant.has_postgres() {
            true => Some(Database::create()?),
            false => None,
        };
        let mut arguments =
            vec!["--data-dir".to_owned(), data_folder(folder.path()).display().to_string()];
        if let Some(nats) = &nats {
            arguments.extend(["--log".to_owned(), nats.url()]);
        }
        if let Some(database) = &database {
            arguments.extend(["--catalog".to_owned(), database.url()]);
        }
        arguments.extend(more.iter().map(|&argument| argument.to_owned()));
        let server = Server::start(folder.path(), &arguments)?;
        Ok(Site { server, nats, database, folder })
    }

    /// A new connection to the server.
    pub fn client(&self) -> Client {
        Client::new(self.server.address)
    }

    /// The folder that holds everything.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's data folder.
    pub fn data(&self) -> PathBuf {
        data_folder(self.folder.path())
    }

    /// kill -9 of the server.
    pub fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts the server again on the same data.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn restart(&mut self) -> io::Result<()> {
        self.server.restart(self.folder.path())
    }
}

fn data_folder(folder: &Path) -> PathBuf {
    folder.join("data")
}

/// Makes two tests of one scenario: on the embedded default, and on PostgreSQL and NATS.
///
/// `on_both!(scenario)` where `scenario` is an `async fn(Site)` of the same module;
/// `on_both!(scenario, "--flag")` gives the server more arguments.
#[macro_export]
macro_rules! on_both {
    ($scenario:ident $(, $more:literal)*) => {
        mod $scenario {
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_sqlite_and_the_embedded_log() {
                let variant = $crate::site::Variant::Embedded;
                let site = $crate::site::Site::start_with(variant, &[$($more),*]);
                let site = site.expect("a server");
                super::$scenario(site).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn on_postgres_and_nats() {
                let variant = $crate::site::Variant::Remote;
                let site = $crate::site::Site::start_with(variant, &[$($more),*]);
                let site = site.expect("a server");
                super::$scenario(site).await;
            }
        }
    };
}
