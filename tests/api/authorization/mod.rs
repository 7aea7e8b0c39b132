//! Every operation asked by everybody, beside a table that was written by hand.

mod requests;
mod world;

use crate::harness::{Answer, App, fresh_key};
use doorbuster::http::{Endpoint, endpoints};
use requests::{Ask, ask};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use world::{PRINCIPALS, World};

/// What the table says of an operation.
struct Row {
    scope: Option<&'static str>,
    cells: Vec<u16>,
}

/// The table: operation, scope, and the status of each principal.
fn table() -> BTreeMap<&'static str, Row> {
    let lines = include_str!("../data/authorization.txt").lines();
    let lines = lines.filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let row = |line: &'static str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let cells: Vec<u16> = words[2..].iter().map(|cell| cell.parse().unwrap()).collect();
        assert_eq!(cells.len(), PRINCIPALS.len(), "{line}");
        (words[0], Row { scope: Some(words[1]).filter(|scope| *scope != "-"), cells })
    };
    let rows: Vec<_> = lines.map(row).collect();
    let (count, table) = (rows.len(), BTreeMap::from_iter(rows));
    assert_eq!(table.len(), count, "an operation has two rows");
    table
}

/// What ends an account, a password or a token of the customers': each request gets new ones.
const ENDING: &[&str] = &[
    "delete_customer",
    "update_password",
    "verify_email",
    "confirm_password_reset",
    "claim_order",
];

/// One request; the answer, and what is wrong with it.
async fn cell(
    world: &World,
    endpoint: &Endpoint,
    ask: &Ask,
    request: reqwest::RequestBuilder,
    is_stranger: bool,
) -> (Answer, Option<String>) {
    let before = world.rows().await;
    let answer = Answer::of(request).await;
    let after = world.rows().await;
    let changed: Vec<&str> =
        before.iter().zip(&after).filter(|(a, b)| a != b).map(|(a, _)| &*a.0).collect();
    let mut wrong = None;
    if answer.status >= 400 && !changed.is_empty() {
        wrong = Some(format!("was refused, but changed {changed:?}"));
    }
    if answer.status < 400 && must_be_logged(endpoint) && !changed.contains(&"audit_log") {
        wrong = Some("is not in the audit log".to_owned());
    }
    let text = String::from_utf8_lossy(&answer.bytes);
    if is_stranger
        && answer.status < 400
        && ask.private.iter().any(|private| text.contains(private))
    {
        wrong = Some(format!("reads what is another's: {text}"));
    }
    (answer, wrong)
}

/// Every change of staff and keys is; logging in and out changes nothing of the shop.
fn must_be_logged(endpoint: &Endpoint) -> bool {
    let is_change = endpoint.path.starts_with("/v1/admin/") && endpoint.method != "GET";
    let is_session = ["create_staff_login", "delete_staff_session", "accept_invitation"];
    // A role with the one scope that all have who may change it stays as it is.
    is_change && !is_session.contains(&endpoint.operation) && endpoint.operation != "update_role"
}

fn path(endpoint: &Endpoint, ask: &Ask) -> String {
    let (before, rest) = endpoint.path.split_once('{').unwrap_or((endpoint.path, ""));
    let after = rest.split_once('}').map_or("", |(_, after)| after);
    let id = if rest.is_empty() { "" } else { &ask.id };
    format!("{before}{id}{after}{}", ask.query)
}

#[tokio::test]
async fn everybody_may_do_what_the_table_says_and_nothing_else_and_a_refusal_changes_nothing() {
    let (table, world) = (table(), World::new().await);
    let doorkeeper = json!({"name": "doorkeeper", "scopes": ["staff:write"]});
    world.make("/v1/admin/roles", &doorkeeper).await;
    world.product().await;
    let (mut wrong, mut cells) = (Vec::new(), 0);
    for endpoint in endpoints() {
        let Some(row) = table.get(endpoint.operation) else { continue };
        let mut customers = world.customers().await;
        for (principal, expected) in PRINCIPALS.iter().zip(&row.cells) {
            if ENDING.contains(&endpoint.operation) {
                customers = world.customers().await;
            }
            let ask = ask(&world, &customers, endpoint.operation).await;
            let method = Method::from_bytes(endpoint.method.as_str().as_bytes()).unwrap();
            let request = world.app.request(method, &path(&endpoint, &ask));
            let request = match &ask.body {
                Some(body) => request.json(body).header("Idempotency-Key", fresh_key()),
                None => request,
            };
            let is_about_staff = endpoint.path.starts_with("/v1/admin/session");
            let request =
                world.signed(request, principal, &customers, row.scope, is_about_staff).await;
            let is_stranger = ["nobody", "guest", "other", "pk"].contains(principal);
            let (answer, found) = cell(&world, &endpoint, &ask, request, is_stranger).await;
            cells += 1;
            let name = format!("{} by {principal}", endpoint.operation);
            if answer.status != *expected {
                let text = String::from_utf8_lossy(&answer.bytes);
                wrong.push(format!("{name}: {} instead of {expected}: {text}", answer.status));
            }
            wrong.extend(found.map(|found| format!("{name}: {found}")));
        }
    }
    println!("{} operations, {} principals, {cells} cells", table.len(), PRINCIPALS.len());
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(cells, table.len() * PRINCIPALS.len(), "a row without an operation");
    world.app.database.assert_clean();
}

#[tokio::test]
async fn every_operation_has_a_row_and_somebody_who_may_ask_for_it() {
    let table = table();
    let mut operations: BTreeSet<String> =
        endpoints().iter().map(|endpoint| endpoint.operation.to_owned()).collect();
    let app = App::start().await;
    let document = app.get("/openapi.json").await.ok(200);
    for methods in document["paths"].as_object().unwrap().values() {
        let ids = methods.as_object().unwrap().values();
        operations.extend(ids.filter_map(|o| o["operationId"].as_str()).map(str::to_owned));
    }
    let rows: BTreeSet<String> = table.keys().map(|name| (*name).to_owned()).collect();
    assert_eq!(rows, operations, "each operation has a row in tests/api/data/authorization.txt");
    let closed: Vec<&str> = table
        .iter()
        .filter(|(_, row)| !row.cells.iter().any(|status| (200..300).contains(status)))
        .map(|(name, _)| *name)
        .collect();
    // Their own tests show that they work: here nothing has been set up that they could end.
    assert_eq!(closed, ["confirm_totp", "remove_totp"]);
}

#[tokio::test]
async fn ids_of_others_in_queries_and_cursors_show_nothing() {
    let world = World::new().await;
    let customers = world.customers().await;
    let orders = [0, 1].map(|_| world.invoiced_order(&customers));
    let [first, second] = futures_util::future::join_all(orders).await.try_into().unwrap();
    let get = async |token: &str, path: &str| -> Value {
        Answer::of(world.app.request(Method::GET, path).bearer_auth(token)).await.ok(200)
    };
    let mine = get(&customers.token, "/v1/orders?limit=1").await;
    let cursor = mine["next_cursor"].as_str().expect("a second page");
    let eve = world.customer_token(&customers.eve).await;
    let hers = get(&eve, &format!("/v1/orders?cursor={cursor}")).await;
    assert_eq!(hers["items"], json!([]));
    let path = format!("/v1/orders/{}", first["id"].as_str().unwrap());
    let other = second["access_token"].as_str().unwrap();
    let request = world.app.request(Method::GET, &path).header("X-Order-Token", other);
    Answer::of(request).await.problem(404, "not_found");
}
