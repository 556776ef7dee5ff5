//! The program against other people's tools.

mod crash;
mod debian;
mod layers;
mod layouts;
mod places;
mod run;
