//! A small shop that keeps the HTTP contract, one transaction per order, and can be told to
//! stumble or to lie.

mod exports;

use loadtests::type_id::encode;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_postgres::{Client, Error, Transaction};
use uuid::Uuid;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Manner {
    Honest,
    /// Honest, but of 20 order requests one is told 503 and one gets no answer to what was done.
    Stumbling,
    /// Of 20 orders one is acknowledged and not kept.
    Lying,
}

pub struct Shop {
    pub url: String,
    runtime: Option<tokio::runtime::Runtime>,
}

struct State {
    database: Mutex<Client>,
    manner: Manner,
    orders: AtomicU64,
}

/// Status, whether it is a replay, and body.
type Reply = (u16, bool, String);

impl Shop {
    /// Opens on a port and a runtime of its own, so that it can go away all at once.
    pub fn open(database: &str, manner: Manner) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (send, receive) = std::sync::mpsc::channel();
        let database = database.to_owned();
        runtime.spawn(async move {
            let database = Mutex::new(loadtests::stored::connect(&database).await.unwrap());
            let state = Arc::new(State { database, manner, orders: AtomicU64::new(0) });
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            send.send(listener.local_addr().unwrap()).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, state.clone()));
            }
        });
        Self { url: format!("http://{}", receive.recv().unwrap()), runtime: Some(runtime) }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.runtime.take().unwrap().shutdown_background();
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|bytes| *bytes > 0)?;
        let (mut key, mut length) = (String::new(), 0);
        let mut header = String::new();
        while stream.read_line(&mut header).await.ok()? > 2 {
            if let Some((name, value)) = header.trim_end().split_once(": ") {
                match name.to_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "idempotency-key" => key = value.to_owned(),
                    _ => {}
                }
            }
            header.clear();
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let path = line.split(' ').nth(1).unwrap();
        let (status, replayed, body) = answer(&state, path, &key, &body).await?;
        let replayed = if replayed { "Idempotent-Replayed: true\r\n" } else { "" };
        let retry = if status == 503 { "Retry-After: 0\r\n" } else { "" };
        let length = body.len();
        let reply = format!(
            "HTTP/1.1 {status} Whatever\r\nContent-Length: {length}\r\n{replayed}{retry}\r\n{body}"
        );
        stream.write_all(reply.as_bytes()).await.ok()?;
    }
}

/// `None` hangs up.
async fn answer(state: &State, path: &str, key: &str, body: &[u8]) -> Option<Reply> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut database = state.database.lock().await;
    let transaction = database.transaction().await.unwrap();
    let stumble = match path {
        "/v1/orders" => state.orders.fetch_add(1, Ordering::Relaxed) % 20,
        _ => 0,
    };
    if (state.manner, stumble) == (Manner::Stumbling, 7) {
        return Some((503, false, json!({"code": "overloaded"}).to_string()));
    }
    let answer = match path {
        "/v1/admin/products" => create_product(&transaction, &body).await,
        "/v1/admin/stock/adjustments" => adjust(&transaction, &body).await,
        "/v1/orders" => place_order(&transaction, key, &body).await,
        _ => match path.strip_prefix("/v1/admin/exports/") {
            Some(export) => exports::export(&transaction, export).await,
            None => Ok((200, false, "{}".to_owned())),
        },
    };
    let answer = answer.unwrap();
    if (state.manner, stumble) == (Manner::Lying, 11) || answer.0 >= 400 {
        transaction.rollback().await.unwrap();
    } else {
        transaction.commit().await.unwrap();
    }
    ((state.manner, stumble) != (Manner::Stumbling, 13)).then_some(answer)
}

async fn create_product(db: &Transaction<'_>, body: &Value) -> Result<Reply, Error> {
    let (product, variant) = (Uuid::now_v7(), Uuid::now_v7());
    let of = &body["variants"][0];
    let title = body["title"].as_str();
    let slug = body["slug"].as_str().or(title);
    db.execute(
        "INSERT INTO products (id, slug, title, status) VALUES ($1, $2, $3, 'active')",
        &[&product, &slug, &title],
    )
    .await?;
    let sku = of["sku"].as_str();
    let into = "INSERT INTO variants (id, product_id, sku, position) VALUES ($1, $2, $3, 1)";
    db.execute(into, &[&variant, &product, &sku]).await?;
    let amount = of["prices"][0]["amount"].as_i64();
    db.execute("INSERT INTO prices VALUES ($1, 'GBP', $2)", &[&variant, &amount]).await?;
    let stock = "INSERT INTO stock (variant_id, location_id) SELECT $1, id FROM locations";
    db.execute(stock, &[&variant]).await?;
    Ok((201, false, "{}".to_owned()))
}

async fn adjust(db: &Transaction<'_>, body: &Value) -> Result<Reply, Error> {
    let statement = "UPDATE stock SET supplied = supplied + $1, available = available + $1
        WHERE variant_id = (SELECT id FROM variants WHERE sku = $2)";
    db.execute(statement, &[&body["quantity"].as_i64(), &body["sku"].as_str()]).await?;
    Ok((201, false, "{}".to_owned()))
}

async fn place_order(db: &Transaction<'_>, key: &str, body: &Value) -> Result<Reply, Error> {
    let id = Uuid::now_v7();
    let claim = "INSERT INTO idempotency_keys (scope, key, request_hash, resource_id)
        VALUES ('', $1, '', $2) ON CONFLICT DO NOTHING";
    if db.execute(claim, &[&key, &id]).await? == 0 {
        let saved = "SELECT convert_from(body, 'UTF8') FROM idempotency_keys WHERE key = $1";
        return Ok((201, true, db.query_one(saved, &[&key]).await?.get(0)));
    }
    let mut items: Vec<(&str, i64)> = body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["sku"].as_str().unwrap(), item["quantity"].as_i64().unwrap()))
        .collect();
    items.sort_unstable();
    let (mut lines, mut total) = (Vec::new(), 0);
    for (sku, quantity) in items {
        let Some((line, line_total)) = take(db, id, sku, quantity).await? else {
            return Ok((409, false, json!({"code": "out_of_stock"}).to_string()));
        };
        lines.push(line);
        total += line_total;
    }
    let insert =
        "INSERT INTO orders VALUES ($1, nextval('order_numbers'), 'confirmed', 'pending',
        'unfulfilled', 'GBP', $2, 0, 0, 0, $2, $3, $4, NULL, NULL, now()) RETURNING number";
    let (email, address) = (body["email"].as_str(), &body["shipping_address"]);
    let number: i64 = db.query_one(insert, &[&id, &total, &email, address]).await?.get(0);
    let order = json!({"id": encode("ord", id), "number": number, "status": "confirmed",
        "items": lines, "subtotal": money(total), "discount": money(0), "shipping": money(0),
        "tax": money(0), "total": money(total), "email": email, "shipping_address": address});
    let order = order.to_string();
    let save = "UPDATE idempotency_keys SET status = 201, body = convert_to($2, 'UTF8')
        WHERE key = $1";
    db.execute(save, &[&key, &order]).await?;
    Ok((201, false, order))
}

/// Takes the stock and writes the line: its JSON and total; `None` if there is too little.
async fn take(
    db: &Transaction<'_>,
    order: Uuid,
    sku: &str,
    quantity: i64,
) -> Result<Option<(Value, i64)>, Error> {
    let take = "UPDATE stock s SET available = available - $2, sold = sold + $2
        FROM variants v JOIN prices p ON p.variant_id = v.id
        JOIN products o ON o.id = v.product_id
        WHERE v.id = s.variant_id AND v.sku = $1 AND available >= $2
        RETURNING v.id, s.location_id, o.title, p.amount";
    let Some(row) = db.query_opt(take, &[&sku, &quantity]).await? else { return Ok(None) };
    let (variant, location): (Uuid, Uuid) = (row.get(0), row.get(1));
    let (title, price): (String, i64) = (row.get(2), row.get(3));
    let (id, total) = (Uuid::now_v7(), price * quantity);
    let insert = "INSERT INTO order_lines VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)";
    db.execute(
        insert,
        &[&order, &id, &variant, &location, &sku, &title, &quantity, &price, &total],
    )
    .await?;
    let line = json!({"id": encode("line", id), "variant_id": encode("var", variant),
        "sku": sku, "title": title, "quantity": quantity, "unit_price": money(price),
        "total": money(total)});
    Ok(Some((line, total)))
}

fn money(amount: i64) -> Value {
    json!({"amount": amount, "currency": "GBP"})
}
