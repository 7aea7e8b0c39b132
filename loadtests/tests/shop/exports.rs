//! What staff may export of the small shop.

use super::Reply;
use loadtests::type_id::encode;
use serde_json::{Value, json};
use tokio_postgres::{Error, Transaction};
use uuid::Uuid;

/// The export of this name and period, as NDJSON.
pub async fn export(db: &Transaction<'_>, export: &str) -> Result<Reply, Error> {
    let (name, query) = export.split_once('?').unwrap();
    let since = query.split('&').find_map(|pair| pair.strip_prefix("created_from="));
    let since = since.unwrap_or("1970-01-01T00:00:00Z");
    let sql = match name {
        "orders" => {
            "SELECT id, to_jsonb(o) - 'shipping_address' || shipping_address FROM orders o
             WHERE created_at >= $1::text::timestamptz"
        }
        "order-lines" => {
            "SELECT l.order_id, to_jsonb(l) || jsonb_build_object('status', o.status)
             FROM order_lines l JOIN orders o ON o.id = l.order_id
             WHERE o.created_at >= $1::text::timestamptz"
        }
        "stock-levels" => {
            "SELECT s.variant_id, to_jsonb(s) || jsonb_build_object('sku', v.sku)
             FROM stock s JOIN variants v ON v.id = s.variant_id WHERE $1::text <> ''"
        }
        _ => return Ok((404, false, json!({"code": "not_found"}).to_string())),
    };
    let mut body = String::new();
    for row in db.query(sql, &[&since]).await? {
        let (id, mut fields): (Uuid, Value) = (row.get(0), row.get(1));
        match name {
            "orders" => fields["id"] = encode("ord", id).into(),
            "order-lines" => fields["order_id"] = encode("ord", id).into(),
            _ => {}
        }
        if let Some(number) = fields.get("number").cloned() {
            fields["number"] = number.to_string().into();
        }
        if let Some(variant) = fields["variant_id"].as_str() {
            fields["variant_id"] = encode("var", variant.parse().unwrap()).into();
        }
        body.push_str(&format!("{fields}\n"));
    }
    Ok((200, false, body))
}
