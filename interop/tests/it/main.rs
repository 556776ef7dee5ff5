//! The program against other people's tools.

mod debian;
mod layers;
mod layouts;
mod run;
