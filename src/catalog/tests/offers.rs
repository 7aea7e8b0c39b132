//! Offers: what is remembered, and until when.

use super::Shop;
use crate::catalog::load_demo;
use crate::catalog::{Name, Offers};

#[tokio::test]
async fn offers_come_in_the_order_of_the_skus_and_unknown_ones_are_none() {
    let shop = Shop::open().await;
    load_demo(&shop.postgres).await.unwrap();
    let offers = Offers::new(shop.postgres.clone());
    for _ in 0..2 {
        let skus = ["TEE-L", "NONE", "MUG-1", "TEE-L"];
        let got = offers.get(&skus).await.unwrap();
        let found: Vec<_> = got.iter().map(|o| o.as_ref().map(|o| o.sku.as_str())).collect();
        assert_eq!(found, [Some("TEE-L"), None, Some("MUG-1"), Some("TEE-L")]);
        let mug = got[2].as_ref().unwrap();
        let prices: Vec<String> = mug
            .prices
            .iter()
            .map(|price| format!("{}{}", price.currency, price.amount))
            .collect();
        assert_eq!(prices, ["EUR1499", "GBP1299", "USD1650"]);
        assert_eq!((mug.title.as_str(), mug.offer_version), ("Enamel mug", 1));
    }
}

#[tokio::test]
async fn an_offer_is_remembered_until_it_is_forgotten_and_an_unknown_sku_never() {
    let shop = Shop::open().await;
    let offers = Offers::new(shop.postgres.clone());
    assert_eq!(offers.get(&["MUG-1"]).await, Ok(vec![None]));
    load_demo(&shop.postgres).await.unwrap();
    let title =
        async || offers.get(&["MUG-1"]).await.unwrap()[0].as_ref().map(|o| o.title.clone());
    assert_eq!(title().await.as_deref(), Some("Enamel mug"));
    shop.execute("UPDATE products SET title = 'Cup' WHERE slug = 'enamel-mug'").await;
    assert_eq!(title().await.as_deref(), Some("Enamel mug"));
    offers.forget(&["MUG-1", "NONE"]);
    assert_eq!(title().await.as_deref(), Some("Cup"));
    shop.execute("UPDATE products SET status = 'archived' WHERE slug = 'enamel-mug'").await;
    offers.forget(&["MUG-1"]);
    assert_eq!(title().await, None, "what is not in the store is not for sale");
}

#[tokio::test]
async fn what_is_in_memory_needs_no_database() {
    let shop = Shop::open().await;
    load_demo(&shop.postgres).await.unwrap();
    let offers = Offers::new(shop.postgres.clone());
    let skus = ["MUG-1", "TEE-S", "TEE-M"];
    offers.get(&skus).await.unwrap();
    shop.postgres.readers.close();
    assert!(offers.get(&skus).await.unwrap().iter().all(Option::is_some));
    assert!(offers.get(&["TEE-L"]).await.is_err());
}

#[tokio::test]
async fn current_offers_are_never_older_than_a_second_and_at_once_new_where_they_are_forgotten() {
    let shop = Shop::open().await;
    load_demo(&shop.postgres).await.unwrap();
    let offers = Offers::new(shop.postgres.clone());
    let sku = Name::Sku("MUG-1".to_owned());
    let current = async |name: &Name| {
        offers.current(vec![name.clone()]).await.unwrap().remove(name).unwrap()
    };
    let mug = current(&sku).await;
    let id = Name::Id(mug.variant);
    assert!(std::sync::Arc::ptr_eq(&mug, &current(&id).await), "by id it was read again");
    shop.execute("UPDATE products SET title = 'Cup' WHERE slug = 'enamel-mug'").await;
    let since = std::time::Instant::now();
    while current(&id).await.title != "Cup" {
        assert!(since.elapsed() < std::time::Duration::from_secs(1), "it is too old");
    }
    shop.execute("UPDATE products SET status = 'archived' WHERE slug = 'enamel-mug'").await;
    offers.forget_variants(&[mug.variant]);
    assert!(!current(&sku).await.is_sold, "it was forgotten");
    assert_eq!(offers.get(&["MUG-1"]).await, Ok(vec![None]), "nobody orders it any more");
    let unknown = offers.current(vec![Name::Sku("NONE".to_owned())]).await;
    assert!(unknown.unwrap().is_empty());
}
