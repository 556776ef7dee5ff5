//! Behaviour of the layer room through its public API.
