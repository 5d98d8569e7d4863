//! Numbers for people, as the rules write them too.

pub use analyzer::units::*;
