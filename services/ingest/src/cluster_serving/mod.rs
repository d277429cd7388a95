//! Cluster Serving's HTTP API: `/predict`, and the models by name.

use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use crate::front::{Error, Front};
use crate::http::{caller, not_allowed};
use crate::tensorflow::predict;

/// Adds the routes of Cluster Serving.
pub(crate) fn configure(routes: &mut ServiceConfig) {
    routes.service(
        web::resource("/predict")
            .route(web::post().to(predict_default))
            .default_service(web::to(only_post)),
    );
}

/// `/predict` names no model: it is the default one, or the only one.
async fn predict_default(
    request: HttpRequest,
    payload: Payload,
    front: Data<Front>,
) -> Result<HttpResponse, Error> {
    let target = front.default_target(&caller(&request))?;
    predict(&request, payload, target, &front).await
}

async fn only_post(request: HttpRequest) -> Result<HttpResponse, Error> {
    Err(not_allowed(&request, "POST"))
}
