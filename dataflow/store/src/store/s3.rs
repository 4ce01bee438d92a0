//! Buckets of S3 and of what speaks its protocol.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};

use crate::error::StoreError;

/// How often a request is repeated, the pause doubling each time, before the store counts as
/// unreachable: after some five seconds if nobody answers. Who needs longer asks again.
const RETRIES: usize = 6;
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// How long one request, of one part of a file, may take.
const REQUEST: Duration = Duration::from_secs(60);
/// How long a connection may take to come up.
const CONNECT: Duration = Duration::from_secs(5);

/// How to reach a bucket. What is not given comes from the usual `AWS_…` variables of the
/// environment, such as `AWS_ENDPOINT_URL`, `AWS_REGION` and `AWS_ACCESS_KEY_ID`.
#[derive(Clone, Default)]
pub struct S3Options {
    /// URL of the server; Amazon's for the region by default. With `http://` nothing is encrypted.
    pub endpoint: Option<String>,
    /// Region; `us-east-1` by default.
    pub region: Option<String>,
    /// Access key and its secret.
    pub key: Option<(String, String)>,
}

impl std::fmt::Debug for S3Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.key.as_ref().map(|(id, _)| id);
        f.debug_struct("S3Options")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("key", &key)
            .finish_non_exhaustive()
    }
}

/// The bucket of a name. Nothing is asked of the server yet.
pub(super) fn bucket(name: &str, options: &S3Options) -> Result<Arc<dyn ObjectStore>, StoreError> {
    // Fails if the process has chosen already, which is as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(name);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &options.region {
        builder = builder.with_region(region);
    }
    if let Some((id, secret)) = &options.key {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    }
    let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    let endpoint = endpoint.iter().find_map(|key| builder.get_config_value(key));
    let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
    let client = ClientOptions::new().with_timeout(REQUEST).with_connect_timeout(CONNECT);
    // Without encryption no certificates are needed, which a small machine may not have.
    let client = client.with_allow_http(plain).with_no_system_certificates(plain);
    let backoff = BackoffConfig { init_backoff: PAUSE_MIN, max_backoff: PAUSE_MAX, base: 2.0 };
    let retry = RetryConfig { backoff, max_retries: RETRIES, ..RetryConfig::default() };
    let store = builder.with_client_options(client).with_retry(retry).build();
    let store = store.map_err(|e| StoreError::Input(format!("s3://{name}: {e}")))?;
    Ok(Arc::new(store))
}
