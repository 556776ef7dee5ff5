//! What names are and mean, through the public interface.

mod reference;
