//! What names are and mean, through the public interface.

mod reference;
mod threats;
mod world;
mod zones;
