//! What is only safe on a desk, and refused in production.

use super::read::Reader;
use super::{Config, strength};
use crate::mail::Way;
use crate::rate_limit::Rule;

/// Notes each setting that must not be so in production.
pub(super) fn check(config: &Config, r: &mut Reader) {
    check_secrets(config, r);
    let payment = &config.payment;
    r.together(
        &["env", "payment.test_provider"],
        !payment.test_provider,
        "in production payment.test_provider must be false: it takes no money",
    );
    r.together(
        &["env", "payment.timeout_seconds", "payment.resolve_after_seconds"],
        payment.timeout < payment.resolve_after,
        "in production payment.timeout_seconds must be below payment.resolve_after_seconds, or a \
         payment is asked about that is still being asked for",
    );
    r.together(
        &["env", "mail.url"],
        !Way::is_folder(config.mail.url.expose()),
        "in production mail.url must not be a folder: nobody gets those mails",
    );
    r.together(
        &["env", "mail.link_base", "mail.url"],
        config.mail.url.is_empty() || config.mail.link_base.starts_with("https://"),
        "in production mail.link_base must begin with https://, because the links carry secrets",
    );
    r.together(
        &["env", "server.trusted_proxies"],
        config.server.trusted_proxies.iter().all(|network| network.prefix_len() > 0),
        "in production server.trusted_proxies must not be everybody, or clients say who they are",
    );
    r.together(
        &["env", "limits.guesses_per_account"],
        config.limits.rates.get(Rule::Guesses).is_some(),
        "in production limits.guesses_per_account must be a rate, or passwords can be guessed",
    );
    r.together(
        &["env", "server.cors_origins"],
        config.server.cors_origins.iter().all(|origin| origin != "*"),
        "in production server.cors_origins must name the origins, not \"*\"",
    );
    r.together(
        &["env", "limits.enabled"],
        config.limits.enabled,
        "in production limits.enabled must be true: it is off only to measure",
    );
}

fn check_secrets(config: &Config, r: &mut Reader) {
    let (admin_key, token_secret) = (&config.admin.secret_key, &config.order.token_secret);
    for (keys, secret) in
        [(["env", "admin.secret_key"], admin_key), (["env", "order.token_secret"], token_secret)]
    {
        // Without one, tokens are derived from what the database keeps, and nobody is staff.
        if let Some(weakness) = strength::weakness(secret.expose()).filter(|_| !secret.is_empty())
        {
            r.together(&keys, false, &format!("in production {} {weakness}", keys[1]));
        }
    }
    r.together(
        &["env", "admin.secret_key"],
        !admin_key.is_empty(),
        "in production admin.secret_key must be set: it opens /v1/admin when no staff can",
    );
    r.together(
        &["env", "admin.secret_key", "order.token_secret"],
        admin_key.is_empty() || admin_key != token_secret,
        "in production admin.secret_key and order.token_secret must differ",
    );
    let database = config.postgres.url.expose().parse::<tokio_postgres::Config>();
    let is_guessable = |database: tokio_postgres::Config| {
        let password = database.get_password();
        password.is_some_and(|password| strength::is_first_tried(database.get_user(), password))
    };
    r.together(
        &["env", "postgres.url"],
        !database.is_ok_and(is_guessable),
        "in production the password in postgres.url must not be one that everybody tries first",
    );
}
