//! Before every route: who asks. Nobody unknown gets further than here,
//! except to what tells nothing.

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HeaderMap;
use actix_web::middleware::Next;
use actix_web::{HttpMessage, HttpRequest, web};

use crate::access::{AUTHORIZATION, AccessError, Caller, Presented, X_API_KEY};
use crate::console;
use crate::front::{Error, Front};

use super::observe::Seen;

/// What load balancers and browsers ask without credentials. The path is
/// compared as it was sent: another spelling of it is not open.
const OPEN: [&str; 6] = [
    "/live",
    "/ready",
    "/v2/health/live",
    "/v2/health/ready",
    "/docs",
    "/openapi.json",
];

/// The middleware right around the routes.
pub(super) async fn guard(
    front: web::Data<Front>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    match caller_of(&front, &request) {
        Ok(caller) => {
            Seen::now_of(&request, &caller);
            request.extensions_mut().insert(caller);
            let response = next.call(request).await?;
            Ok(response.map_into_boxed_body())
        }
        Err(refused) => {
            let (request, _) = request.into_parts();
            Ok(ServiceResponse::from_err(Error::from(refused), request))
        }
    }
}

fn caller_of(front: &Front, request: &ServiceRequest) -> Result<Caller, AccessError> {
    let path = request.path();
    let is_open = OPEN.contains(&path)
        || path.starts_with("/docs/")
        || (path == "/metrics" && front.access.opens_metrics())
        || (front.console.opens_page() && console::is_page(path));
    if is_open {
        return Ok(Caller::nobody());
    }
    front.access.authenticate(presented(request.headers()))
}

fn presented(headers: &HeaderMap) -> Result<Option<Presented<'_>>, AccessError> {
    let values = |name| headers.get_all(name).map(|value| value.as_bytes());
    Presented::of(values(AUTHORIZATION), values(X_API_KEY))
}

/// Who sent a request that has reached its route.
pub(crate) fn caller(request: &HttpRequest) -> Caller {
    let known = request.extensions().get::<Caller>().cloned();
    known.expect("the middleware around every route puts it there")
}
