//! How content travels: the distribution protocol, its client, and what it
//! takes to log in.
//!
//! [`authfile`] reads files of credentials, [`conf`] the settings of registries;
//! [`client`] speaks to registries, and is a place to read from and write to;
//! [`protocol`] is the protocol without sockets: names, addresses, headers,
//! documents, as both ends of a connection need them.
//!
//! What does not live here: what the content means (`plimsoll-spec`), where
//! it is kept (`plimsoll-store`), who vouches for it. Files and the
//! environment are not touched: credentials and certificates are arguments.

pub mod authfile;
pub mod client;
pub mod conf;
pub mod lookup;
pub mod protocol;
