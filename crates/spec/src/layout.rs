//! The header of a layout directory (`image-layout.md`).

use plimsoll_content::limits::Limits;
use plimsoll_content::{Code, Error, Result, View, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the file `oci-layout` says.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayoutHeader {
    /// The version of the layout (LA6).
    pub image_layout_version: String,
    /// Members that this version does not know (LA7).
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

impl LayoutHeader {
    /// The one version there is.
    pub const VERSION: &'static str = "1.0.0";
}

impl Default for LayoutHeader {
    fn default() -> Self {
        Self { image_layout_version: Self::VERSION.to_owned(), other: Map::new() }
    }
}

impl View for LayoutHeader {
    const NAME: &'static str = "the header of a layout";

    // The file holds one short member; this leaves room for others.
    fn limit(limits: &Limits) -> u64 {
        limits.document.min(64 << 10)
    }

    fn check(&self) -> Result<()> {
        if self.image_layout_version != Self::VERSION {
            return Err(Error::new(Code::NotALayout, "reading oci-layout")
                .found(format!("imageLayoutVersion {:?}", self.image_layout_version))
                .expected(Self::VERSION));
        }
        json::refuse_lookalikes("", &self.other, &["imageLayoutVersion"])
    }
}
