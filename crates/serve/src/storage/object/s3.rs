//! How a bucket of S3 is reached: endpoint, region, credentials.

use std::net::IpAddr;

use object_store::aws::{AmazonS3, AmazonS3Builder, AmazonS3ConfigKey};
use plimsoll_content::{Code, Error, Result};

use super::wire::Wire;

/// How a bucket is reached.
#[derive(Clone, Default)]
pub struct Settings {
    /// The name of the bucket.
    pub bucket: String,
    /// What stands before all keys; empty for none.
    pub prefix: String,
    /// Settings by the names that they have in the environment, such as
    /// `AWS_REGION`. Those that are not known are passed over: other tools
    /// have some of their own.
    pub variables: Vec<(String, String)>,
    /// The certificates to trust, in PEM; without any, those that browsers
    /// trust.
    pub roots: Option<Vec<u8>>,
    /// Whether clients are sent to the store for blobs, with an address that
    /// is good for 15 minutes; else blobs go through the server.
    pub redirect: bool,
}

impl Settings {
    /// Reads `BUCKET` or `BUCKET/PREFIX`.
    ///
    /// ```
    /// use plimsoll_serve::storage::object::Settings;
    /// let settings = Settings::at("images/europe/1")?;
    /// assert_eq!((&*settings.bucket, &*settings.prefix), ("images", "europe/1"));
    /// # Ok::<(), plimsoll_content::Error>(())
    /// ```
    pub fn at(place: &str) -> Result<Self> {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let good = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
        if bucket.is_empty() || !bucket.chars().all(good) {
            return Err(Error::new(Code::Usage, format!("reading s3://{place}"))
                .found(format!("the bucket {bucket:?}"))
                .expected("s3://BUCKET or s3://BUCKET/PREFIX"));
        }
        let (bucket, prefix) = (bucket.to_owned(), prefix.trim_end_matches('/').to_owned());
        Ok(Self { bucket, prefix, redirect: true, ..Self::default() })
    }

    fn variable(&self, name: &str) -> Option<&str> {
        let set = self.variables.iter().find(|(other, _)| other == name);
        set.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

pub(super) fn open(settings: &Settings) -> Result<AmazonS3> {
    let doing = || format!("opening the bucket {}", settings.bucket);
    let endpoint = settings.variable("AWS_ENDPOINT_URL_S3");
    let endpoint = endpoint.or_else(|| settings.variable("AWS_ENDPOINT_URL"));
    let allowed = settings.variable("AWS_ALLOW_HTTP").is_some_and(|value| value == "true");
    if let Some(endpoint) = endpoint
        && endpoint.starts_with("http://")
        && !allowed
        && !is_loopback(endpoint)
    {
        return Err(Error::new(Code::PlainHttp, doing())
            .found(format!("the endpoint {endpoint}, which is not of this machine"))
            .expected("https://")
            .fix("AWS_ALLOW_HTTP=true   if you trust everybody on the way"));
    }
    let mut builder = AmazonS3Builder::new().with_bucket_name(&settings.bucket);
    for (name, value) in &settings.variables {
        let known = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>();
        if let (Ok(key), false) = (known, value.is_empty()) {
            builder = builder.with_config(key, value);
        }
    }
    builder
        .with_allow_http(true)
        .with_http_connector(Wire::new(settings.roots.as_deref())?)
        .build()
        .map_err(|cause| Error::new(Code::Usage, doing()).found(&cause).cause(cause))
}

fn is_loopback(endpoint: &str) -> bool {
    let Ok(endpoint) = endpoint.parse::<hyper::Uri>() else { return false };
    let host = endpoint.host().unwrap_or_default();
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(variables: &[(&str, &str)]) -> Result<AmazonS3> {
        let mut settings = Settings::at("bucket")?;
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        settings.variables = variables.iter().map(owned).collect();
        open(&settings)
    }

    #[test]
    fn a_place_is_a_bucket_and_what_stands_before_all_keys() {
        for (place, bucket, prefix) in
            [("a", "a", ""), ("a/", "a", ""), ("a/b/c/", "a", "b/c"), ("a.b-c/d", "a.b-c", "d")]
        {
            let settings = Settings::at(place).expect(place);
            assert_eq!((&*settings.bucket, &*settings.prefix), (bucket, prefix));
        }
        for place in ["", "/a", "a b", "a:b"] {
            assert_eq!(Settings::at(place).err().map(|error| error.code()), Some(Code::Usage));
        }
    }

    #[test]
    fn secrets_go_over_the_net_in_the_clear_only_if_somebody_said_so() {
        let refused = opened(&[("AWS_ENDPOINT_URL", "http://s3.example.com")]);
        assert_eq!(refused.err().map(|error| error.code()), Some(Code::PlainHttp));
        for endpoint in ["http://127.0.0.1:9000", "http://localhost", "http://[::1]:1", "https://x"]
        {
            opened(&[("AWS_ENDPOINT_URL", endpoint)]).expect(endpoint);
        }
        opened(&[("AWS_ENDPOINT_URL_S3", "http://x"), ("AWS_ALLOW_HTTP", "true")]).expect("said");
        let half = opened(&[("AWS_ACCESS_KEY_ID", "x"), ("AWS_OTHER", "y")]);
        assert_eq!(half.err().map(|error| error.code()), Some(Code::Usage));
    }
}
