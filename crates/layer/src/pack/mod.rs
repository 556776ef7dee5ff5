//! Making a layer out of a file tree, always with the same bytes for the
//! same input.
