//! Lists, filters, facets, cursors and search.

use crate::harness::{Answer, App, Database, gbp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Titles on the page that a query shows.
async fn titles(app: &App, query: &str) -> Vec<String> {
    let page = app.get(&format!("/v1/products?{query}")).await.ok(200);
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["title"].as_str().unwrap().to_owned()).collect()
}

/// Titles on all pages.
async fn all_titles(app: &App, query: &str, limit: usize) -> Vec<String> {
    let (mut titles, mut cursor) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/products?{query}&limit={limit}{cursor}");
        let page = app.get(&path).await.ok(200);
        for item in page["items"].as_array().unwrap() {
            titles.push(item["title"].as_str().unwrap().to_owned());
        }
        let Some(next) = page["next_cursor"].as_str() else { break titles };
        cursor = format!("&cursor={next}");
    }
}

async fn product(app: &App, title: &str, more: Value) -> String {
    let mut body = json!({"title": title,
        "variants": [{"sku": title.replace(' ', "-"), "prices": [gbp(100)]}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = app.admin_post("/v1/admin/products", &body).await.ok(201);
    made["id"].as_str().unwrap().to_owned()
}

async fn execute(app: &App, sql: &str) {
    app.database.connect().await.batch_execute(sql).await.unwrap();
}

async fn finds_in_the_end(app: &App, query: &str, count: usize) {
    let is_so = |answer: &Answer| answer.ok(200)["items"].as_array().unwrap().len() == count;
    app.until(&format!("/v1/products?{query}"), is_so).await;
}

/// A catalog drawn by the database: 300 products in a tree of categories.
async fn drawn() -> App {
    let app = App::start().await;
    execute(
        &app,
        "SELECT setseed(0.42);
         INSERT INTO categories (id, slug, title, parent_id)
         SELECT lpad(n::text, 32, '0')::uuid, 'c' || n, 'Category ' || n,
             CASE WHEN n > 1 THEN lpad((n / 2)::text, 32, '0')::uuid END
         FROM generate_series(1, 15) n;
         INSERT INTO collections (id, slug, title)
         SELECT lpad(n::text, 32, 'a')::uuid, 'l' || n, 'Collection ' || n
         FROM generate_series(1, 4) n;
         INSERT INTO products (id, slug, title, status, tags)
         SELECT gen_random_uuid(), 'p' || n,
             (ARRAY['Red','Blue','Green'])[1 + (random() * 2)::int] || ' '
                 || (ARRAY['mug','bowl','plate','Lamp'])[1 + (random() * 3)::int] || ' '
                 || (n % 40),
             CASE WHEN n % 17 = 0 THEN 'draft' ELSE 'active' END,
             ARRAY(SELECT DISTINCT 't' || (random() * 9)::int FROM generate_series(0, n % 4))
         FROM generate_series(1, 300) n;
         INSERT INTO variants (id, product_id, sku, position, options, archived_at)
         SELECT gen_random_uuid(), id, slug || '-' || k, k,
             jsonb_build_object('size', (ARRAY['S','M','L'])[1 + (random() * 2)::int]),
             CASE WHEN random() < 0.2 THEN now() END
         FROM products, generate_series(1, 2) k;
         INSERT INTO prices (variant_id, currency, amount)
         SELECT id, c, 100 + (random() * 20)::int FROM variants, unnest('{GBP,EUR}'::text[]) c
         WHERE c = 'GBP' OR random() < 0.5;
         INSERT INTO stock (variant_id, location_id, supplied, available)
         SELECT v.id, l.id, u, u FROM variants v, locations l, LATERAL (
             SELECT (v.position + random() * 2)::int % 3 AS u) s;
         INSERT INTO product_categories SELECT DISTINCT p.id,
             lpad((1 + (random() * 14)::int)::text, 32, '0')::uuid
         FROM products p, generate_series(1, 2) k WHERE p.id IS NOT NULL;
         INSERT INTO collection_products SELECT lpad((1 + n % 4)::text, 32, 'a')::uuid, id, n::int
         FROM (SELECT id, row_number() OVER () AS n FROM products) p WHERE random() < 0.6;",
    )
    .await;
    app
}

/// The real catalog, if it is there; it is not part of the repository.
fn real_catalog() -> Option<PathBuf> {
    let folder = std::env::var_os("DOORBUSTER_REAL_DATA").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| PathBuf::from("../shared/data/online-retail"));
    Some(folder.join("catalog.csv")).filter(|file| file.exists())
}

#[tokio::test]
async fn fifty_misspelt_queries_find_what_a_person_means() {
    let Some(file) = real_catalog() else {
        eprintln!("SKIPPED: no real catalog; name its folder in DOORBUSTER_REAL_DATA");
        return;
    };
    let database = Database::new().await;
    let mut import = Command::new(env!("CARGO_BIN_EXE_doorbuster"));
    import.args(["import", "catalog"]).arg(file).args(["--database", &database.url]);
    assert!(import.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
    let app = App::with(&database, &[]).await;
    let lines = include_str!("data/typos.tsv").lines().filter(|line| !line.starts_with('#'));
    let (mut count, mut first, mut missed) = (0, 0, Vec::new());
    for line in lines {
        let (query, meant) = line.split_once('\t').unwrap();
        let meant: Vec<&str> = meant.split(" | ").collect();
        let found = titles(&app, &format!("q={}", query.replace(' ', "+"))).await;
        let place = found.iter().position(|title| meant.contains(&title.trim()));
        count += 1;
        first += usize::from(place == Some(0));
        if place.is_none_or(|place| place > 4) {
            missed.push(format!("{query}: {place:?} of {found:?}"));
        }
    }
    eprintln!("{first} of {count} on the first place");
    assert_eq!((count, missed), (50, Vec::new()), "all are among the first five");
}

/// Whether any variant of the product `p` is there.
const THERE: &str = "EXISTS (SELECT FROM variants v JOIN stock s ON s.variant_id = v.id
    WHERE v.product_id = p.id AND v.archived_at IS NULL AND s.available > 0)";

/// Facets, and where SQL finds their values `t` of the product `p`.
const SOURCES: [(&str, &str); 5] = [
    ("tag", "unnest(p.tags) t"),
    (
        "in_stock",
        "(SELECT (EXISTS (SELECT FROM variants v JOIN stock s ON s.variant_id = v.id
        WHERE v.product_id = p.id AND v.archived_at IS NULL AND s.available > 0))::text) s (t)",
    ),
    (
        "option.size",
        "(SELECT v.options->>'size' FROM variants v
        WHERE v.product_id = p.id AND v.archived_at IS NULL) v (t)",
    ),
    (
        "collection",
        "(SELECT c.slug FROM collections c JOIN collection_products l
        ON l.collection_id = c.id WHERE l.product_id = p.id) c (t)",
    ),
    (
        "category",
        "(WITH RECURSIVE up (id) AS (
        SELECT category_id FROM product_categories WHERE product_id = p.id UNION
        SELECT c.parent_id FROM up JOIN categories c ON c.id = up.id)
        SELECT slug FROM up JOIN categories USING (id)) c (t)",
    ),
];

#[tokio::test]
async fn facet_counts_equal_the_counts_of_sql() {
    let app = drawn().await;
    let place = "id IN (SELECT product_id FROM product_categories WHERE category_id IN (
        WITH RECURSIVE b (id) AS (SELECT id FROM categories WHERE slug = 'c2' UNION
            SELECT c.id FROM b JOIN categories c ON c.parent_id = b.id) SELECT id FROM b))";
    let lowest = "(SELECT min(amount) FROM prices r JOIN variants v ON v.id = r.variant_id
        WHERE v.product_id = p.id AND v.archived_at IS NULL AND r.currency = 'EUR')";
    let sized = "EXISTS (SELECT FROM variants v WHERE v.product_id = p.id
        AND v.archived_at IS NULL AND v.options->>'size' IN ('S', 'L'))";
    let cheap = format!("{lowest} BETWEEN 105 AND 110");
    for (query, condition) in [
        ("", "true"),
        ("category=c2", place),
        ("tag=t1&tag=t2", "tags @> '{t1,t2}'"),
        ("q=red+lamp", "title ILIKE '%red%' AND title ILIKE '%lamp%'"),
        ("option.size=S&option.size=L", sized),
        ("in_stock=false&q=mug", &format!("NOT {THERE} AND title ILIKE '%mug%'")),
        ("price_min=105&price_max=110", &cheap),
        (
            "collection=l2&tag=t3",
            "tags @> '{t3}' AND EXISTS (SELECT FROM collection_products c
            WHERE c.product_id = p.id AND c.collection_id::text LIKE '%2')",
        ),
        ("tag=unheard", "false"),
    ] {
        let facets = "facets=category,collection,tag,price,in_stock,option.size&currency=EUR";
        let page = app.get(&format!("/v1/products?limit=1&{query}&{facets}")).await.ok(200);
        let facets = &page["facets"];
        let matching =
            format!("SELECT p.* FROM products p WHERE status = 'active' AND {condition}");
        for (facet, from) in SOURCES {
            let sql = format!(
                "SELECT t, count(DISTINCT p.id) FROM ({matching}) p
                CROSS JOIN LATERAL {from} GROUP BY 1"
            );
            let rows = app.database.rows(&sql, &[]).await;
            let mut expected: Vec<(String, i64)> =
                rows.iter().map(|r| (r.get(0), r.get(1))).collect();
            expected.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
            let counts = facets[facet].as_array().unwrap();
            let counts: Vec<(String, i64)> = counts
                .iter()
                .map(|c| (c["value"].as_str().unwrap().into(), c["count"].as_i64().unwrap()))
                .collect();
            assert_eq!(counts, expected, "{query}: {facet}");
        }
        let sql = format!("SELECT min({lowest}), max({lowest}), count(*) FROM ({matching}) p");
        let row = &app.database.rows(&sql, &[]).await[0];
        let expected =
            json!({"min": row.get::<_, Option<i64>>(0), "max": row.get::<_, Option<i64>>(1)});
        assert_eq!(facets["price"], expected, "{query}: price");
        let listed = all_titles(&app, query, 100).await.len() as i64;
        let (priced, count): (bool, i64) = (query.contains("price"), row.get(2));
        assert!(priced || listed == count, "{query}: {listed} of {count}");
    }
}

#[tokio::test]
async fn paging_in_any_order_shows_each_product_once() {
    let app = drawn().await;
    let active =
        app.database.number("SELECT count(*) FROM products WHERE status = 'active'").await;
    let mugs = "SELECT count(*) FROM products WHERE status = 'active' AND title LIKE '%mug%'";
    let mugs = app.database.number(mugs).await;
    let price = |item: &Value| {
        let variants = item["variants"].as_array().unwrap();
        let amounts = variants.iter().flat_map(|v| v["prices"].as_array().unwrap());
        amounts.filter(|p| p["currency"] == "GBP").map(|p| p["amount"].as_i64().unwrap()).min()
    };
    for (query, count) in [
        ("sort=newest", active),
        ("sort=oldest", active),
        ("sort=title", active),
        ("sort=-title", active),
        ("q=mug", mugs),
        ("q=mug&sort=title", mugs),
        ("q=mug&sort=-price", -1),
        ("sort=price", -1),
        ("sort=-price", -1),
    ] {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = app.get(&format!("/v1/products?{query}&limit=7{cursor}")).await.ok(200);
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let ids: BTreeSet<&str> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), items.len(), "{query}: each once");
        assert!(count < 0 || items.len() as i64 == count, "{query}: {} of {count}", items.len());
        let is_sorted = match query.rsplit_once("sort=") {
            Some((_, "newest")) => items.is_sorted_by(|a, b| a["id"].as_str() > b["id"].as_str()),
            Some((_, "oldest")) => items.is_sorted_by(|a, b| a["id"].as_str() < b["id"].as_str()),
            Some((_, sort @ ("title" | "-title"))) => {
                let title = |item: &Value| item["title"].as_str().unwrap().to_lowercase();
                items.is_sorted_by(|a, b| match sort {
                    "title" => title(a) <= title(b),
                    _ => title(a) >= title(b),
                })
            }
            // The store hides no archived variant's price from its product here.
            Some((_, "price")) => items.iter().all(|item| price(item).is_some()),
            _ => true,
        };
        assert!(is_sorted, "{query}: {items:?}");
    }
}

#[tokio::test]
async fn the_better_match_comes_first_and_words_are_found_everywhere() {
    let app = App::start().await;
    execute(
        &app,
        "INSERT INTO categories (id, slug, title) VALUES
        ('00000000-0000-7000-8000-000000000001', 'crockery', 'Crockery')",
    )
    .await;
    product(&app, "Kitchen shelf", json!({"description": "Holds any teapot."})).await;
    product(&app, "Teapots for two", json!({})).await;
    product(&app, "Gifts", json!({"tags": ["teapot"]})).await;
    product(&app, "Blue teapot with a lid", json!({})).await;
    product(&app, "Blue teapot", json!({})).await;
    product(&app, "Teapotto", json!({})).await;
    product(&app, "Teapot", json!({})).await;
    execute(
        &app,
        "INSERT INTO product_categories SELECT id,
        '00000000-0000-7000-8000-000000000001' FROM products WHERE title = 'Gifts'",
    )
    .await;
    let best = [
        "Teapot",
        "Blue teapot",
        "Teapots for two",
        "Blue teapot with a lid",
        "Teapotto",
        "Gifts",
        "Kitchen shelf",
    ];
    assert_eq!(titles(&app, "q=teapot").await, best);
    assert_eq!(
        titles(&app, "q=TEAP%C3%B3ts").await,
        [
            "Teapot",
            "Blue teapot",
            "Teapots for two",
            "Blue teapot with a lid",
            "Gifts",
            "Kitchen shelf"
        ]
    );
    for (query, title) in [
        ("crockery", "Gifts"),
        ("tea+pot", "Teapot"),
        ("kitchenshelf", "Kitchen shelf"),
        ("gfits", "Gifts"),
        ("shelf+for+holding", "Kitchen shelf"),
        ("kitchen+lamp", "Kitchen shelf"),
    ] {
        let found = titles(&app, &format!("q={query}")).await;
        assert_eq!(found.first().map(String::as_str), Some(title), "{query}: {found:?}");
    }
    // One product has both words, and another one the tag and a word: nobody meant that one.
    assert_eq!(titles(&app, "q=blue+teapot&tag=teapot").await, [""; 0]);
    for nothing in ["q=zzzz", "q=teapot&tag=none", "category=none", "collection=none"] {
        assert_eq!(titles(&app, nothing).await, [""; 0], "{nothing}");
    }
}

/// A change, what finds the product after it and what does not.
const CHANGES: &[(&str, &str, &str)] = &[
    ("", "q=walking", "q=enamel"),
    ("UPDATE products SET title = 'Enamel tankard'", "q=enamel", "q=walking"),
    ("UPDATE products SET description = 'Steel'", "q=steel", "q=walking"),
    ("UPDATE products SET status = 'archived'", "", "q=enamel"),
    ("UPDATE products SET status = 'active'", "q=enamel", "tag=none"),
    ("UPDATE products SET tags = '{sale}'", "tag=sale", "tag=gift"),
    ("UPDATE prices SET amount = 700 WHERE amount = 500", "price_min=700", "price_max=699"),
    (
        "UPDATE variants SET archived_at = now() WHERE sku = 'CUP-1'",
        "price_min=900",
        "option.size=S",
    ),
    ("UPDATE variants SET archived_at = NULL", "option.size=S", "price_min=701"),
    ("DELETE FROM prices WHERE amount = 700", "price_min=900", "price_max=899"),
    (
        "INSERT INTO prices SELECT id, 'EUR', 5 FROM variants WHERE sku = 'CUP-1'",
        "price_max=5&currency=EUR",
        "price_max=5",
    ),
    (
        "INSERT INTO product_categories SELECT id, '00000000-0000-7000-8000-000000000003'
            FROM products",
        "category=home",
        "category=garden",
    ),
    (
        "UPDATE categories SET parent_id = '00000000-0000-7000-8000-000000000002'
            WHERE slug = 'mugs'",
        "category=garden",
        "category=home",
    ),
    (
        "UPDATE categories SET title = 'Beverages' WHERE slug = 'mugs'",
        "q=beverages",
        "q=drinking",
    ),
    ("DELETE FROM categories WHERE slug = 'mugs'", "q=enamel", "category=garden"),
    (
        "INSERT INTO collection_products SELECT '00000000-0000-7000-8000-000000000009', id, 1
            FROM products",
        "collection=summer",
        "tag=none",
    ),
    ("DELETE FROM collections", "q=enamel", "collection=summer"),
    ("UPDATE variants SET sku = 'XYLO'", "q=xylo", "q=cup"),
];

#[tokio::test]
async fn every_committed_change_is_found_by_the_next_search() {
    let app = App::start().await;
    execute(
        &app,
        "INSERT INTO categories (id, slug, title, parent_id) VALUES
        ('00000000-0000-7000-8000-000000000001', 'home', 'Household', NULL),
        ('00000000-0000-7000-8000-000000000002', 'garden', 'Outdoors', NULL),
        ('00000000-0000-7000-8000-000000000003', 'mugs', 'Drinking', 
            '00000000-0000-7000-8000-000000000001');
        INSERT INTO collections (id, slug, title) VALUES
        ('00000000-0000-7000-8000-000000000009', 'summer', 'Summer')",
    )
    .await;
    let body = json!({"tags": ["gift"], "options": ["size"], "variants": [
        {"sku": "CUP-1", "prices": [gbp(500)], "options": {"size": "S"}},
        {"sku": "CUP-2", "prices": [gbp(900)], "options": {"size": "L"}}]});
    product(&app, "Walking boots", body).await;
    for (sql, finds, finds_not) in CHANGES {
        // Two variants cannot have one SKU.
        let sql = sql.replace("sku = 'XYLO'", "sku = 'XYLO' || position");
        // The instance has not made the change itself, so it sees it when the epoch is read again.
        let bump = "UPDATE products SET version = version + 1;
            UPDATE catalog_epoch SET value = value + 1";
        execute(&app, &format!("{sql}; {bump}")).await;
        finds_in_the_end(&app, finds, usize::from(!finds.is_empty())).await;
        finds_in_the_end(&app, finds_not, 0).await;
    }
    execute(&app, "BEGIN; UPDATE products SET title = 'Never'; ROLLBACK").await;
    assert_eq!(titles(&app, "q=never").await, [""; 0]);
    assert_eq!(titles(&app, "in_stock=true").await, [""; 0]);
    app.adjust("XYLO0", 1).await.ok(201);
    assert_eq!(titles(&app, "in_stock=true").await, ["Enamel tankard"]);
    assert_eq!(titles(&app, "in_stock=false").await, [""; 0]);
}

#[tokio::test]
async fn writers_at_the_same_time_leave_nothing_old_behind() {
    let app = App::start().await;
    for n in 0..20 {
        product(&app, &format!("Thing {n}"), json!({})).await;
    }
    let tasks = (0..8).map(|writer: i64| {
        let database = app.database.clone();
        tokio::spawn(async move {
            let client = database.connect().await;
            for round in 0..25 {
                let sql = match (writer + round) % 4 {
                    0 => format!("UPDATE products SET title = 'New word{writer}x{round} ' || slug
                        WHERE id IN (SELECT id FROM products ORDER BY id FOR UPDATE)"),
                    1 => format!("UPDATE products SET tags = '{{w{writer}}}'
                        WHERE id IN (SELECT id FROM products ORDER BY id FOR UPDATE)"),
                    2 => format!("UPDATE prices SET amount = {writer} * 100 + {round}
                        WHERE variant_id IN (SELECT variant_id FROM prices ORDER BY 1 FOR UPDATE)"),
                    _ => format!("UPDATE products SET description = 'text{round}'
                        WHERE slug = 'thing-{writer}'"),
                };
                client.batch_execute(&sql).await.unwrap();
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    let before = "SELECT product_id::text, title, document::text, tags::text FROM product_search";
    let prices = "SELECT product_id::text, currency, amount::text, '' FROM product_search_prices";
    let read = async || {
        let mut rows = app.database.rows(before, &[]).await;
        rows.extend(app.database.rows(prices, &[]).await);
        let text = |row: &tokio_postgres::Row| {
            (0..4).map(|at| row.get::<_, String>(at)).collect::<Vec<_>>().join("|")
        };
        rows.iter().map(text).collect::<BTreeSet<_>>()
    };
    let kept = read().await;
    execute(
        &app,
        "SELECT refresh_search(ARRAY(SELECT id FROM products));
        SELECT refresh_search_prices(ARRAY(SELECT id FROM products))",
    )
    .await;
    assert_eq!((kept.len(), read().await == kept), (40, true));
}

#[tokio::test]
async fn a_query_that_cannot_be_read_names_the_parameter() {
    let app = App::start().await;
    for (query, name) in [
        ("q=a&q=b", "q"),
        ("q=%ff", "q"),
        ("q=a%00b", "q"),
        ("q=%E", "q"),
        ("offset=1", "offset"),
        ("price_min=x", "price_min"),
        ("facets=size", "facets"),
        ("sort=best", "sort"),
        ("sort=relevance", "sort"),
        ("option.size=", "option.size"),
        ("cursor=AAAA", "cursor"),
        ("in_stock=1", "in_stock"),
        ("category=A%20b", "category"),
        ("limit=0", "limit"),
    ] {
        let problem =
            app.get(&format!("/v1/products?{query}")).await.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], name, "{query}");
    }
    for odd in [
        "q='",
        "q=%5C%27%7C%26!()%3A*a",
        "tag=%25",
        "option.a%3Db=c",
        "q=%F0%9F%92%A9x",
        "q=the",
        "q=a+b+c+d+e+f+g+h+i+j+k+l",
        "&&",
        "tag=a%1Fb",
        "facets=option.a%3Db",
    ] {
        let answer = app.get(&format!("/v1/products?{odd}")).await;
        assert!([200, 400].contains(&answer.status), "{odd}: {}", answer.status);
    }
}
