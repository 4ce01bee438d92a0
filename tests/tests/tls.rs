//! TLS: who is let in by his certificate, who is not, and certificates that change.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use millstream_tests::process::{Process, setting};
use millstream_tests::site::{Site, Variant};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// What an HTTP/2 client says first: the preface and empty settings.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// A script of a client that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(120);

/// Somebody who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Names differ: a certificate whose issuer has its own name would be signed by itself.
    fn new(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// A certificate for these names, and its key.
    fn sign(&self, names: &[&str], expired: bool) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("parameters");
        if expired {
            params.not_before = date_time_ymd(2019, 1, 1);
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate");
        (cert.pem(), key.serialize_pem())
    }
}

/// Files of a test.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Files {
        Files(tempfile::TempDir::with_prefix("millstream-tls-").expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        // As a whole, as tools that renew certificates do.
        let new = self.path("new");
        std::fs::write(&new, text).expect("a file");
        std::fs::rename(new, self.path(name)).expect("a file");
    }

    fn write_pair(&self, who: &str, (cert, key): &(String, String)) {
        self.write(&format!("{who}.pem"), cert);
        self.write(&format!("{who}.key"), key);
    }

    fn start(&self, variant: Variant, more: &[&str]) -> Site {
        let path = |name: &str| self.path(name).display().to_string();
        let (cert, key) = (path("server.pem"), path("server.key"));
        let mut arguments = vec!["--tls-cert", &cert, "--tls-key", &key];
        arguments.extend(more);
        Site::start_with(variant, &arguments).expect("a server")
    }
}

/// Agrees on TLS with a server for a protocol, trusting an authority, perhaps with a certificate of
/// one's own.
async fn agree(
    address: SocketAddr,
    protocol: &[u8],
    (name, trusted): (&str, &str),
    own: Option<&(String, String)>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let cert = CertificateDer::from_pem_slice(trusted.as_bytes()).expect("a certificate");
    roots.add(cert).expect("an authority");
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some((cert, key)) => {
            let cert = CertificateDer::from_pem_slice(cert.as_bytes()).expect("a certificate");
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
            builder.with_client_auth_cert(vec![cert], key).expect("a pair")
        }
    };
    config.alpn_protocols = vec![protocol.to_vec()];
    let name = ServerName::try_from(name.to_owned()).expect("a name");
    let tcp = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await
}

/// Connects for gRPC.
async fn connect(
    address: SocketAddr,
    name: &str,
    trusted: &str,
    own: Option<&(String, String)>,
) -> io::Result<TlsStream<TcpStream>> {
    let mut stream = agree(address, b"h2", (name, trusted), own).await?;
    // A certificate of the client is judged after its side of the handshake.
    stream.write_all(HELLO).await?;
    let mut first = [0; 9];
    stream.read_exact(&mut first).await?;
    assert_eq!(first[3], 4, "a server of HTTP/2 begins with its settings");
    Ok(stream)
}

/// Asks the admin port whether the server is well.
async fn health(
    address: SocketAddr,
    trusted: &str,
    own: Option<&(String, String)>,
) -> io::Result<String> {
    let mut stream = agree(address, b"http/1.1", ("localhost", trusted), own).await?;
    let request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// What certificate a server shows.
fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let certs = stream.get_ref().1.peer_certificates().expect("a certificate");
    certs[0].clone().into_owned()
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}

#[tokio::test]
async fn clients_that_trust_the_authority_connect_and_others_do_not() {
    let (authority, other) = (Authority::new("good"), Authority::new("other"));
    let files = Files::new();
    files.write_pair("server", &authority.sign(&["localhost", "127.0.0.1"], false));
    let site = files.start(Variant::Embedded, &[]);
    let address = site.server.address;
    connect(address, "localhost", &authority.pem, None).await.expect("connected");
    connect(address, "127.0.0.1", &authority.pem, None).await.expect("connected");
    let error = connect(address, "localhost", &other.pem, None).await.expect_err("another");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    let error = connect(address, "elsewhere", &authority.pem, None).await.expect_err("a name");
    assert!(error.to_string().contains("not valid for name"), "{error}");

    // Plain text gets no answer but the end, and TLS 1.1 an alert.
    let mut plain = TcpStream::connect(address).await.expect("a connection");
    plain.write_all(HELLO).await.expect("sent");
    let mut answer = Vec::new();
    let _ended_either_way = plain.read_to_end(&mut answer).await;
    assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");
    let mut old = vec![0x16, 3, 1, 0, 45, 1, 0, 0, 41, 3, 2];
    old.extend([7; 32]);
    old.extend([0, 0, 2, 0, 0x2f, 1, 0]);
    let mut tcp = TcpStream::connect(address).await.expect("a connection");
    tcp.write_all(&old).await.expect("sent");
    let mut answer = Vec::new();
    let _ended_either_way = tcp.read_to_end(&mut answer).await;
    assert_eq!(answer.first(), Some(&0x15), "an alert: {answer:?}");

    // And it serves on.
    connect(address, "localhost", &authority.pem, None).await.expect("connected");
}

#[tokio::test]
async fn with_an_authority_of_clients_each_needs_its_certificate() {
    let (authority, other) = (Authority::new("good"), Authority::new("other"));
    let files = Files::new();
    files.write_pair("server", &authority.sign(&["localhost"], false));
    files.write("clients.pem", &authority.pem);
    let clients = files.path("clients.pem").display().to_string();
    let site = files.start(Variant::Embedded, &["--tls-client-ca", &clients]);
    let address = site.server.address;
    let good = authority.sign(&["ann"], false);
    connect(address, "localhost", &authority.pem, Some(&good)).await.expect("connected");
    let refused = [None, Some(other.sign(&["ann"], false)), Some(authority.sign(&["ann"], true))];
    for own in refused {
        let answer = connect(address, "localhost", &authority.pem, own.as_ref()).await;
        assert!(answer.is_err(), "let in");
    }
    connect(address, "localhost", &authority.pem, Some(&good)).await.expect("connected");
}

#[tokio::test]
async fn the_admin_port_is_reached_by_tls_alone_when_it_is_to_be() {
    let (authority, files) = (Authority::new("good"), Files::new());
    files.write_pair("server", &authority.sign(&["localhost"], false));
    files.write("clients.pem", &authority.pem);
    let clients = files.path("clients.pem").display().to_string();
    let site = files.start(Variant::Embedded, &["--tls-client-ca", &clients, "--admin-tls"]);
    let admin = site.server.admin;
    let own = authority.sign(&["ann"], false);
    let answer = health(admin, &authority.pem, Some(&own)).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("OK"), "{answer}");
    assert!(health(admin, &authority.pem, None).await.is_err(), "let in without a certificate");
    let other = Authority::new("other");
    assert!(health(admin, &other.pem, Some(&own)).await.is_err(), "nobody should trust it");

    let mut plain = TcpStream::connect(admin).await.expect("a connection");
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    let _ended_either_way = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
    connect(site.server.address, "localhost", &authority.pem, Some(&own)).await.expect("gRPC");
}

#[tokio::test]
async fn new_certificates_are_used_without_a_restart_and_broken_ones_are_not() {
    let (authority, files) = (Authority::new("good"), Files::new());
    let first = authority.sign(&["localhost"], false);
    files.write_pair("server", &first);
    let site = files.start(Variant::Embedded, &[]);
    let address = site.server.address;
    let mut held = connect(address, "localhost", &authority.pem, None).await.expect("connected");
    assert_eq!(shown(&held), der(&first.0));
    // The certificate alone does not fit the key that is there: the old pair stays.
    let second = authority.sign(&["localhost"], false);
    files.write("server.pem", &second.0);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let now = connect(address, "localhost", &authority.pem, None).await.expect("connected");
    assert_eq!(shown(&now), der(&first.0));
    files.write("server.key", "no key");
    tokio::time::sleep(Duration::from_secs(3)).await;
    connect(address, "localhost", &authority.pem, None).await.expect("connected");
    files.write("server.key", &second.1);
    let written = Instant::now();
    loop {
        let now = connect(address, "localhost", &authority.pem, None).await.expect("connected");
        if shown(&now) == der(&second.0) {
            break;
        }
        assert!(written.elapsed() < Duration::from_secs(10), "the new certificate is not used");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // A connection goes on with what it began with: a ping comes back.
    held.write_all(b"\0\0\x08\x06\0\0\0\0\0pingping").await.expect("sent");
    let mut answer = vec![0; 256];
    let mut read = 0;
    while !answer[..read].windows(8).any(|bytes| bytes == b"pingping") {
        let more = held.read(&mut answer[read..]).await.expect("an answer");
        assert!(more > 0, "the connection ended");
        read += more;
    }
}

#[test]
fn certificates_that_cannot_be_used_keep_the_server_from_starting() {
    let (authority, files) = (Authority::new("good"), Files::new());
    let (one, two) = (authority.sign(&["localhost"], false), authority.sign(&["a"], false));
    for (cert, key, due) in [
        (&*one.0, &*two.1, "server.pem"),
        ("nothing", &*one.1, "server.pem"),
        (&*one.0, "nothing", "server.key"),
    ] {
        files.write("server.pem", cert);
        files.write("server.key", key);
        let path = |name: &str| files.path(name).display().to_string();
        let (cert, key) = (path("server.pem"), path("server.key"));
        let site = Site::start_with(Variant::Embedded, &["--tls-cert", &cert, "--tls-key", &key]);
        let error = site.expect_err("it does not start").to_string();
        assert!(error.contains("TLS") && error.contains(due), "{error}");
    }
}

/// Runs a client's script with the folder of certificates and the server's address.
fn run(site: &Site, folder: &Path, what: &str, command: &mut Command) {
    command.arg(folder).arg(site.server.address.to_string());
    let mut process =
        Process::start(command, &site.folder().join("client.log")).expect("a client that starts");
    let status = process.wait(LIMIT).expect("a client that ends");
    let (printed, server) = (process.output(), site.server.output());
    assert!(status.success(), "{what} failed:\n{printed}\n--- the server printed:\n{server}");
}

/// Every version of pymilvus and the Node SDK by TLS, then with certificates of their own.
#[test]
fn real_clients_connect_by_tls_and_by_mutual_tls() {
    let (authority, files) = (Authority::new("good"), Files::new());
    files.write_pair("server", &authority.sign(&["localhost"], false));
    files.write_pair("client", &authority.sign(&["ann"], false));
    files.write("ca.pem", &authority.pem);
    let ca = files.path("ca.pem").display().to_string();
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (mode, more) in [("one-way", vec![]), ("mutual", vec!["--tls-client-ca", &*ca])] {
        let arguments: Vec<&str> = ["--auth"].into_iter().chain(more).collect();
        let site = files.start(Variant::Embedded, &arguments);
        for version in ["2_4", "2_6", "3_0"] {
            let python = setting(&format!("MILLSTREAM_TEST_PYTHON_{version}")).expect("a setting");
            let mut command = Command::new(python);
            command.args(["-W", "ignore", "-B"]).arg(crate_folder.join("python/tls.py")).arg(mode);
            run(&site, files.0.path(), &format!("tls.py {mode} with {version}"), &mut command);
        }
        let modules = setting("MILLSTREAM_TEST_NODE_PATH").expect("the Node SDK");
        let mut command = Command::new("node");
        command.env("NODE_PATH", &modules).arg(crate_folder.join("node/tls.cjs")).arg(mode);
        run(&site, files.0.path(), &format!("tls.cjs {mode}"), &mut command);
    }
}
