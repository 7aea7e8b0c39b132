//! What the store shows of a product, read again.

use super::Shop;
use crate::catalog::store::Key;
use crate::catalog::store::shown::{Found, Snapshot};
use crate::catalog::{KEPT_FORMAT, Offers, Storefront, StorefrontSettings, load_demo};
use crate::id::VariantId;
use serde_json::Value;
use std::time::{Duration, Instant};
use uuid::Uuid;

#[tokio::test]
async fn a_version_of_a_product_is_serialised_once_and_its_counts_are_written_into_it() {
    let shop = Shop::open().await;
    load_demo(&shop.postgres).await.unwrap();
    let fresh = Duration::from_secs(3600);
    let settings = StorefrontSettings { bytes_max: 1 << 24, fresh, searches: 1 };
    let offers = Offers::new(shop.postgres.clone());
    let storefront = Storefront::start(&shop.postgres, settings, offers, None);
    let mug: Uuid = shop.value("SELECT id FROM variants WHERE sku = 'MUG-1'").await;
    let mug = VariantId::from(mug);
    let shown = async || {
        storefront.restocked(&[mug]).await;
        let product = storefront.product(Key::Slug("enamel-mug")).await.unwrap().unwrap();
        let product: Value = serde_json::from_slice(&product.body).unwrap();
        let title = product["title"].as_str().unwrap().to_owned();
        (title, product["variants"][0]["available"].as_i64().unwrap())
    };
    let (title, available) = shown().await;
    assert_eq!(title, "Enamel mug");
    // Nothing that belongs to a version changes without it, so this is not looked at.
    shop.execute("UPDATE products SET title = 'Cup' WHERE slug = 'enamel-mug'").await;
    shop.execute(
        "UPDATE stock SET available = available - 1, sold = sold + 1
         WHERE variant_id = (SELECT id FROM variants WHERE sku = 'MUG-1')",
    )
    .await;
    assert_eq!(shown().await, (title, available - 1));
    shop.execute("UPDATE products SET version = version + 1 WHERE slug = 'enamel-mug'").await;
    assert_eq!(shown().await, ("Cup".to_owned(), available - 1));
}

#[test]
fn what_other_releases_read_in_redis_has_its_form_or_another_number() {
    let ids = vec![Uuid::nil().into()];
    let found = Found { ids, next_cursor: Some("c".to_owned()), facets: Some("f".to_owned()) };
    let kept = (KEPT_FORMAT, serde_json::to_string(&found).unwrap());
    let form = r#"{"ids":["prod_00000000000000000000000000"],"next_cursor":"c","facets":"f"}"#;
    assert_eq!(kept, (1, form.to_owned()));
}

#[tokio::test]
async fn a_reader_that_says_nothing_loses_its_snapshot_and_holds_no_vacuum_up() {
    let shop = Shop::open().await;
    let mut client = shop.postgres.readers.get().await.unwrap();
    let snapshot = Snapshot::of(&mut client).await.unwrap();
    snapshot.epoch().await.unwrap();
    let held = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'";
    assert_eq!(shop.value::<i64>(held).await, 1);
    let until = Instant::now() + Duration::from_secs(30);
    while shop.value::<i64>(held).await > 0 {
        assert!(Instant::now() < until, "it keeps its snapshot");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(snapshot.epoch().await.is_err());
}
