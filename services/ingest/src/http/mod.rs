//! The HTTP server: what is the same for every protocol that speaks HTTP.

pub(crate) mod body;
mod cors;
mod error;
mod guard;
mod gzip;
mod head;
mod observe;
mod response;
mod routes;
pub(crate) mod segment;
mod server;
mod signature;
mod unread;

pub(crate) use cors::{answer_preflight, is_preflight};
pub(crate) use error::{HttpError, no_path, not_allowed, shortened_path};
pub(crate) use guard::caller;
pub(crate) use server::Server;
pub(crate) use signature::Signature;
