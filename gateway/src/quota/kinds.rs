//! What is counted and where, and what is denied.

use super::settings::MB;

/// Number of [`Kind`]s.
pub const KINDS: usize = 8;
/// Number of [`Scope`]s.
pub const SCOPES: usize = 4;

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Changes of metadata.
    Ddl,
    /// Flushes.
    Flush,
    /// Bytes of inserts.
    InsertBytes,
    /// Bytes of upserts.
    UpsertBytes,
    /// Bytes of deletes.
    DeleteBytes,
    /// Rows of inserts and upserts.
    Rows,
    /// Vectors that are searched for.
    Vectors,
    /// Queries.
    Queries,
}

impl Kind {
    /// All of them, by their numbers.
    pub const ALL: [Kind; KINDS] = [
        Kind::Ddl,
        Kind::Flush,
        Kind::InsertBytes,
        Kind::UpsertBytes,
        Kind::DeleteBytes,
        Kind::Rows,
        Kind::Vectors,
        Kind::Queries,
    ];

    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Ddl => "ddl",
            Kind::Flush => "flush",
            Kind::InsertBytes => "insert_mb",
            Kind::UpsertBytes => "upsert_mb",
            Kind::DeleteBytes => "delete_mb",
            Kind::Rows => "rows",
            Kind::Vectors => "search_vps",
            Kind::Queries => "query_qps",
        }
    }

    /// How much 1 of a setting is.
    pub const fn unit(self) -> f64 {
        match self {
            Kind::InsertBytes | Kind::UpsertBytes | Kind::DeleteBytes => MB,
            _ => 1.0,
        }
    }

    /// Whether it is counted in a scope.
    pub const fn has(self, scope: Scope) -> bool {
        match self {
            Kind::Ddl => matches!(scope, Scope::Server | Scope::Database),
            Kind::Flush => !matches!(scope, Scope::Partition),
            _ => true,
        }
    }
}

/// What a rate is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Everything.
    Server,
    /// Each database.
    Database,
    /// Each collection.
    Collection,
    /// Each partition.
    Partition,
}

impl Scope {
    /// All of them, by their numbers.
    pub const ALL: [Scope; SCOPES] =
        [Scope::Server, Scope::Database, Scope::Collection, Scope::Partition];

    /// The name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Scope::Server => "server",
            Scope::Database => "database",
            Scope::Collection => "collection",
            Scope::Partition => "partition",
        }
    }
}

/// What a request does, for states of denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Reads rows.
    Read,
    /// Writes rows.
    Write,
    /// Changes collections.
    Collection,
    /// Changes partitions.
    Partition,
    /// Changes indexes.
    Index,
    /// Flushes.
    Flush,
    /// Compacts.
    Compact,
    /// Nothing that is ever denied.
    Other,
}

impl Deed {
    /// What a change of metadata does.
    pub fn of_ddl(rpc: &str) -> Deed {
        if rpc.contains("Database") || rpc.contains("ResourceGroup") || rpc.starts_with("Transfer")
        {
            return Deed::Other;
        }
        if rpc.contains("Partition") {
            return Deed::Partition;
        }
        if rpc.contains("Index") { Deed::Index } else { Deed::Collection }
    }
}
