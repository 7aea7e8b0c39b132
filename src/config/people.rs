//! Customers, staff, and the mails that they get.

use super::read::Reader;
use super::{Customer, Mail, Staff};
use crate::mail::Way;
use actix_web::http::Uri;

pub(super) fn customer(r: &mut Reader) -> Customer {
    Customer {
        password_threads: r.number("customer.password_threads", 1..=64),
        password_queue_max: r.number("customer.password_queue_max", 1..=100_000),
    }
}

pub(super) fn staff(r: &mut Reader) -> Staff {
    Staff {
        session_idle: 60 * r.seconds("staff.session_idle_minutes", 1..=60 * 24 * 30),
        session_absolute: 60 * 60 * r.seconds("staff.session_absolute_hours", 1..=24 * 30),
    }
}

pub(super) fn mail(r: &mut Reader) -> Option<Mail> {
    let expected = "a URL such as \"smtps://user:password@host\" or \"file:///folder\"";
    let url = r.secret("mail.url", expected, |text| Way::of(text).is_some());
    let from = "an address such as \"Shop <shop@shop.example>\"";
    let from = r.text("mail.from", from, |text| text.parse().ok());
    let link_base = r.text("mail.link_base", "a URL such as \"https://shop.example\"", |text| {
        let is_url = text.starts_with("https://") || text.starts_with("http://");
        let is_plain = text.parse::<Uri>().is_ok() && !text.contains(['?', '#', '"', '<', '>']);
        (is_url && is_plain).then(|| text.to_owned())
    });
    Some(Mail { url, from: from?, link_base: link_base? })
}
