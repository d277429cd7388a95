//! What the page asks, under `/console/api`.

use actix_web::web::{self, Data, Payload, Query, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::letters::{self, Filter};
use super::{ConsoleError, picture, replays, requeue};
use crate::access::Right;
use crate::front::{Error, Front};
use crate::http::{caller, not_allowed};

/// A list of places and nothing longer.
const MAX_BODY_BYTES: usize = 16 << 10;

pub(super) fn configure(routes: &mut ServiceConfig) {
    let reading = |path: &str| web::resource(path).default_service(web::to(only_get));
    routes
        .service(reading("/console/api/line").route(web::get().to(line)))
        .service(reading("/console/api/dead-letters").route(web::get().to(dead_letters)))
        .service(reading("/console/api/replays").route(web::get().to(all_replays)))
        .service(
            web::resource("/console/api/dead-letters/requeue")
                .route(web::post().to(requeue_letters))
                .default_service(web::to(only_post)),
        );
}

/// The line as it is: models, versions, replicas, topics and sinks that the caller may see.
async fn line(request: HttpRequest, front: Data<Front>) -> Result<HttpResponse, Error> {
    check_on(&front)?;
    let caller = caller(&request);
    let listed = front.list(&caller)?;
    let mut models: Vec<String> = listed.iter().map(|it| it.model.clone()).collect();
    models.dedup();
    let asked = models.clone();
    let survey = front
        .console
        .work(move |shared| Ok(shared.survey.look(shared, &asked)))
        .await?;
    let picture = picture::of(&front, (&caller, &listed), &survey);
    Ok(answer().json(picture))
}

#[derive(Deserialize)]
struct Wanted {
    model: Option<String>,
}

/// The newest dead letters of the models that the caller may see.
async fn dead_letters(
    request: HttpRequest,
    wanted: Query<Wanted>,
    front: Data<Front>,
) -> Result<HttpResponse, Error> {
    check_on(&front)?;
    let caller = caller(&request);
    let filter = Filter {
        caller: caller.clone(),
        model: wanted.into_inner().model.filter(|model| !model.is_empty()),
    };
    let found = front
        .console
        .work(move |shared| letters::newest(shared, &filter))
        .await?;
    Ok(answer().json(found))
}

/// Writes dead letters back to where their records came from.
async fn requeue_letters(
    request: HttpRequest,
    payload: Payload,
    front: Data<Front>,
) -> Result<HttpResponse, Error> {
    check_on(&front)?;
    let caller = caller(&request);
    // Of no model in particular: whether anybody may change anything. Each letter's own is asked below.
    front.access.check_control()?;
    let body = payload.to_bytes_limited(MAX_BODY_BYTES).await;
    let body = body
        .ok()
        .and_then(Result::ok)
        .ok_or(ConsoleError::Letters)?;
    let places = requeue::places(&body)?;
    let (door, by) = (front.get_ref().clone(), caller.clone());
    let written = front
        .console
        .work(move |shared| {
            let permit = |model: &str| door.permit(&by, Right::Control, model);
            Ok(requeue::requeue(shared, &places, permit))
        })
        .await??;
    tracing::info!(
        caller = caller.name(),
        letters = written.len(),
        "dead letters written back"
    );
    Ok(answer().json(serde_json::json!({ "requeued": written })))
}

/// What replays have found.
async fn all_replays(request: HttpRequest, front: Data<Front>) -> Result<HttpResponse, Error> {
    check_on(&front)?;
    let caller = caller(&request);
    let found = front
        .console
        .work(move |shared| replays::newest(shared, &caller))
        .await?;
    Ok(answer().json(found))
}

fn check_on(front: &Front) -> Result<(), ConsoleError> {
    match front.console.shared.enabled {
        true => Ok(()),
        false => Err(ConsoleError::Off),
    }
}

fn answer() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .insert_header(("cache-control", "no-store"))
        .insert_header(("x-content-type-options", "nosniff"));
    response
}

async fn only_get(request: HttpRequest) -> Result<HttpResponse, Error> {
    Err(not_allowed(&request, "GET"))
}

async fn only_post(request: HttpRequest) -> Result<HttpResponse, Error> {
    Err(not_allowed(&request, "POST"))
}
