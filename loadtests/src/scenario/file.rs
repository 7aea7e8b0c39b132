//! The file of a scenario: where it is, what is set otherwise, and of which of two forms it is.

use super::preset::Preset;
use super::{Kind, Scenario};
use crate::journey::Journey;
use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// The scenarios that need no file: name and text.
pub const SHIPPED: &[(&str, &str)] = &[
    ("smoke", include_str!("../../scenarios/smoke.toml")),
    ("rush", include_str!("../../scenarios/rush.toml")),
    ("flash-sale", include_str!("../../scenarios/flash-sale.toml")),
    ("orders", include_str!("../../scenarios/orders.toml")),
    ("browse", include_str!("../../scenarios/browse.toml")),
    ("search", include_str!("../../scenarios/search.toml")),
    ("cart", include_str!("../../scenarios/cart.toml")),
    ("checkout", include_str!("../../scenarios/checkout.toml")),
    ("replay", include_str!("../../scenarios/replay.toml")),
    ("day", include_str!("../../scenarios/day.toml")),
    ("soak", include_str!("../../scenarios/soak.toml")),
    ("stairs", include_str!("../../scenarios/stairs.toml")),
    ("overload", include_str!("../../scenarios/overload.toml")),
];

/// What a file asks for.
#[derive(Debug, Clone)]
pub enum File {
    /// Requests that the generator mixes.
    Mixed(Box<Scenario>),
    /// A scenario of the command line.
    Preset(Box<Preset>),
}

impl File {
    /// Reads a file, or a shipped scenario by its name, with some keys set otherwise.
    pub fn load(file_or_name: &str, changes: &[String]) -> anyhow::Result<Self> {
        let (text, folder) = text_of(file_or_name)?;
        Self::read(&text, folder, changes).with_context(|| file_or_name.to_owned())
    }

    fn read(text: &str, folder: PathBuf, changes: &[String]) -> anyhow::Result<Self> {
        let mut table: Table = toml::from_str(text)?;
        for change in changes {
            set(&mut table, change).with_context(|| format!("--set {change}"))?;
        }
        let kind = table.get("kind").context("kind: missing")?.clone();
        let names = Journey::names();
        if names.iter().any(|name| kind.as_str() == Some(name)) {
            let preset: Preset = parse(text, table, changes)?;
            preset.check()?;
            return Ok(Self::Preset(Box::new(preset)));
        }
        if kind.clone().try_into::<Kind>().is_err() {
            bail!("kind = {kind}: expected buy, mixed, soak, stairs, {}", names.join(", "));
        }
        let mut scenario: Scenario = parse(text, table, changes)?;
        scenario.folder = folder;
        scenario.check()?;
        Ok(Self::Mixed(Box::new(scenario)))
    }
}

fn text_of(file_or_name: &str) -> anyhow::Result<(String, PathBuf)> {
    let path = Path::new(file_or_name);
    let shipped = SHIPPED.iter().find(|(name, _)| *name == file_or_name);
    if let (Some((_, text)), false) = (shipped, path.is_file()) {
        return Ok(((*text).to_owned(), PathBuf::new()));
    }
    let text = std::fs::read_to_string(path).with_context(|| {
        let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
        format!("{file_or_name}: no such file, and none of {}", names.join(", "))
    })?;
    Ok((text, path.parent().unwrap_or(Path::new("")).to_owned()))
}

/// What a key is called stands in the error; the text knows its line, too.
fn parse<T: DeserializeOwned>(text: &str, table: Table, changes: &[String]) -> anyhow::Result<T> {
    match changes {
        [] => Ok(toml::from_str(text)?),
        changes => {
            table.try_into().with_context(|| format!("with --set {}", changes.join(" --set ")))
        }
    }
}

/// Sets `goods.units=5` or `arrivals.0.rate=200`.  What is no TOML value is a text.
fn set(table: &mut Table, change: &str) -> anyhow::Result<()> {
    let (key, text) = change.split_once('=').context("expected key=value")?;
    let value = match toml::from_str::<Table>(&format!("value = {text}")) {
        Ok(mut read) if read.len() == 1 => read.remove("value").context("no value")?,
        _ => Value::String(text.to_owned()),
    };
    let mut path: Vec<&str> = key.trim().split('.').collect();
    let last = path.pop().context("no key")?;
    let mut place = table.entry(path.first().copied().unwrap_or(last)).or_insert_with(|| {
        if path.is_empty() { value.clone() } else { Value::Table(Table::new()) }
    });
    if path.is_empty() {
        *place = value;
        return Ok(());
    }
    for name in &path[1..] {
        place = step(place, name)?;
    }
    *step(place, last)? = value;
    Ok(())
}

fn step<'v>(value: &'v mut Value, name: &str) -> anyhow::Result<&'v mut Value> {
    match value {
        Value::Table(table) => Ok(table.entry(name).or_insert_with(|| Table::new().into())),
        Value::Array(items) => {
            let count = items.len();
            let item = name.parse::<usize>().ok().and_then(|n| items.get_mut(n));
            item.with_context(|| format!("{name}: expected a number below {count}"))
        }
        _ => bail!("{name}: there is nothing below a {}", value.type_str()),
    }
}
