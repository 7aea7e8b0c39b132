//! `[limits]`, and the networks that are trusted.

use super::Limits;
use super::read::Reader;
use crate::rate_limit::{Rate, Rates};
use ::config::ValueKind;
use ipnet::IpNet;
use std::net::IpAddr;

pub(super) fn limits(r: &mut Reader) -> Limits {
    Limits {
        enabled: r.flag("limits.enabled"),
        exports_max: r.number("limits.exports_max", 1..=100),
        export_stall: r.seconds("limits.export_stall_seconds", 1..=3_600),
        rates: Rates::of(|rule| rate(r, rule.setting())),
    }
}

fn rate(r: &mut Reader, key: &'static str) -> Option<Rate> {
    let expected = "\"10/second burst 600\" (or minute, or hour; each from 1 to 1000000), or \
                    \"none\"";
    let parse = |text: &str| match text {
        "none" => Some(None),
        text => Rate::parse(text).map(Some),
    };
    r.text(key, expected, parse).flatten()
}

/// Networks, or single addresses.
pub(super) fn networks(r: &mut Reader, key: &'static str) -> Vec<IpNet> {
    let network = |text: &str| {
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        text.parse::<IpNet>().ok().or_else(address)
    };
    let networks = match r.kind(key) {
        Some(ValueKind::Array(items)) => items
            .iter()
            .map(|item| match &item.kind {
                ValueKind::String(text) => network(text),
                _ => None,
            })
            .collect(),
        _ => None,
    };
    networks.unwrap_or_else(|| {
        r.expected(key, "a list of networks such as \"10.0.0.0/8\", or of addresses");
        Vec::new()
    })
}
