//! What names are and mean, through the public interface.

mod costs;
mod reference;
mod threats;
mod vectors;
mod world;
mod zones;
