//! Unmodified clients run their scripts against real servers.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use millstream_tests::process::{Process, setting};
use millstream_tests::site::{Site, Variant};

/// Scripts that every version of pymilvus runs, in this order, on one server.
const SCRIPTS: [&str; 11] = [
    "quickstart.py",
    "hello_orm.py",
    "keys_and_types.py",
    "vector_types.py",
    "arrays_and_nulls.py",
    "searches.py",
    "tenants.py",
    "names.py",
    "changes.py",
    "cluster.py",
    "compaction.py",
];
/// A script that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(240);

/// A file of this crate.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Runs a client's command, with the server's address as its last argument, to a good end.
fn run(site: &Site, what: &str, command: &mut Command) {
    command.arg(site.server.address.to_string());
    let output = site.folder().join("client.log");
    let mut process = Process::start(command, &output).expect("a client that starts");
    let status = process.wait(LIMIT).expect("a client that ends");
    let printed = process.output();
    assert!(
        status.success(),
        "{what} failed:\n{printed}\n--- the server printed:\n{}",
        site.server.output()
    );
}

/// Runs all scripts with the Python of a setting against one server of a variant.
fn pymilvus(python: &str, variant: Variant) {
    let python = setting(python).expect("a Python environment");
    let site = Site::start(variant).expect("a server");
    for script in SCRIPTS {
        let mut command = Command::new(&python);
        command.args(["-W", "ignore", "-B"]).arg(file("python").join(script));
        run(&site, script, &mut command);
    }
}

/// Runs the Node SDK's scripts against one server of a variant.
fn node(variant: Variant) {
    let modules = setting("MILLSTREAM_TEST_NODE_PATH").expect("the Node SDK");
    let site = Site::start(variant).expect("a server");
    for script in ["quickstart.cjs", "types.cjs", "changes.cjs", "cluster.cjs", "compaction.cjs"] {
        let mut command = Command::new("node");
        command.env("NODE_PATH", &modules).arg(file("node").join(script));
        run(&site, script, &mut command);
    }
}

/// Users come, are refused and granted: all versions of pymilvus and the Node SDK, one after the
/// other, on one server that asks for credentials.
fn users(variant: Variant) {
    let site = Site::start_with(variant, &["--auth"]).expect("a server");
    for version in ["2_4", "2_6", "3_0"] {
        let python = setting(&format!("MILLSTREAM_TEST_PYTHON_{version}")).expect("a setting");
        let mut command = Command::new(python);
        command.args(["-W", "ignore", "-B"]).arg(file("python").join("access.py"));
        run(&site, &format!("access.py with {version}"), &mut command);
    }
    let modules = setting("MILLSTREAM_TEST_NODE_PATH").expect("the Node SDK");
    let mut command = Command::new("node");
    command.env("NODE_PATH", &modules).arg(file("node").join("access.cjs"));
    run(&site, "access.cjs", &mut command);
}

#[test]
fn clients_live_with_users_and_roles_on_the_embedded_default() {
    users(Variant::Embedded);
}

#[test]
fn clients_live_with_users_and_roles_on_postgres_and_nats() {
    users(Variant::Remote);
}

#[test]
fn pymilvus_2_4_runs_unmodified_on_the_embedded_default() {
    pymilvus("MILLSTREAM_TEST_PYTHON_2_4", Variant::Embedded);
}

#[test]
fn pymilvus_2_6_runs_unmodified_on_the_embedded_default() {
    pymilvus("MILLSTREAM_TEST_PYTHON_2_6", Variant::Embedded);
}

#[test]
fn pymilvus_3_0_runs_unmodified_on_the_embedded_default() {
    pymilvus("MILLSTREAM_TEST_PYTHON_3_0", Variant::Embedded);
}

#[test]
fn pymilvus_2_4_runs_unmodified_on_postgres_and_nats() {
    pymilvus("MILLSTREAM_TEST_PYTHON_2_4", Variant::Remote);
}

#[test]
fn pymilvus_2_6_runs_unmodified_on_postgres_and_nats() {
    pymilvus("MILLSTREAM_TEST_PYTHON_2_6", Variant::Remote);
}

#[test]
fn pymilvus_3_0_runs_unmodified_on_postgres_and_nats() {
    pymilvus("MILLSTREAM_TEST_PYTHON_3_0", Variant::Remote);
}

#[test]
fn the_node_sdk_runs_unmodified_on_the_embedded_default() {
    node(Variant::Embedded);
}

#[test]
fn the_node_sdk_runs_unmodified_on_postgres_and_nats() {
    node(Variant::Remote);
}
