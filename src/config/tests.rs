#![allow(clippy::unwrap_used)]

use super::layers::DEFAULTS;
use super::listing::masked;
use super::read::parts_per_million;
use super::*;
use crate::rate_limit::{Rate, Rule};
use proptest::prelude::*;

fn environment(pairs: &[(&str, &str)]) -> Sources {
    let environment =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Sources { environment, ..Sources::default() }
}

fn load(pairs: &[(&str, &str)]) -> Result<Config, ConfigError> {
    Config::load(&environment(pairs))
}

fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
    load(pairs).unwrap_err().problems
}

/// A file that is gone when the test is over.
struct File(PathBuf);

impl File {
    fn new(content: &str) -> Self {
        let name = format!("doorbuster-{}.toml", uuid::Uuid::now_v7());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, content).unwrap();
        Self(path)
    }

    fn sources(&self) -> Sources {
        Sources { files: vec![self.0.clone()], ..Sources::default() }
    }

    fn problems(&self) -> Vec<String> {
        Config::load(&self.sources()).unwrap_err().problems
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[test]
fn the_defaults_are_a_valid_configuration() {
    let config = load(&[]).unwrap();
    assert_eq!(config.env, Env::Development);
    assert_eq!(config.server.bind.to_string(), "127.0.0.1:8080");
    assert!(config.server.workers >= 1);
    assert_eq!(config.order.pay_within, Duration::from_secs(900));
    assert_eq!(config.journal.bytes_max, 8 * 1024 * 1024);
    assert_eq!(config.order.currency.as_str(), "GBP");
    assert!(config.postgres_url().is_err());
}

#[test]
fn every_default_is_documented_by_a_comment_directly_above() {
    let lines: Vec<_> = DEFAULTS.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair[1].contains(" = ")) {
        let (above, line) = (pair[0], pair[1]);
        assert!(line.starts_with('#') || above.starts_with("# "), "{line} is not documented");
    }
}

#[test]
fn every_default_is_read_and_everything_that_is_read_has_a_default() {
    // The reader itself complains about both: see `Reader::finish` and `Reader::expected`.
    let keys = load(&[]).unwrap().print().lines().count();
    let defaults = DEFAULTS.lines().filter(|line| !line.starts_with('#') && line.contains('='));
    assert_eq!(keys, defaults.count());
}

#[test]
fn command_line_beats_environment_beats_file_beats_default() {
    let (first, second) = (
        File::new("[order]\npay_within_seconds = 1\nshipping_price = 1\ncurrency = \"EUR\""),
        File::new("[order]\npay_within_seconds = 2\nshipping_price = 2\n"),
    );
    let mut sources = environment(&[
        ("DOORBUSTER__ORDER__PAY_WITHIN_SECONDS", "3"),
        ("DOORBUSTER__ORDER__TAX_RATE", "0.2"),
    ]);
    sources.files = vec![first.0.clone(), second.0.clone()];
    sources.overrides.insert("order.tax_rate".into(), "0.3".into());
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.order.tax_rate_ppm, 300_000);
    assert_eq!(config.order.pay_within, Duration::from_secs(3));
    assert_eq!(config.order.shipping_price, 2);
    assert_eq!(config.order.currency.as_str(), "EUR");
    let printed = config.print();
    for expected in [
        "order.tax_rate = \"0.3\"   # command line\n".to_owned(),
        "order.pay_within_seconds = 3   # environment DOORBUSTER__ORDER__PAY_WITHIN_SECONDS\n"
            .to_owned(),
        format!("order.shipping_price = 2   # file {} line 3\n", second.0.display()),
        "order.deadline_seconds = 5   # default\n".to_owned(),
    ] {
        assert!(printed.contains(&expected), "{expected} is not in\n{printed}");
    }
}

#[test]
fn the_environment_gives_lists_and_flags() {
    let config = load(&[
        ("DOORBUSTER__SERVER__CORS_ORIGINS", "https://a.example, http://b.example:8080"),
        ("DOORBUSTER__LIMITS__ENABLED", "false"),
        ("DOORBUSTER_ELSE", "not ours"),
    ])
    .unwrap();
    assert_eq!(config.server.cors_origins, ["https://a.example", "http://b.example:8080"]);
    assert!(!config.limits.enabled);
}

#[test]
fn an_unknown_setting_is_named_with_its_origin_and_a_suggestion() {
    let file = File::new("[server]\n\nbnid = \"x\"\n[quite]\nelse = 1\n[journal]\n");
    let path = file.0.display();
    let mut sources = file.sources();
    sources.environment.push(("DOORBUSTER__SERVER__BIMD".into(), "x".into()));
    sources.overrides.insert("shipping_price".into(), "1".into());
    let problems = Config::load(&sources).unwrap_err().problems;
    assert_eq!(
        problems,
        [
            format!("quite.else (from file {path} line 5): there is no such setting"),
            format!(
                "server.bnid (from file {path} line 3): there is no such setting; \
                 did you mean server.bind?"
            ),
            "DOORBUSTER__SERVER__BIMD (from environment): there is no such setting; did you \
             mean DOORBUSTER__SERVER__BIND?"
                .to_owned(),
            "shipping_price (from command line): there is no such setting; did you mean \
             order.shipping_price?"
                .to_owned(),
        ]
    );
    assert_eq!(
        File::new("server = 5").problems()[0].split_once("): ").unwrap().1,
        "expected a section with settings in it"
    );
}

#[test]
fn wrong_values_are_told_all_together_with_origin_and_expectation() {
    let file = File::new("[server]\nworkers = 1.5\n[log]\nformat = \"xml\"\n");
    let mut sources = file.sources();
    for (name, value) in [
        ("DOORBUSTER__ORDER__CURRENCY", "XQZ"),
        ("DOORBUSTER__POSTGRES__MIGRATE", "maybe"),
        ("DOORBUSTER__REDIS__URL", "nonsense://:hunter2@x"),
        ("DOORBUSTER__JOURNAL__LINES_MAX", "10"),
    ] {
        sources.environment.push((name.into(), value.into()));
    }
    let error = Config::load(&sources).unwrap_err();
    let path = file.0.display();
    for expected in [
        format!(
            "server.workers (from file {path} line 2): expected a whole number from 0 to 1024, \
             found \"1.5\""
        ),
        format!(
            "log.format (from file {path} line 4): expected \"text\" or \"json\", found \"xml\""
        ),
        "postgres.migrate (from environment DOORBUSTER__POSTGRES__MIGRATE): expected true or \
         false, found \"maybe\""
            .to_owned(),
        "journal.lines_max (from environment DOORBUSTER__JOURNAL__LINES_MAX): expected a whole \
         number from 2000 to 1000000, found 10"
            .to_owned(),
    ] {
        assert!(error.problems.contains(&expected), "{expected} is not in\n{error}");
    }
    assert_eq!(error.problems.len(), 6);
    assert!(!error.to_string().contains("hunter2"));
}

#[test]
fn broken_toml_is_told_with_file_line_and_column() {
    let file = File::new("[server]\nbind = \"127.0.0.1\n");
    let problem = file.problems().remove(0);
    let start = format!("the file {} is not valid TOML at line 2, column", file.0.display());
    assert!(problem.starts_with(&start), "{problem}");
    let twice = File::new("[server]\nworkers = 1\nworkers = 2\n").problems().remove(0);
    assert!(twice.contains("line 3, column 1: duplicate key"), "{twice}");
    let missing = Sources { files: vec!["/nowhere/at-all.toml".into()], ..Sources::default() };
    let problem = Config::load(&missing).unwrap_err().problems.remove(0);
    assert!(problem.starts_with("the file /nowhere/at-all.toml cannot be read: "), "{problem}");
}

#[test]
fn a_secret_comes_from_a_file_without_its_trailing_newline() {
    let file = File::new("sk_0123456789\n");
    let path = file.0.display().to_string();
    let config = load(&[("DOORBUSTER__ADMIN__SECRET_KEY_FILE", &path)]).unwrap();
    assert_eq!(config.admin.secret_key.expose(), "sk_0123456789");
    assert_eq!(
        problems(&[
            ("DOORBUSTER__ADMIN__SECRET_KEY_FILE", &path),
            ("DOORBUSTER__ADMIN__SECRET_KEY", "x"),
        ]),
        ["DOORBUSTER__ADMIN__SECRET_KEY and DOORBUSTER__ADMIN__SECRET_KEY_FILE are both given \
          (environment): give only one"]
    );
    assert_eq!(
        problems(&[("DOORBUSTER__SERVER__BIND_FILE", &path)]),
        ["DOORBUSTER__SERVER__BIND_FILE (from environment): server.bind is no secret, give it \
          directly"]
    );
    let missing = problems(&[("DOORBUSTER__ORDER__TOKEN_SECRET_FILE", "/nowhere")]).remove(0);
    assert!(missing.contains("the file /nowhere cannot be read"), "{missing}");
}

#[test]
fn neither_print_nor_debug_shows_a_secret() {
    let config = load(&[
        ("DOORBUSTER__ADMIN__SECRET_KEY", "hunter2"),
        ("DOORBUSTER__POSTGRES__URL", "postgres://shop:hunter2@db:5432/shop"),
        ("DOORBUSTER__REDIS__URL", "redis://:hunter2@cache:6379/0"),
    ])
    .unwrap();
    let printed = config.print();
    assert!(printed.contains("admin.secret_key = <set>   # environment"), "{printed}");
    assert!(printed.contains("order.token_secret = <unset>   # default"), "{printed}");
    assert!(printed.contains("postgres.url = \"postgres://shop:***@db:5432/shop\""), "{printed}");
    assert!(printed.contains("redis.url = \"redis://:***@cache:6379/0\""), "{printed}");
    let debug = format!("{config:?}{:?}{:?}", config.admin, config.postgres);
    assert!(!(printed + &debug).contains("hunter2"));
    assert_eq!(masked("host=db password=hunter2"), "<set>");
    assert_eq!(masked("postgres://db/shop?user=a&password=hunter2"), "<set>");
    assert_eq!(masked("postgres://a:hun@ter:2/x@db/shop"), "\"postgres://a:***@db/shop\"");
}

#[test]
fn production_refuses_what_is_only_safe_on_a_desk() {
    let wrong = problems(&[
        ("DOORBUSTER__ENV", "production"),
        ("DOORBUSTER__ADMIN__SECRET_KEY", "short"),
        ("DOORBUSTER__ORDER__TOKEN_SECRET", "change-me-change-me-change-me-change-me"),
        ("DOORBUSTER__POSTGRES__URL", "postgres://shop:postgres@db:5432/shop"),
        ("DOORBUSTER__PAYMENT__TEST_PROVIDER", "true"),
        ("DOORBUSTER__PAYMENT__RESOLVE_AFTER_SECONDS", "4"),
        ("DOORBUSTER__SERVER__CORS_ORIGINS", "*"),
        ("DOORBUSTER__LIMITS__ENABLED", "false"),
        ("DOORBUSTER__MAIL__URL", "file:///tmp/mails"),
        ("DOORBUSTER__MAIL__LINK_BASE", "http://shop.example"),
        ("DOORBUSTER__SERVER__TRUSTED_PROXIES", "10.0.0.0/8, ::/0"),
        ("DOORBUSTER__LIMITS__GUESSES_PER_ACCOUNT", "none"),
    ]);
    assert_eq!(wrong.len(), 11, "{wrong:?}");
    assert!(wrong.iter().all(|problem| problem.starts_with("in production ")));
    let said = wrong.concat();
    assert!(!["short", "change-me", "shop:postgres"].iter().any(|secret| said.contains(secret)));
    let missing = problems(&[("DOORBUSTER__ENV", "production")]);
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].starts_with("in production admin.secret_key must be set"), "{missing:?}");
    let key = "sk_6f1c0f7b3ad94e28b7516a0d9c2e4b85";
    let twice = problems(&[
        ("DOORBUSTER__ENV", "production"),
        ("DOORBUSTER__ADMIN__SECRET_KEY", key),
        ("DOORBUSTER__ORDER__TOKEN_SECRET", key),
    ]);
    assert!(twice[0].contains("must differ"), "{twice:?}");
    let config = load(&[
        ("DOORBUSTER__ENV", "production"),
        ("DOORBUSTER__ADMIN__SECRET_KEY", key),
        ("DOORBUSTER__POSTGRES__URL", "postgres://shop:9c2e4b85b7516a0d@db:5432/shop"),
        ("DOORBUSTER__SERVER__CORS_ORIGINS", "https://shop.example"),
        ("DOORBUSTER__MAIL__URL", "smtps://shop:9c2e4b85b7516a0d@mail:465"),
        ("DOORBUSTER__MAIL__LINK_BASE", "https://shop.example"),
        ("DOORBUSTER__SERVER__TRUSTED_PROXIES", "10.0.0.0/8"),
    ])
    .unwrap();
    assert!(!config.payment.test_provider);
}

#[test]
fn sources_say_that_they_are_production_even_if_they_are_wrong() {
    assert!(environment(&[("DOORBUSTER__ENV", "production")]).are_production());
    assert!(!environment(&[("DOORBUSTER__ADMIN__SECRET_KEY", "x")]).are_production());
}

#[test]
fn keys_are_kept_for_at_least_the_day_that_clients_are_promised() {
    for (name, hours) in [("IDEMPOTENCY_KEY_HOURS", "23"), ("OUTBOX_HOURS", "0")] {
        let problems = problems(&[(&format!("DOORBUSTER__RETENTION__{name}"), hours)]);
        assert!(problems[0].contains("a whole number from 24"), "{problems:?}");
    }
    let kept = load(&[("DOORBUSTER__RETENTION__IDEMPOTENCY_KEY_HOURS", "24")]).unwrap();
    assert_eq!(kept.retention.idempotency_keys, Duration::from_secs(86_400));
}

#[test]
fn mail_that_cannot_leave_is_noticed_at_the_start() {
    let problems = problems(&[
        ("DOORBUSTER__MAIL__URL", "smtps//shop:hunter2@mail.example"),
        ("DOORBUSTER__MAIL__FROM", "the shop"),
        ("DOORBUSTER__MAIL__LINK_BASE", "shop.example"),
    ]);
    assert_eq!(problems.len(), 3, "{problems:?}");
    assert!(!problems.concat().contains("hunter2"), "{problems:?}");
    let config = load(&[
        ("DOORBUSTER__MAIL__URL", "smtps://shop:hunter2@mail.example"),
        ("DOORBUSTER__MAIL__FROM", "Mugs <shop@mugs.example>"),
    ]);
    let config = config.unwrap();
    assert_eq!(config.mail.from.name.as_deref(), Some("Mugs"));
    assert!(config.print().contains("mail.url = \"smtps://shop:***@mail.example\""));
}

#[test]
fn settings_must_make_sense_together() {
    let problems = problems(&[
        ("DOORBUSTER__JOURNAL__QUEUE_MAX", "100"),
        ("DOORBUSTER__SERVER__DRAIN_SECONDS", "1"),
        ("DOORBUSTER__POSTGRES__WAIT_SECONDS", "9"),
    ]);
    assert_eq!(problems.len(), 5, "{problems:?}");
    assert!(
        problems[0].contains(
            "(journal.queue_max = 100 from environment DOORBUSTER__JOURNAL__QUEUE_MAX; \
             journal.batch_max = 200 from default)"
        ),
        "{problems:?}"
    );
}

#[test]
fn a_tax_rate_is_exact() {
    for (toml, rate) in [
        ("0.2", 200_000),
        ("\"0.2\"", 200_000),
        ("0.000001", 1),
        ("1", 1_000_000),
        ("\"1.0\"", 1_000_000),
        ("0.29", 290_000),
    ] {
        let file = File::new(&format!("order.tax_rate = {toml}"));
        assert_eq!(Config::load(&file.sources()).unwrap().order.tax_rate_ppm, rate, "{toml}");
    }
    for toml in ["20", "-0.1", "1.000001", "0.1234567", "2e-1", "nan", "\"\"", "\".2\"", "true"] {
        let problem = File::new(&format!("order.tax_rate = {toml}")).problems().remove(0);
        assert!(problem.contains("(0.2 means 20 %)"), "{toml}: {problem}");
    }
}

proptest! {
    #[test]
    fn every_rate_is_read_back_exactly(parts in 0u32..=1_000_000) {
        let text = format!("{}.{:06}", parts / 1_000_000, parts % 1_000_000);
        prop_assert_eq!(parts_per_million(&text), Some(parts));
        let short = text.trim_end_matches('0').trim_end_matches('.');
        prop_assert_eq!(parts_per_million(short), Some(parts));
    }

    #[test]
    fn no_text_makes_a_rate_above_one(text in "\\PC*") {
        prop_assert!(parts_per_million(&text).is_none_or(|rate| rate <= 1_000_000));
    }

    #[test]
    fn no_file_makes_loading_panic(text in "[a-z\\[\\]=\". 0-9\n#']{0,80}") {
        let _ = Config::load(&File::new(&text).sources());
    }
}

#[test]
fn rates_are_read_as_they_are_said_and_networks_as_they_are_written() {
    let config = load(&[
        ("DOORBUSTER__LIMITS__PER_ADDRESS", "none"),
        ("DOORBUSTER__LIMITS__PER_EMAIL", "7/minute burst 9"),
        ("DOORBUSTER__SERVER__TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7, fd00::/8"),
    ])
    .unwrap();
    let rates = &config.limits.rates;
    assert_eq!(rates.get(Rule::Address), None);
    assert_eq!(rates.get(Rule::Email), Rate::parse("7/minute burst 9"));
    assert!(rates.get(Rule::Guesses).is_some(), "the default");
    let networks = config.server.trusted_proxies.iter().map(ToString::to_string);
    assert_eq!(networks.collect::<Vec<_>>(), ["10.0.0.0/8", "192.0.2.7/32", "fd00::/8"]);
    let problems = load(&[
        ("DOORBUSTER__LIMITS__PER_ADDRESS", "many"),
        ("DOORBUSTER__SERVER__TRUSTED_PROXIES", "proxy.example"),
    ])
    .unwrap_err()
    .problems;
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems.iter().any(|problem| problem.starts_with("limits.per_address")));
    assert!(problems.iter().any(|problem| problem.starts_with("server.trusted_proxies")));
}
