//! The schema could be distributed over several servers: what belongs together carries the key by
//! which it would be.

use crate::harness::App;

/// The tables that grow with orders, and by what each would be distributed.
const OWNERS: &[(&str, &str)] = &[
    ("carts", "shopper_id"),
    ("idempotency_keys", "scope"),
    ("orders", "id"),
    ("order_lines", "order_id"),
    ("payments", "order_id"),
    ("stock", "variant_id"),
    ("stock_ledger", "variant_id"),
];

#[tokio::test]
async fn rows_of_an_order_and_of_a_stock_carry_its_id_first_in_every_unique_key() {
    let app = App::start().await;
    let sql = "SELECT t.relname::text, i.indexrelid::regclass::text, a.attname::text
               FROM pg_index i
               JOIN pg_class t ON t.oid = i.indrelid
               JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = i.indkey[0]
               WHERE i.indisunique AND t.relname = ANY($1)";
    let tables: Vec<&str> = OWNERS.iter().map(|(table, _)| *table).collect();
    let keys = app.database.rows(sql, &[&tables]).await;
    assert!(keys.len() >= OWNERS.len(), "each has a primary key");
    for key in keys {
        let (table, index, first): (&str, &str, &str) = (key.get(0), key.get(1), key.get(2));
        let owner = OWNERS.iter().find(|(name, _)| *name == table).map(|(_, owner)| *owner);
        assert_eq!(owner, Some(first), "{index} of {table}");
    }
    let referring = "SELECT conname::text FROM pg_constraint
                     WHERE contype = 'f' AND conrelid::regclass::text = ANY($1)";
    let referring = app.database.rows(referring, &[&tables]).await;
    assert!(referring.is_empty(), "a foreign key would reach to another server");
}

#[tokio::test]
async fn every_table_with_an_order_s_id_is_known_to_belong_to_orders() {
    let app = App::start().await;
    let sql = "SELECT table_name::text FROM information_schema.columns
               WHERE table_schema = 'public' AND column_name = 'order_id'";
    for row in app.database.rows(sql, &[]).await {
        let table: &str = row.get(0);
        assert!(
            OWNERS.contains(&(table, "order_id")),
            "{table}: by what would it be distributed?"
        );
    }
}
