//! The layers: which value each setting has and where it was given.

use super::Sources;
use ::config::{ConfigError, Map, Source, Value, ValueKind};
use std::collections::BTreeMap;
use std::path::Path;
use toml::de::{DeTable, DeValue};

/// The origin of values that nobody has set.
pub(super) const DEFAULT: &str = "default";

/// The lowest layer; its keys are the settings that exist, its values tell their types.
pub(super) const DEFAULTS: &str = include_str!("../../config/default.toml");

const PREFIX: &str = "DOORBUSTER__";

/// Settings that are never shown and may be read from a file.
const SECRETS: [&str; 2] = ["admin.secret_key", "order.token_secret"];

/// Settings whose password is never shown; they may be read from a file too.
const URLS: [&str; 4] = ["mail.url", "postgres.replica_url", "postgres.url", "redis.url"];

/// Values by dotted key; each knows its origin.
pub(super) type Values = BTreeMap<String, Value>;

/// Whether a setting is never shown.
pub(super) fn is_secret(key: &str) -> bool {
    SECRETS.contains(&key)
}

/// Whether a setting is a URL that may hold a password.
pub(super) fn is_url(key: &str) -> bool {
    URLS.contains(&key)
}

/// The value of every setting after all layers, and what was wrong with them.
pub(super) fn merge(sources: &Sources) -> (Values, Vec<String>) {
    let mut problems = Vec::new();
    let defaults =
        toml_layer(DEFAULTS, "default.toml", |_| DEFAULT.to_owned()).unwrap_or_else(|problem| {
            problems.push(problem);
            Map::new()
        });
    let mut builder = ::config::Config::builder().add_source(Layer(defaults.clone()));
    for path in &sources.files {
        let file = file_layer(path).unwrap_or_else(|problem| {
            problems.push(problem);
            Map::new()
        });
        builder = builder.add_source(Layer(known_only(file, &defaults, &mut problems)));
    }
    let environment = environment_layer(&sources.environment, &defaults, &mut problems);
    let command_line = sources.overrides.iter().map(|(key, text)| {
        let like = defaults.get(key).map(|value| &value.kind);
        (key.clone(), Value::new(Some(&"command line".to_owned()), typed(text, like)))
    });
    let command_line = known_only(command_line.collect(), &defaults, &mut problems);
    let merged = builder.add_source(Layer(environment)).add_source(Layer(command_line)).build();
    let mut values = Values::new();
    match merged {
        Ok(merged) => flatten("", merged.cache, &mut values),
        Err(error) => problems.push(error.to_string()),
    }
    (values, problems)
}

/// One layer as the `config` crate wants it: dotted keys with their values.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Turns nested tables into dotted keys.
fn flatten(prefix: &str, value: Value, into: &mut Values) {
    match value.kind {
        ValueKind::Table(table) => {
            for (key, value) in table {
                flatten(&dotted(prefix, &key), value, into);
            }
        }
        _ => {
            into.insert(prefix.to_owned(), value);
        }
    }
}

fn dotted(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

fn file_layer(path: &Path) -> Result<Map<String, Value>, String> {
    let name = path.display();
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the file {name} cannot be read: {error}"))?;
    toml_layer(&text, &name.to_string(), |line| format!("file {name} line {line}"))
}

/// Parses TOML; `origin` makes the origin of a value from its line.
fn toml_layer(
    text: &str,
    name: &str,
    origin: impl Fn(usize) -> String,
) -> Result<Map<String, Value>, String> {
    let table = DeTable::parse(text).map_err(|error| {
        let (line, column) = position(text, error.span().map_or(0, |span| span.start));
        let message = error.message().replace('\n', ", ");
        format!("the file {name} is not valid TOML at line {line}, column {column}: {message}")
    })?;
    let mut values = Map::new();
    let origin = |offset| origin(position(text, offset).0);
    walk("", table.into_inner(), &origin, &mut values);
    Ok(values)
}

fn walk(
    prefix: &str,
    table: DeTable<'_>,
    origin: &dyn Fn(usize) -> String,
    into: &mut Map<String, Value>,
) {
    for (key, value) in table {
        let origin_here = origin(key.span().start);
        let path = dotted(prefix, key.get_ref());
        match value.into_inner() {
            DeValue::Table(inner) if !inner.is_empty() => walk(&path, inner, origin, into),
            other => {
                into.insert(path, Value::new(Some(&origin_here), kind(other)));
            }
        }
    }
}

/// A decimal number stays text: what it means exactly is decided by whoever reads it.
fn kind(value: DeValue<'_>) -> ValueKind {
    match value {
        DeValue::String(text) => ValueKind::String(text.into_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| ValueKind::String(number.to_string()), ValueKind::I64),
        DeValue::Float(number) => ValueKind::String(number.as_str().to_owned()),
        DeValue::Boolean(flag) => ValueKind::Boolean(flag),
        DeValue::Datetime(time) => ValueKind::String(time.to_string()),
        DeValue::Array(items) => ValueKind::Array(
            items.into_iter().map(|item| Value::new(None, kind(item.into_inner()))).collect(),
        ),
        DeValue::Table(_) => ValueKind::Table(Map::new()),
    }
}

/// Line and column of a byte offset, both from 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let column = before[line_start..].chars().count() + 1;
    (before.matches('\n').count() + 1, column)
}

/// Drops settings that do not exist and says so.
fn known_only(
    layer: Map<String, Value>,
    defaults: &Map<String, Value>,
    problems: &mut Vec<String>,
) -> Map<String, Value> {
    let is_section = |key: &str| {
        let start = format!("{key}.");
        defaults.keys().any(|known| known.starts_with(&start))
    };
    let (known, unknown): (Map<_, _>, Map<_, _>) =
        layer.into_iter().partition(|(key, _)| defaults.contains_key(key));
    let mut unknown: Vec<_> = unknown.into_iter().collect();
    unknown.sort_by(|a, b| a.0.cmp(&b.0));
    for (key, value) in unknown {
        let origin = value.origin().unwrap_or_default();
        match (is_section(&key), &value.kind) {
            (true, ValueKind::Table(_)) => {} // an empty section
            (true, _) => problems
                .push(format!("{key} (from {origin}): expected a section with settings in it")),
            _ => {
                let hint = suggestion(&key, defaults.keys().map(String::as_str));
                problems.push(format!("{key} (from {origin}): there is no such setting{hint}"));
            }
        }
    }
    known
}

fn environment_layer(
    environment: &[(String, String)],
    defaults: &Map<String, Value>,
    problems: &mut Vec<String>,
) -> Map<String, Value> {
    let variable = |key: &str| format!("{PREFIX}{}", key.replace('.', "__").to_uppercase());
    let known: BTreeMap<String, &String> =
        defaults.keys().map(|key| (variable(key), key)).collect();
    let mut values = Map::new();
    for (name, text) in environment.iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let from_file = name.strip_suffix("_FILE").filter(|_| !known.contains_key(name));
        let Some(&key) = known.get(from_file.unwrap_or(name)) else {
            let hint = suggestion(name, known.keys().map(String::as_str));
            problems.push(format!("{name} (from environment): there is no such setting{hint}"));
            continue;
        };
        let text = match from_file {
            None => Ok(text.clone()),
            Some(direct) if environment.iter().any(|(other, _)| other == direct) => {
                Err(format!("{direct} and {name} are both given (environment): give only one"))
            }
            Some(_) => secret_file(name, key, text),
        };
        match text {
            Ok(text) => {
                let kind = typed(&text, defaults.get(key).map(|value| &value.kind));
                let origin = format!("environment {name}");
                values.insert(key.clone(), Value::new(Some(&origin), kind));
            }
            Err(problem) => problems.push(problem),
        }
    }
    values
}

/// The value in the file that `DOORBUSTER__…_FILE` names.
fn secret_file(name: &str, key: &str, path: &str) -> Result<String, String> {
    if !is_secret(key) && !is_url(key) {
        return Err(format!("{name} (from environment): {key} is no secret, give it directly"));
    }
    let text = std::fs::read_to_string(path).map_err(|error| {
        format!("{key} (from environment {name}): the file {path} cannot be read: {error}")
    })?;
    let line = text.strip_suffix('\n').unwrap_or(&text);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// Text from outside of TOML takes the type that the default has; what does not fit stays text.
fn typed(text: &str, like: Option<&ValueKind>) -> ValueKind {
    match like {
        Some(ValueKind::I64(_)) => text.trim().parse::<i64>().map(ValueKind::I64).ok(),
        Some(ValueKind::Boolean(_)) => match text.trim() {
            "true" | "1" => Some(ValueKind::Boolean(true)),
            "false" | "0" => Some(ValueKind::Boolean(false)),
            _ => None,
        },
        Some(ValueKind::Array(_)) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Some(ValueKind::from(items.map(str::to_owned).collect::<Vec<_>>()))
        }
        _ => None,
    }
    .unwrap_or_else(|| ValueKind::String(text.to_owned()))
}

/// `; did you mean x?`, if a known name is near.
fn suggestion<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    // A setting given without its section is near too.
    let near = |candidate: &str| {
        let tail = candidate.rsplit('.').next().unwrap_or(candidate);
        strsim::normalized_damerau_levenshtein(name, candidate)
            .max(strsim::normalized_damerau_levenshtein(name, tail))
    };
    known
        .map(|candidate| (near(candidate), candidate))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(score, _)| *score >= 0.6)
        .map_or_else(String::new, |(_, candidate)| format!("; did you mean {candidate}?"))
}
