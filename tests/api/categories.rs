//! The tree of categories.

use crate::harness::{Answer, App, gbp};
use reqwest::Method;
use serde_json::{Value, json};

async fn category(app: &App, title: &str, parent: Option<&Value>) -> Value {
    let mut body = json!({"title": title});
    if let Some(parent) = parent {
        body["parent_id"] = parent["id"].clone();
    }
    app.admin_post("/v1/admin/categories", &body).await.ok(201)
}

fn path(category: &Value) -> String {
    format!("/v1/admin/categories/{}", category["id"].as_str().unwrap())
}

#[tokio::test]
async fn the_store_shows_the_whole_tree_and_any_part_of_it() {
    let app = App::start().await;
    let home = category(&app, "Home", None).await;
    let kitchen = category(&app, "Kitchen", Some(&home)).await;
    category(&app, "Mugs", Some(&kitchen)).await;
    let garden = json!({"title": "Garden", "description": "Green.", "position": 1});
    let made = app.admin_post("/v1/admin/categories", &garden).await;
    let garden = made.ok(201);
    assert_eq!(made.header("location"), Some(path(&garden).as_str()));
    assert_eq!(made.header("etag"), Some("\"1\""));
    app.admin_patch(&path(&home), &json!({"position": 2})).await.ok(200);
    let answer = app.get("/v1/categories").await;
    let tree = answer.ok(200);
    let slugs = |nodes: &Value| -> Vec<String> {
        let nodes = nodes.as_array().unwrap().iter();
        nodes.map(|node| node["slug"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(slugs(&tree["items"]), ["garden", "home"]);
    assert_eq!(slugs(&tree["items"][1]["children"][0]["children"]), ["mugs"]);
    let shown = app.get("/v1/categories/kitchen").await.ok(200);
    assert_eq!(shown, tree["items"][1]["children"][0]);
    assert_eq!(answer.header("cache-control"), Some("public, max-age=1"));
    let tag = answer.header("etag").unwrap();
    let again = app.request(Method::GET, "/v1/categories").header("If-None-Match", tag);
    assert_eq!(Answer::of(again).await.status, 304);
    for unknown in ["none", "Home", "%00"] {
        app.get(&format!("/v1/categories/{unknown}")).await.problem(404, "not_found");
    }
    let list = app.admin_get("/v1/admin/categories?limit=3").await.ok(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 3);
    assert!(list["next_cursor"].is_string());
}

#[tokio::test]
async fn products_stand_in_categories_until_these_are_deleted() {
    let app = App::start().await;
    let (mugs, gifts) = (category(&app, "Mugs", None).await, category(&app, "Gifts", None).await);
    let body = json!({"title": "Mug", "category_ids": [mugs["id"], gifts["id"]],
        "variants": [{"sku": "MUG", "prices": [gbp(1)]}]});
    let made = app.admin_post("/v1/admin/products", &body).await.ok(201);
    assert_eq!(made["category_ids"], json!([mugs["id"], gifts["id"]]));
    let product = format!("/v1/admin/products/{}", made["id"].as_str().unwrap());
    assert_eq!(app.admin_delete(&path(&gifts)).await.status, 204);
    let left = app.admin_get(&product).await.ok(200);
    assert_eq!((&left["category_ids"], &left["version"]), (&json!([mugs["id"]]), &json!(2)));
    let none = app.admin_patch(&product, &json!({"category_ids": null})).await.ok(200);
    assert_eq!((&none["category_ids"], &none["version"]), (&json!([]), &json!(3)));
    for body in [json!({"title": "Cup", "category_ids": [gifts["id"]],
        "variants": [{"sku": "CUP", "prices": [gbp(1)]}]})]
    {
        let problem = app.admin_post("/v1/admin/products", &body).await;
        let problem = problem.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/category_ids/0");
    }
    app.database.assert_clean();
}

#[tokio::test]
async fn the_tree_stays_a_tree() {
    let app = App::start().await;
    let top = category(&app, "Top", None).await;
    let below = category(&app, "Below", Some(&top)).await;
    for (of, to) in [(&top, &top), (&top, &below)] {
        let moved = app.admin_patch(&path(of), &json!({"parent_id": to["id"]})).await;
        let problem = moved.problem(422, "validation_failed");
        assert_eq!(problem["errors"][0]["pointer"], "/parent_id");
    }
    app.admin_delete(&path(&top)).await.problem(409, "conflict");
    let up = app.admin_patch(&path(&below), &json!({"parent_id": null})).await.ok(200);
    assert_eq!((&up["parent_id"], &up["version"]), (&Value::Null, &json!(2)));
    assert_eq!(app.admin_delete(&path(&top)).await.status, 204);
    app.admin_delete(&path(&top)).await.problem(404, "not_found");
    let orphan = json!({"title": "Orphan", "parent_id": top["id"]});
    let orphan = app.admin_post("/v1/admin/categories", &orphan).await;
    assert_eq!(orphan.problem(422, "validation_failed")["errors"][0]["pointer"], "/parent_id");
}

#[tokio::test]
async fn two_moves_at_once_never_make_a_circle() {
    let app = App::start().await;
    for round in 0..5 {
        let (a, b) = (
            category(&app, &format!("A {round}"), None).await,
            category(&app, &format!("B {round}"), None).await,
        );
        let (first, second) = (json!({"parent_id": b["id"]}), json!({"parent_id": a["id"]}));
        let (pa, pb) = (path(&a), path(&b));
        let (first, second) =
            tokio::join!(app.admin_patch(&pa, &first), app.admin_patch(&pb, &second));
        let mut statuses = [first.status, second.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 422]);
    }
}

#[tokio::test]
async fn categories_are_changed_from_the_version_asked_for() {
    let app = App::start().await;
    let mugs = category(&app, "Mugs", None).await;
    let send = async |method: Method, tag: &str, body: &Value| {
        let request = app.admin(method, &path(&mugs)).header("If-Match", tag);
        Answer::of(request.json(body)).await
    };
    let title = json!({"title": "Cups"});
    send(Method::PATCH, "\"2\"", &title).await.problem(412, "version_conflict");
    let changed = send(Method::PATCH, "\"1\"", &title).await;
    assert_eq!(changed.ok(200)["slug"], "mugs");
    assert_eq!(changed.header("etag"), Some("\"2\""));
    assert_eq!(send(Method::PATCH, "\"2\"", &title).await.ok(200)["version"], 2);
    send(Method::DELETE, "\"1\"", &title).await.problem(412, "version_conflict");
    let other = category(&app, "Mugs", None).await;
    assert_eq!(other["slug"], "mugs-2");
    for (body, status, code, pointer) in [
        (json!({"slug": "mugs-2"}), 409, "conflict", "/slug"),
        (json!({"slug": "Mugs"}), 422, "validation_failed", "/slug"),
        (json!({"title": null}), 422, "validation_failed", "/title"),
        (json!({"position": -1}), 422, "validation_failed", "/position"),
        (json!({"description": "x".repeat(2_001)}), 422, "validation_failed", "/description"),
    ] {
        let problem = app.admin_patch(&path(&mugs), &body).await.problem(status, code);
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    app.get("/v1/admin/categories").await.problem(401, "unauthorized");
}
