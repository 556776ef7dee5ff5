//! The distribution protocol (distribution-spec 1.1) without sockets: what is
//! said, not who says it. Both ends share it.
//!
//! Everything that is read here comes from a stranger: it is bounded, and
//! becomes a type that can not be wrong or an error.

mod challenge;
mod date;
mod endpoint;
mod error;
pub mod header;
mod image;
mod link;
mod name;
pub mod query;
mod range;
mod route;
mod url;

pub use challenge::{Challenge, challenges};
pub use date::http_date;
pub use endpoint::{Address, Endpoint, Page};
pub use error::{ErrorCode, ErrorDocument, ErrorEntry};
pub use image::Image;
pub use link::next;
pub use name::{Host, Repository, Tag};
pub use range::{ChunkRange, ContentRange, UploadRange, Wanted};
pub use route::{Begin, Misroute, Part, Route};
pub use url::{Scheme, Url, encoded};
