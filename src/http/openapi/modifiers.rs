//! What many operations of the document share: errors, headers, credentials, shapes of bodies.

use crate::error::Code;
use crate::http::{BODY_CODES, Endpoint, Policy, endpoints};
use actix_web::http::Method;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use utoipa::Modify;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::schema::{AdditionalProperties, AllOfBuilder, ArrayItems};
use utoipa::openapi::schema::{KnownFormat, Object, ObjectBuilder, OneOfBuilder, SchemaFormat};
use utoipa::openapi::schema::{Schema, SchemaType, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, SecurityScheme};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder,
};

const ADMIN: &str = "A secret key `sk_…`, or the token `dba_…` of one of the staff";

/// The credentials that there are.
pub struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = |description: &str| {
            let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
            SecurityScheme::Http(bearer.description(Some(description)).build())
        };
        let named = ApiKeyValue::with_description;
        let cookie = "The same token; a bearer token goes before it";
        let secret = "`access_token` of an order; what it does not open is not found";
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("admin_key", bearer(ADMIN));
        components.add_security_scheme("session", bearer("The token `dbs_…` of a session"));
        let cookie = ApiKey::Cookie(named("doorbuster_session", cookie));
        components.add_security_scheme("session_cookie", SecurityScheme::ApiKey(cookie));
        let secret = ApiKey::Header(named("X-Order-Token", secret));
        components.add_security_scheme("order_token", SecurityScheme::ApiKey(secret));
    }
}

/// Adds to each operation what the route table says of it: its scope, its errors, and those of
/// any request.
pub struct Errors;

impl Modify for Errors {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, description) in STANDING {
            let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
            let header = HeaderBuilder::new().schema(Some(number)).description(Some(description));
            components.headers.insert(name.to_owned(), RefOr::T(header.build()));
        }
        for endpoint in endpoints() {
            let Some(path) = document.paths.paths.get_mut(endpoint.path) else { continue };
            let operation = match endpoint.method {
                Method::GET => path.get.as_mut(),
                Method::PATCH => path.patch.as_mut(),
                Method::DELETE => path.delete.as_mut(),
                _ => path.post.as_mut(),
            };
            let Some(operation) = operation else { continue };
            if let Policy::Scope(scope) = endpoint.policy {
                let told = operation.description.take().unwrap_or_default();
                let needs = format!("{told}\n\nNeeds the scope `{scope}`.");
                operation.description = Some(needs.trim().to_owned());
            }
            if endpoint.is_limited() {
                tell_standing(operation);
            }
            for (status, codes) in by_status(&endpoint) {
                let responses = &mut operation.responses.responses;
                let response = responses.entry(status.to_string());
                response.or_insert_with(|| RefOr::T(problem(status, &codes)));
            }
        }
    }
}

fn by_status(endpoint: &Endpoint) -> BTreeMap<u16, Vec<Code>> {
    let has_body = [Method::POST, Method::PATCH].contains(&endpoint.method);
    let body_codes = if has_body { BODY_CODES } else { &[] };
    let storage = endpoint.path.starts_with("/v1/").then_some(&Code::StorageUnavailable);
    let limited = endpoint.is_limited().then_some(&Code::RateLimited);
    let any = [Code::MethodNotAllowed, Code::Internal];
    let mut statuses: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in endpoint.codes.iter().chain(body_codes).chain(storage).chain(limited).chain(&any)
    {
        statuses.entry(code.status().as_u16()).or_default().push(*code);
    }
    statuses
}

fn problem(status: u16, codes: &[Code]) -> Response {
    let names: Vec<String> =
        codes.iter().map(|code| format!("`{}`: {}", code.as_str(), code.title())).collect();
    let example = codes.first().map(|code| {
        json!({
            "type": format!("/docs/errors#{}", code.as_str()),
            "title": code.title(),
            "status": status,
            "detail": code.title(),
            "instance": "/v1/orders",
            "code": code.as_str(),
            "request_id": "0193b8a2c5f97d3e8a1b4c6d7e8f9012",
        })
    });
    let schema = Some(Ref::from_schema_name("ProblemBody"));
    let content = ContentBuilder::new().schema(schema).example(example).build();
    let response = ResponseBuilder::new().description(names.join("; "));
    let response = response.content("application/problem+json", content);
    match status {
        401 => header(response, "WWW-Authenticate", "`Bearer`"),
        405 => header(response, "Allow", "The methods of this path"),
        409 if codes.contains(&Code::RequestInProgress) => {
            header(response, "Retry-After", "Seconds; with `request_in_progress`")
        }
        429 => standing(header(response, "Retry-After", "Seconds")),
        503 => header(response, "Retry-After", "Seconds"),
        _ => response,
    }
    .build()
}

fn header(response: ResponseBuilder, name: &str, description: &str) -> ResponseBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    let header = HeaderBuilder::new().schema(Some(text)).description(Some(description)).build();
    response.header(name, header)
}

/// What a client is told of the limit of which least is left.
const STANDING: [(&str, &str); 3] = [
    ("RateLimit-Limit", "Requests at once, of the limit of which least is left"),
    ("RateLimit-Remaining", "How many of them are left"),
    ("RateLimit-Reset", "Seconds until all of them are there again"),
];

fn standing(response: ResponseBuilder) -> ResponseBuilder {
    STANDING.into_iter().fold(response, |response, (name, _)| {
        response.header_ref(name, Ref::new(format!("#/components/headers/{name}")))
    })
}

/// Adds to the successes of an operation how much its client may still ask for.
fn tell_standing(operation: &mut Operation) {
    for (status, response) in &mut operation.responses.responses {
        if let (true, RefOr::T(response)) = (status.starts_with('2'), response) {
            *response = standing(std::mem::take(response).into()).build();
        }
    }
}

/// Describes the headers of requests once, for all operations that read them.
pub struct Headers;

impl Modify for Headers {
    fn modify(&self, document: &mut OpenApi) {
        for operation in operations(document) {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    describe(parameter);
                }
            }
        }
    }
}

fn describe(parameter: &mut Parameter) {
    if parameter.parameter_in != ParameterIn::Header {
        return;
    }
    let text = ObjectBuilder::new().schema_type(Type::String);
    let (text, description, example) = match &*parameter.name {
        "Idempotency-Key" => (
            text.min_length(Some(1)).max_length(Some(255)).pattern(Some("^[!-~]{1,255}$")),
            "Makes a retry safe: a new one for each request, the same one when trying again; \
             1 to 255 visible ASCII characters",
            "5f0c1a3e-9d0b-4a57-8a43-0f6f8a1e2b7c",
        ),
        "If-Match" => (text, "The versions to start from, as `ETag` gave them", "\"1\""),
        "If-None-Match" => (text, "`ETag`s of answers at hand", "\"Zm9v\""),
        _ => return,
    };
    parameter.description = Some(description.to_owned());
    parameter.schema = Some(text.examples([json!(example)]).into());
}

/// The members that a body must have, one set of them, besides those that it always has.
const ALTERNATIVES: &[(&str, &[&[&str]])] = &[
    ("AddItems", &[&["items"], &["sku", "quantity"], &["variant_id", "quantity"]]),
    ("NewCartItem", &[&["sku"], &["variant_id"]]),
    ("NewAdjustment", &[&["sku"], &["variant_id"]]),
];

/// Shapes of bodies that types alone do not tell.
pub struct Bodies;

impl Modify for Bodies {
    fn modify(&self, document: &mut OpenApi) {
        for operation in operations(document) {
            require_object(operation);
        }
        let components = document.components.get_or_insert_default();
        for (name, alternatives) in ALTERNATIVES {
            let schema = components.schemas.get_mut(*name);
            let Some(RefOr::T(schema @ Schema::Object(_))) = schema else { continue };
            let all = AllOfBuilder::new().item(schema.clone()).item(one_of(alternatives));
            *schema = Schema::AllOf(all.build());
        }
        // Problems repeat what a client has sent.
        let sent = components.schemas.iter_mut();
        let sent =
            sent.filter(|(name, _)| !["FieldError", "ProblemBody"].contains(&name.as_str()));
        sent.for_each(|(_, schema)| refuse_nul(schema));
    }
}

/// What no text may contain, because PostgreSQL cannot store it.
const NO_NUL: &str = "^[^\\x00]*$";

/// Texts without a pattern of their own, and the names of free members, have no NUL in them.
fn refuse_nul(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Array(array) => {
            if let ArrayItems::RefOrSchema(items) = &mut array.items {
                refuse_nul(items);
            }
        }
        Schema::OneOf(one_of) => one_of.items.iter_mut().for_each(refuse_nul),
        Schema::AllOf(all_of) => all_of.items.iter_mut().for_each(refuse_nul),
        Schema::AnyOf(any_of) => any_of.items.iter_mut().for_each(refuse_nul),
        Schema::Object(object) => {
            let is_text = match &object.schema_type {
                SchemaType::Type(kind) => *kind == Type::String,
                SchemaType::Array(kinds) => kinds.contains(&Type::String),
                SchemaType::AnyValue => false,
            };
            let password = SchemaFormat::KnownFormat(KnownFormat::Password);
            let is_free = object.format.as_ref().is_none_or(|format| *format == password)
                && object.enum_values.is_none();
            if is_text && is_free && object.pattern.is_none() {
                object.pattern = Some(NO_NUL.to_owned());
            }
            object.properties.values_mut().for_each(refuse_nul);
            if let Some(AdditionalProperties::RefOr(values)) =
                object.additional_properties.as_deref_mut()
            {
                refuse_nul(values);
                let names = ObjectBuilder::new().schema_type(Type::String).pattern(Some(NO_NUL));
                let names = names.build();
                object.property_names = Some(Box::new(Schema::Object(names)));
            }
        }
        _ => {}
    }
}

/// A body that may be left out is an object all the same, never `null`.
fn require_object(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else { return };
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        let Some(RefOr::T(Schema::OneOf(one_of))) = &content.schema else { continue };
        let object = one_of.items.iter().find(|item| matches!(item, RefOr::Ref(_)));
        content.schema = object.cloned();
        body.required = Some(Required::False);
    }
}

fn one_of(alternatives: &[&[&str]]) -> Schema {
    let one_of = alternatives.iter().fold(OneOfBuilder::new(), |one_of, members| {
        one_of.item(Schema::Object(alternative(alternatives, members)))
    });
    Schema::OneOf(one_of.build())
}

/// An object with these members, while all others of the alternatives are `null` or left out.
fn alternative(alternatives: &[&[&str]], members: &[&str]) -> Object {
    let given = SchemaType::Array(vec![Type::String, Type::Integer, Type::Array]);
    let all: BTreeSet<&str> = alternatives.iter().copied().flatten().copied().collect();
    let mut object = ObjectBuilder::new();
    for member in all {
        let is_given = members.contains(&member);
        let kind = if is_given { given.clone() } else { SchemaType::Type(Type::Null) };
        object = object.property(member, ObjectBuilder::new().schema_type(kind));
        if is_given {
            object = object.required(member);
        }
    }
    object.build()
}

/// Every operation of the document.
fn operations(document: &mut OpenApi) -> impl Iterator<Item = &mut Operation> {
    document.paths.paths.values_mut().flat_map(|path| {
        let methods = [&mut path.get, &mut path.post, &mut path.patch, &mut path.delete];
        methods.into_iter().flatten()
    })
}
