//! The whole description, put together from what each protocol tells.

use bytes::Bytes;
use serde_json::json;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    Components, Info, InfoBuilder, License, OpenApi, OpenApiBuilder, Paths, SecurityRequirement,
};

use super::operation::Operation;
use super::{cluster_serving, later, oip, operator, refusals, schemas, tensorflow};
use crate::settings::AccessSettings;

/// Which protocol an operation belongs to, and what to know about it.
const TAGS: [(&str, &str); 5] = [
    (
        "TensorFlow Serving",
        "As TensorFlow Serving's REST API; bodies are JSON or an Arrow stream.",
    ),
    (
        "Cluster Serving",
        "As Analytics Zoo's and BigDL's Cluster Serving.",
    ),
    (
        "Open Inference Protocol",
        "Version 2, with the extensions that Triton's clients use, binary tensors among them.",
    ),
    (
        "Asynchronous",
        "Answers that are fetched later, from any replica.",
    ),
    ("Operator", "Health, metrics, and this description."),
];

/// The description as it is served, written once; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Description(Bytes);

impl Description {
    /// Describes an ingest with these settings.
    pub(crate) fn of(access: &AccessSettings) -> Self {
        let mut document = json!(document(access));
        document["components"]["schemas"] = schemas::all().into_iter().collect();
        Self(document.to_string().into())
    }

    pub(super) fn text(&self) -> Bytes {
        self.0.clone()
    }
}

/// Every operation there is.
pub(super) fn operations() -> Vec<Operation> {
    let mut all = tensorflow::operations();
    all.extend(cluster_serving::operations());
    all.extend(oip::operations());
    all.extend(later::operations());
    all.extend(operator::operations());
    all
}

fn document(access: &AccessSettings) -> OpenApi {
    let mut paths = Paths::new();
    for operation in operations() {
        let (path, method) = (operation.path, operation.method.clone());
        paths.add_path_operation(path, vec![method], operation.describe());
    }
    let tags = TAGS.map(|(name, about)| {
        TagBuilder::new()
            .name(name)
            .description(Some(about))
            .build()
    });
    OpenApiBuilder::new()
        .info(info())
        .paths(paths)
        .components(Some(components()))
        .security(Some(security(access)))
        .tags(Some(tags))
        .build()
}

fn info() -> Info {
    let mut license = License::new("Apache-2.0");
    license.identifier = Some("Apache-2.0".to_owned());
    InfoBuilder::new()
        .title("Millrace")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Predictions over HTTP, answered through Kafka. Every refusal is \
             `{\"error\": \"sentence\"}`; the sentence names the field, what was expected and \
             what was given.",
        ))
        .license(Some(license))
        .build()
}

fn components() -> Components {
    let mut components = Components::new();
    for (name, response) in refusals::all() {
        components
            .responses
            .insert(name.to_owned(), response.into());
    }
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "An API key, or a JSON Web Token of the configured issuer.",
        ))
        .build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let key = ApiKeyValue::with_description("X-API-Key", "An API key.");
    components.add_security_scheme("apiKey", SecurityScheme::ApiKey(ApiKey::Header(key)));
    components
}

/// Either scheme; none at all where credentials are not required.
fn security(access: &AccessSettings) -> Vec<SecurityRequirement> {
    let none: [&str; 0] = [];
    let mut either = vec![
        SecurityRequirement::new("bearer", none),
        SecurityRequirement::new("apiKey", none),
    ];
    if !access.needs_credentials() {
        either.push(SecurityRequirement::default());
    }
    either
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn described(access: &AccessSettings) -> Value {
        serde_json::from_slice(&Description::of(access).text()).unwrap()
    }

    #[test]
    fn it_is_openapi_3_1_without_dangling_references() {
        let document = described(&AccessSettings::default());
        assert_eq!(document["openapi"], "3.1.0");
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(
                document.pointer(pointer).is_some(),
                "{pointer} leads nowhere"
            );
        }
    }

    #[test]
    fn operations_have_names_of_their_own() {
        let mut ids: Vec<_> = operations().iter().map(|it| it.id).collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
    }

    #[test]
    fn credentials_are_optional_only_where_they_are() {
        let mut access = AccessSettings::default();
        assert!(described(&access)["security"].to_string().contains("{}"));
        access.required = Some(true);
        assert!(!described(&access)["security"].to_string().contains("{}"));
    }
}
