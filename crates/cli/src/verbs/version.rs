//! `plimsoll version`: what this build is.

use plimsoll::content::{Platform, Result};
use serde_json::json;

use crate::context::Context;

pub(crate) fn run(context: &Context) -> Result<u8> {
    let version = env!("CARGO_PKG_VERSION");
    let platform = Platform::host().to_string();
    let report = json!({
        "version": version,
        "platform": platform,
        "digests": ["sha256", "sha512", "blake3"],
        "compression": ["gzip", "zstd"],
    });
    context
        .out
        .report("version", &report, version, |_| format!("plimsoll {version} {platform}\n"))?;
    Ok(0)
}
