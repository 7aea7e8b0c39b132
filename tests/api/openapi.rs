//! The served document: whole, with examples, with every error.

use crate::harness::App;
use doorbuster::error::Code;
use serde_json::{Value, json};
use std::collections::BTreeSet;

struct Document(Value);

impl Document {
    async fn served() -> Self {
        let app = App::start().await;
        Self(app.get("/openapi.json").await.ok(200))
    }

    /// Every operation with its name for messages.
    fn operations(&self) -> Vec<(String, &Value)> {
        let paths = self.0["paths"].as_object().unwrap();
        let methods = paths.iter().flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().iter();
            methods.map(move |(method, operation)| (format!("{method} {path}"), operation))
        });
        methods.collect()
    }

    fn resolved<'d>(&'d self, schema: &'d Value) -> &'d Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.0.pointer(&reference[1..]).expect("a schema"),
            None => schema,
        }
    }

    /// Whether a parameter, body, header or schema shows an example of itself: as a whole, or of
    /// everything that it must have.
    fn has_example(&self, value: &Value) -> bool {
        let value = self.resolved(value);
        if ["example", "examples", "enum", "const"].iter().any(|name| value.get(name).is_some()) {
            return true;
        }
        let any = |name: &str| {
            let list = value[name].as_array();
            list.is_some_and(|list| list.iter().any(|item| self.has_example(item)))
        };
        if value.get("schema").is_some_and(|schema| self.has_example(schema)) {
            return true;
        }
        let may_be_null =
            value["type"].as_array().is_some_and(|kinds| kinds.contains(&json!("null")));
        let told_by_type =
            ["boolean", "null", "integer"].iter().any(|kind| value["type"] == *kind);
        let told_by_format = value["format"] == "date-time";
        let told = told_by_type || may_be_null || told_by_format || any("allOf") || any("oneOf");
        told || match (&value["type"], value["required"].as_array()) {
            (kind, _) if kind == "array" => self.has_example(&value["items"]),
            (kind, Some(names)) if kind == "object" => names
                .iter()
                .all(|name| self.has_example(&value["properties"][name.as_str().unwrap()])),
            _ => false,
        }
    }
}

#[tokio::test]
async fn every_operation_has_a_name_and_says_what_it_does() {
    let document = Document::served().await;
    let operations = document.operations();
    assert!(operations.len() > 40, "only {} operations", operations.len());
    let mut ids = BTreeSet::new();
    for (name, operation) in operations {
        let id = operation["operationId"].as_str();
        assert!(id.is_some_and(|id| ids.insert(id)), "{name}: an operationId of its own");
        assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 5), "{name}");
    }
}

#[tokio::test]
async fn every_operation_has_examples_of_what_it_reads() {
    let document = Document::served().await;
    let mut missing = Vec::new();
    for (name, operation) in document.operations() {
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            if parameter["required"] == true && !document.has_example(parameter) {
                missing.push(format!("{name}: the parameter {}", parameter["name"]));
            }
        }
        let body = operation.pointer("/requestBody/content/application~1json");
        if body.is_some_and(|body| !document.has_example(body)) {
            missing.push(format!("{name}: the body"));
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[tokio::test]
async fn every_operation_has_examples_of_what_it_answers() {
    let document = Document::served().await;
    let mut missing = Vec::new();
    for (name, operation) in document.operations() {
        let responses = operation["responses"].as_object().unwrap().iter();
        for (status, response) in responses.filter(|(status, _)| status.starts_with('2')) {
            for (kind, content) in response["content"].as_object().into_iter().flatten() {
                if !document.has_example(content) {
                    missing.push(format!("{name}: {status} {kind}"));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[tokio::test]
async fn every_error_names_its_codes_and_every_code_is_somewhere() {
    let document = Document::served().await;
    let mut named = BTreeSet::new();
    for (name, operation) in document.operations() {
        for (status, response) in operation["responses"].as_object().unwrap() {
            if response.pointer("/content/application~1problem+json").is_none() {
                assert!(status < &"400".to_owned() || name == "get /readyz", "{name}: {status}");
                continue;
            }
            let description = response["description"].as_str().unwrap();
            let of_status = Code::ALL.iter().filter(|code| {
                code.status().as_str() == status
                    && description.contains(&format!("`{}`", code.as_str()))
            });
            let codes: BTreeSet<&str> = of_status.map(|code| code.as_str()).collect();
            assert!(!codes.is_empty(), "{name}: {status} names no code");
            named.extend(codes);
        }
    }
    let all: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(named, all);
}

#[tokio::test]
async fn every_limited_operation_says_what_is_left_and_that_it_may_refuse() {
    let document = Document::served().await;
    let mut limited = 0;
    for (name, operation) in document.operations() {
        let responses = operation["responses"].as_object().unwrap();
        assert_eq!(responses.contains_key("429"), name.contains(" /v1/"), "{name}");
        limited += usize::from(responses.contains_key("429"));
        let said = responses.iter().filter(|(status, _)| {
            name.contains(" /v1/") && (status.starts_with('2') || *status == "429")
        });
        for (status, response) in said {
            for header in ["RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"] {
                let described = document.resolved(&response["headers"][header]);
                assert_eq!(described["schema"]["type"], "integer", "{name} {status} {header}");
            }
            let waits = response["headers"].get("Retry-After").is_some();
            assert_eq!(waits, status == "429", "{name} {status}");
        }
    }
    assert!(limited > 40, "only {limited}");
}

#[tokio::test]
async fn scopes_have_the_names_in_the_document_that_bodies_have() {
    let document = Document::served().await;
    let named = &document.0["components"]["schemas"]["Scope"]["enum"];
    let scopes: Vec<&str> =
        doorbuster::auth::Scope::ALL.iter().map(|scope| scope.as_str()).collect();
    assert_eq!(named, &json!(scopes));
}
