//! One operation in few words, and how they become OpenAPI's many.

use serde_json::Value;
use utoipa::openapi::path::{
    HttpMethod, OperationBuilder, Parameter, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::{
    Content, ContentBuilder, Ref, Required, Response, ResponseBuilder, SecurityRequirement, path,
};

use super::{parameters, refusals};

/// What one method of one path does.
pub(super) struct Operation {
    pub(super) method: HttpMethod,
    /// With `{model}`, `{version}`, `{label}` and `{location}` in it.
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    /// Names of header and query parameters, as `parameters` knows them.
    pub(super) parameters: &'static [&'static str],
    pub(super) body: Option<Body>,
    /// Status, what it means, media types with the names of their schemas.
    pub(super) answers: Vec<Good>,
    /// Statuses of [`refusals`].
    pub(super) refusals: &'static [u16],
    /// Whether it is answered without credentials.
    pub(super) is_open: bool,
}

/// A request body: its media types, and one example that `digits` answers.
pub(super) struct Body {
    pub(super) media: &'static [Media],
    pub(super) example: Option<Value>,
    pub(super) is_required: bool,
}

/// A media type and the name of its schema.
pub(super) type Media = (&'static str, &'static str);

/// An answer that is no refusal.
pub(super) struct Good {
    pub(super) status: u16,
    pub(super) means: &'static str,
    pub(super) media: &'static [Media],
}

impl Good {
    pub(super) const fn ok(means: &'static str, media: &'static [Media]) -> Self {
        Self {
            status: 200,
            means,
            media,
        }
    }
}

impl Operation {
    /// A question without a body that everybody may see the answer of who may read.
    pub(super) fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self {
            method: HttpMethod::Get,
            path,
            id,
            tag: "",
            summary,
            parameters: &[],
            body: None,
            answers: Vec::new(),
            refusals: refusals::READ,
            is_open: false,
        }
    }

    pub(super) fn describe(self) -> path::Operation {
        let mut operation = OperationBuilder::new()
            .operation_id(Some(self.id))
            .summary(Some(self.summary))
            .tag(self.tag)
            .request_body(self.body.map(Body::describe));
        for name in path_parameters(self.path).chain(self.parameters.iter().copied()) {
            operation = operation.parameter(parameter(name));
        }
        for good in &self.answers {
            operation = operation.response(good.status.to_string(), good.describe());
        }
        for status in self.refusals {
            let reference = Ref::from_response_name(refusals::name(*status));
            operation = operation.response(status.to_string(), reference);
        }
        if self.is_open {
            operation = operation.security(SecurityRequirement::default());
        }
        operation.build()
    }
}

impl Body {
    fn describe(self) -> RequestBody {
        let mut body = RequestBodyBuilder::new();
        if self.is_required {
            body = body.required(Some(Required::True));
        }
        for (name, schema) in self.media {
            let example = self.example.clone().filter(|_| *name == "application/json");
            body = body.content(*name, content(schema, example));
        }
        body.build()
    }
}

impl Good {
    fn describe(&self) -> Response {
        let mut response = ResponseBuilder::new().description(self.means);
        for (name, schema) in self.media {
            response = response.content(*name, content(schema, None));
        }
        refusals::with_id(response).build()
    }
}

fn content(schema: &str, example: Option<Value>) -> Content {
    ContentBuilder::new()
        .schema(Some(Ref::from_schema_name(schema)))
        .example(example)
        .build()
}

fn path_parameters(path: &'static str) -> impl Iterator<Item = &'static str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| Some(rest.split_once('}')?.0))
}

fn parameter(name: &'static str) -> Parameter {
    let known = parameters::parameter(name);
    let required = match known.place {
        ParameterIn::Path => Required::True,
        _ => Required::False,
    };
    ParameterBuilder::new()
        .name(name)
        .parameter_in(known.place)
        .required(required)
        .description(Some(known.about))
        .schema(Some(Ref::from_schema_name(parameters::of_parameter(name))))
        .example(known.example)
        .build()
}
