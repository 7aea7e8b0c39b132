//! Who and where: e-mail and postal addresses, and what makes one acceptable.

use crate::error::Violations;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Characters of a name or a line of an address, at most.
pub const TEXT_MAX: usize = 200;

/// A postal address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Who receives.
    #[schema(
        example = "Ada Lovelace",
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"
    )]
    pub name: String,
    /// Street and number.
    #[schema(
        example = "12 St James's Square",
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"
    )]
    pub line1: String,
    /// More of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub line2: Option<String>,
    /// City.
    #[schema(
        example = "London",
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\x00]*[^\s\x00][^\x00]*$"
    )]
    pub city: String,
    /// State or county.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub region: Option<String>,
    /// Postal code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "SW1Y 4JH", max_length = 200)]
    pub postal_code: Option<String>,
    /// ISO 3166-1 alpha-2.
    #[schema(example = "GB", pattern = "^[A-Z]{2}$")]
    pub country: String,
    /// For the carrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 200)]
    pub phone: Option<String>,
}

impl Address {
    /// Notes what is wrong with the address that stands at the JSON pointer `pointer`.
    pub fn check(&self, pointer: &str, violations: &mut Violations) {
        let at = |field: &str| format!("{pointer}/{field}");
        let required = [("name", &self.name), ("line1", &self.line1), ("city", &self.city)];
        for (field, text) in required {
            let is_filled = !text.trim().is_empty() && text.chars().count() <= TEXT_MAX;
            violations.require(is_filled, at(field), "must have 1 to 200 characters");
        }
        let optional = [
            ("line2", &self.line2),
            ("region", &self.region),
            ("postal_code", &self.postal_code),
            ("phone", &self.phone),
        ];
        for (field, text) in optional {
            let is_short = text.as_ref().is_none_or(|text| text.chars().count() <= TEXT_MAX);
            violations.require(is_short, at(field), "must have at most 200 characters");
        }
        let is_country = self.country.bytes().all(|letter| letter.is_ascii_uppercase())
            && rust_iso3166::from_alpha2(&self.country).is_some();
        let detail = "must be an ISO 3166-1 alpha-2 code in capitals";
        violations.require(is_country, at("country"), detail);
    }
}

/// An e-mail address as documents describe it; [`is_email`] judges it.
#[derive(ToSchema)]
#[schema(
    value_type = String, example = "ada@example.com", min_length = 5, max_length = 254,
    pattern = r"^[^@\s\x00-\x1f\x7f-\x9f]+@[^@\s\x00-\x1f\x7f-\x9f]*\.[^@\s\x00-\x1f\x7f-\x9f]*$"
)]
pub struct Email(#[expect(dead_code, reason = "describes a text")] String);

/// One `@` with something on both sides and no white space: the rest is for the mail server.
pub fn is_email(text: &str) -> bool {
    let parts = text.split_once('@');
    let is_plain = !text.chars().any(|c| c.is_whitespace() || c.is_control());
    let has_parts = parts.is_some_and(|(local, domain)| {
        !local.is_empty() && domain.len() > 2 && domain.contains('.') && !domain.contains('@')
    });
    text.len() <= 254 && is_plain && has_parts
}
