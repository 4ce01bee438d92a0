//! `Fault`: an error as a client sees it, with Milvus's code.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milvus's error codes (`merr`), the ones that this project answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(i32)]
#[allow(missing_docs)]
pub enum Code {
    ServiceNotReady = 1,
    ServiceUnavailable = 2,
    MemoryLimit = 3,
    RequestLimit = 4,
    Internal = 5,
    DiskLimit = 7,
    RateLimit = 8,
    QuotaDenied = 9,
    Unimplemented = 10,
    CollectionNotFound = 100,
    CollectionNotLoaded = 101,
    CollectionNumLimit = 102,
    CollectionNotFullyLoaded = 103,
    CollectionLoaded = 104,
    CollectionIllegalSchema = 105,
    VectorClusteringKey = 107,
    CollectionSchemaMismatch = 109,
    PartitionNotFound = 200,
    PartitionNotLoaded = 201,
    GeneralCapacity = 250,
    ResourceGroupNotFound = 300,
    ResourceGroupExists = 301,
    ResourceGroupNumLimit = 302,
    ResourceGroupIllegalConfig = 303,
    ResourceGroupNodeNotEnough = 304,
    ReplicaNotFound = 400,
    ChannelLack = 502,
    SegmentNotFound = 600,
    IndexNotFound = 700,
    IndexNotSupported = 701,
    IndexDuplicate = 702,
    DatabaseNotFound = 800,
    DatabaseNumLimit = 801,
    DatabaseInvalidName = 802,
    NodeNotFound = 901,
    ParameterInvalid = 1100,
    ParameterMissing = 1101,
    ParameterTooLarge = 1102,
    MetricNotFound = 1200,
    NotAuthenticated = 1400,
    NotPermitted = 1401,
    AliasNotFound = 1600,
    AliasNameConflict = 1601,
    AliasExists = 1602,
    FieldNotFound = 1700,
    FieldInvalidName = 1701,
    Cancelled = 10_000,
    Timeout = 10_001,
    /// An error without a code of its own; the text decides.
    Unexpected = 65_535,
}

impl Code {
    /// The legacy `ErrorCode` that Milvus sends beside this code.
    pub const fn legacy(self) -> i32 {
        match self {
            Code::ServiceNotReady => 56,
            Code::MemoryLimit => 52,
            Code::DiskLimit => 54,
            Code::RateLimit => 49,
            Code::QuotaDenied => 48,
            Code::CollectionNotFound => 4,
            Code::CollectionSchemaMismatch => 62,
            Code::PartitionNotFound => 15,
            Code::IndexNotFound => 25,
            Code::ParameterInvalid => 5,
            _ => 1,
        }
    }

    /// Whether the same request may succeed later, unchanged.
    pub const fn retriable(self) -> bool {
        matches!(
            self,
            Code::ServiceNotReady
                | Code::ServiceUnavailable
                | Code::RequestLimit
                | Code::RateLimit
                | Code::CollectionNotFullyLoaded
        )
    }
}

/// An error for a client: a code and a text that names the offending thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// Milvus's code.
    pub code: Code,
    /// The text, in Milvus's wording where clients match on it.
    pub message: String,
}

impl Fault {
    /// A fault with a code and a text.
    pub fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault { code, message: message.into() }
    }

    /// `<message>: invalid parameter`, code 1100.
    pub fn invalid(message: impl fmt::Display) -> Fault {
        Fault::new(Code::ParameterInvalid, format!("{message}: invalid parameter"))
    }

    /// `<message>: invalid parameter[expected=..][actual=..]`, code 1100.
    pub fn expected(
        message: impl fmt::Display,
        expected: impl fmt::Display,
        actual: impl fmt::Display,
    ) -> Fault {
        let text = format!("{message}: invalid parameter[expected={expected}][actual={actual}]");
        Fault::new(Code::ParameterInvalid, text)
    }

    /// A text without a code of its own, 65535.
    pub fn plain(message: impl Into<String>) -> Fault {
        Fault::new(Code::Unexpected, message)
    }

    /// The server's own mistake, code 5.
    pub fn internal(message: impl Into<String>) -> Fault {
        Fault::new(Code::Internal, message)
    }

    /// `collection not found[database=..][collection=..]`, code 100.
    pub fn collection_not_found(database: &str, collection: impl fmt::Display) -> Fault {
        let text = format!("collection not found[database={database}][collection={collection}]");
        Fault::new(Code::CollectionNotFound, text)
    }

    /// `collection already loaded[collection=..]` behind a text, code 104.
    pub fn collection_loaded(what: impl fmt::Display, collection: &str) -> Fault {
        let text = format!("{what}: collection already loaded[collection={collection}]");
        Fault::new(Code::CollectionLoaded, text)
    }

    /// `alias not found[database=..][alias=..]`, code 1600.
    pub fn alias_not_found(database: &str, alias: &str) -> Fault {
        let text = format!("alias not found[database={database}][alias={alias}]");
        Fault::new(Code::AliasNotFound, text)
    }

    /// `partition not found[partition=..]`, code 200.
    pub fn partition_not_found(partition: impl fmt::Display) -> Fault {
        Fault::new(Code::PartitionNotFound, format!("partition not found[partition={partition}]"))
    }

    /// `segment not found[segment=..]`, code 600.
    pub fn segment_not_found(segment: impl fmt::Display) -> Fault {
        Fault::new(Code::SegmentNotFound, format!("segment not found[segment={segment}]"))
    }

    /// The same fault behind a prefix: `<prefix>: <message>` or, in Milvus's older manner, with
    /// whatever separator the prefix ends with.
    #[must_use]
    pub fn prefixed(mut self, prefix: &str) -> Fault {
        self.message.insert_str(0, prefix);
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
