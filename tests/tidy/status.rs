//! HTTP statuses stand where HTTP is spoken: in routes, in the middleware, with the error codes
//! and with the replies that are saved.

use super::scan::{Source, words};
use super::tree::{Finding, file_name, hold, planted, shipped};
use crate::MAY_KNOW_STATUSES;

fn may_know(source: &Source) -> bool {
    file_name(&source.path) == "routes.rs"
        || source.path.contains("/routes/")
        || source.is_among(MAY_KNOW_STATUSES)
}

fn stray_statuses(source: &Source) -> Vec<Finding> {
    if may_know(source) {
        return Vec::new();
    }
    let mend = "statuses stand in routes.rs, src/http/, src/error.rs and src/idempotency.rs; \
                elsewhere use a `Code` or a named kind of reply";
    let types = ["StatusCode", "HttpResponse"].into_iter();
    let types =
        types.flat_map(|word| words(&source.shipped, word).into_iter().map(move |at| (at, word)));
    let numbers = ["Reply::new(", "status: ", "status("].into_iter().flat_map(|before| {
        let ends = words(&source.shipped, before).into_iter().map(|at| at + before.len());
        ends.filter_map(|at| Some((at, status_at(&source.shipped, at)?)))
    });
    let mut found: Vec<(usize, &str)> = types.chain(numbers).collect();
    found.sort();
    found.into_iter().map(|(at, what)| source.finding(at, format!("`{what}`: {mend}"))).collect()
}

/// A number of three digits from 100 to 599.
fn status_at(code: &str, at: usize) -> Option<&str> {
    let rest = code[at..].trim_start();
    let end = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let number = rest[..end].parse::<u16>().ok()?;
    (100..600).contains(&number).then(|| &rest[..end])
}

#[test]
fn http_statuses_stand_only_where_http_is_spoken() {
    let sources = shipped();
    let known = sources
        .iter()
        .filter(|source| may_know(source) && !words(&source.shipped, "HttpResponse").is_empty());
    assert!(known.count() > 2, "hardly a file speaks HTTP: the rule looks for the wrong words");
    hold(&sources, stray_statuses);
}

#[test]
fn planted_statuses_are_found_outside_of_routes() {
    let text = "use actix_web::http::StatusCode;\nfn a() -> HttpResponse { b() }\n\
                fn c() { Reply::new(201, None) }\nstruct D { status: u16 }\n\
                fn e() { F { status: 404 } }\n/// A StatusCode.\nconst G: usize = 500;\n";
    for path in ["src/order/decide.rs", "src/auth.rs", "src/journal/mod.rs"] {
        assert_eq!(planted(stray_statuses, path, text), [1, 2, 3, 5], "{path}");
    }
    for path in ["src/order/routes.rs", "src/http/frame.rs", "src/error.rs"] {
        assert_eq!(planted(stray_statuses, path, text), [], "{path}");
    }
}
