//! Behaviour of layouts, the store and staged folders, through the public
//! API. Hostile cases carry their ids.

mod aci;
mod archive;
mod blobs;
mod build;
mod collect;
mod hostile;
mod legacy;
mod listing;
mod processes;
mod resume;
mod select;
mod space;
mod staged;
mod store;
mod tags;
mod target;
