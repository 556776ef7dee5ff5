//! The program against other people's tools.
fn main() {}
