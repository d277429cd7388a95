//! Tables on database servers, which are killed, cut off and fenced.

mod faults;
mod poison;
mod proxy;
mod server;
