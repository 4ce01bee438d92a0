//! A site: everything one server needs, in a temporary folder, for each variant of its back ends.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fs, io};

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
        Site::build(variant, more, false)
    }

    /// The same with a server whose fail points can be armed.
    ///
    /// # Errors
    /// When something does not come up.
    pub fn start_armed(variant: Variant, more: &[&str]) -> io::Result<Site> {
        Site::build(variant, more, true)
    }

    fn build(variant: Variant, more: &[&str], armed: bool) -> io::Result<Site> {
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
        let armed = armed.then(|| folder.path().join(ARMED));
        let server = Server::start_with(folder.path(), &arguments, armed)?;
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

    /// Has the server kill itself when it passes a fail point for the `pass`-th time from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn arm(&self, point: &str, pass: usize) -> io::Result<()> {
        self.set_armed(&format!("{point}:{pass}"))
    }

    /// Forgets what was armed or traced.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn disarm(&self) -> io::Result<()> {
        match fs::remove_file(self.folder().join(ARMED)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Notes the fail points that the server passes from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn trace(&self) -> io::Result<()> {
        self.disarm()?;
        fs::write(self.folder().join(ARMED).with_extension("passed"), "")?;
        self.set_armed("trace")
    }

    /// The fail points that were passed since [`Site::trace`], in order; no more are noted.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn passed(&self) -> io::Result<Vec<String>> {
        self.disarm()?;
        let passed = fs::read_to_string(self.folder().join(ARMED).with_extension("passed"))?;
        Ok(passed.lines().map(str::to_owned).collect())
    }

    /// What a statement answers on the catalog's database, as text.
    ///
    /// # Panics
    /// When the database does not answer.
    pub fn sql(&self, statement: &str) -> String {
        if let Some(database) = &self.database {
            return database.query(statement).expect("an answer");
        }
        let program = "import sqlite3, sys; \
             print(sqlite3.connect(sys.argv[1]).execute(sys.argv[2]).fetchone()[0])";
        let mut command = Command::new("python3");
        command.args(["-c", program]).arg(self.data().join("catalog.db")).arg(statement);
        let output = command.output().expect("python3");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until a server that is being traced has passed a point.
    ///
    /// # Errors
    /// When the file cannot be read, or it is not passed in ten seconds.
    pub fn wait_passed(&self, point: &str) -> io::Result<()> {
        let end = Instant::now() + Duration::from_secs(10);
        let file = self.folder().join(ARMED).with_extension("passed");
        while !fs::read_to_string(&file)?.lines().any(|passed| passed == point) {
            if Instant::now() > end {
                return Err(io::Error::other(format!("{point} is not passed")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Whole or not at all: the server reads it at any moment.
    fn set_armed(&self, text: &str) -> io::Result<()> {
        let file = self.folder().join(ARMED);
        let new = file.with_extension("new");
        fs::write(&new, text)?;
        fs::rename(new, file)
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

/// The file that says which fail point is armed.
const ARMED: &str = "fail-point";

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
