//! The cases themselves: that they can be made, that they are what they say,
//! and that no rule is without them.

mod cases;
mod export;
mod peers;
