//! What staff may export of the small shop.

use super::Reply;
use loadtests::type_id::encode;
use serde_json::{Value, json};
use tokio_postgres::{Error, Transaction};
use uuid::Uuid;

/// The export of this name, as NDJSON.
pub async fn export(db: &Transaction<'_>, name: &str) -> Result<Reply, Error> {
    let sql = match name {
        "orders" => {
            "SELECT id, to_jsonb(o) - 'shipping_address' || shipping_address FROM orders o"
        }
        "order-lines" => {
            "SELECT l.order_id, to_jsonb(l) || jsonb_build_object('status', o.status)
             FROM order_lines l JOIN orders o ON o.id = l.order_id"
        }
        "stock-levels" => {
            "SELECT s.variant_id, to_jsonb(s) || jsonb_build_object('sku', v.sku)
             FROM stock s JOIN variants v ON v.id = s.variant_id"
        }
        _ => return Ok((404, false, json!({"code": "not_found"}).to_string())),
    };
    let mut body = String::new();
    for row in db.query(sql, &[]).await? {
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
