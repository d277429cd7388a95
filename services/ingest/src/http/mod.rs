//! The HTTP server: what is the same for every protocol that speaks HTTP.

pub(crate) mod body;
mod error;
mod guard;
mod head;
mod observe;
mod response;
mod routes;
mod server;

pub(crate) use error::{HttpError, no_path, not_allowed, shortened_path};
pub(crate) use guard::caller;
pub(crate) use server::Server;
