//! Imports into a real database.

use super::Shop;
use crate::catalog::import::{Format, ImportError, ImportOptions, Report, import, import_file};
use std::path::PathBuf;
use std::time::Instant;

fn options() -> ImportOptions {
    ImportOptions::default()
}

async fn csv(shop: &Shop, text: &str, options: ImportOptions) -> Report {
    import(&shop.postgres, text.as_bytes(), Format::Csv, options, &mut |_| {}).await.unwrap()
}

/// Created, changed, unchanged, repeated, stocked, errors.
fn counts(report: &Report) -> [u64; 6] {
    let Report { created, changed, unchanged, repeated, stocked, errors, .. } = report;
    [*created, *changed, *unchanged, *repeated, *stocked, *errors]
}

const FILE: &str = "sku,title,price_minor,currency,status,units_sold\n\
                    A,Mug,100,GBP,,7\n\
                    B,Mug,200,EUR,draft,7\n\
                    C,Café,300,,,7\n";

#[tokio::test]
async fn importing_again_changes_nothing() {
    let shop = Shop::open().await;
    let stocked = ImportOptions { stock: Some(50), ..options() };
    let first = csv(&shop, FILE, stocked).await;
    assert_eq!(counts(&first), [3, 0, 0, 0, 3, 0]);
    assert_eq!(first.ignored.iter().collect::<Vec<_>>(), ["units_sold"]);
    let before: String = shop.value(EVERYTHING).await;
    assert!(before.contains("mug|Mug|active") && before.contains("mug-2|Mug|draft"), "{before}");
    assert_eq!(counts(&csv(&shop, FILE, stocked).await), [0, 0, 3, 0, 0, 0]);
    assert_eq!(shop.value::<String>(EVERYTHING).await, before);
    assert_eq!(shop.stock_violations().await, 0);
}

/// What the catalog and the stock hold, with their versions.
const EVERYTHING: &str = "
    SELECT string_agg(concat_ws('|', p.slug, p.title, p.status, p.description, p.version, v.sku,
        c.currency, c.amount, s.supplied, s.available, s.offer_version, e.entries), E'\n'
        ORDER BY v.sku, c.currency)
    FROM products p JOIN variants v ON v.product_id = p.id JOIN prices c ON c.variant_id = v.id
    JOIN stock s ON s.variant_id = v.id,
    LATERAL (SELECT count(*) AS entries FROM stock_ledger l WHERE l.variant_id = v.id) e";

#[tokio::test]
async fn a_changed_price_or_title_is_told_to_orders() {
    let shop = Shop::open().await;
    csv(&shop, FILE, options()).await;
    let changed = FILE.replace("A,Mug,100", "A,Mug,101").replace("B,Mug", "B,Cup");
    assert_eq!(counts(&csv(&shop, &changed, options()).await), [0, 2, 1, 0, 0, 0]);
    let expected = "mug|Mug|active||2|A|GBP|101|0|0|2|0\n\
                    mug-2|Cup|draft||2|B|EUR|200|0|0|2|0\n\
                    cafe|Café|active||1|C|GBP|300|0|0|1|0";
    assert_eq!(shop.value::<String>(EVERYTHING).await, expected);
    // A description concerns nobody's order, and what is not said stays.
    let more = "sku,title,price_minor,description\nC,Café,300,Strong.\n";
    assert_eq!(counts(&csv(&shop, more, options()).await), [0, 1, 0, 0, 0, 0]);
    assert_eq!(counts(&csv(&shop, FILE, options()).await), [0, 2, 1, 0, 0, 0]);
    let cafe = "SELECT description || '|' || version || '|' || s.offer_version FROM products p
                JOIN variants v ON v.product_id = p.id JOIN stock s ON s.variant_id = v.id
                WHERE v.sku = 'C'";
    assert_eq!(shop.value::<String>(cafe).await, "Strong.|2|1");
}

const FAULTY: &str = "sku,title,price_minor,slug,category\n\
                      A,Mug,100,,\n\
                      ,Mug,100,,\n\
                      B,,1.50,,\n\
                      C,Mug,-1,,\n\
                      A,Mug,100,,\n\
                      A,Mug,101,,\n\
                      D,Mug,100\n\
                      E,Mug,100,mug-2,\n\
                      F,Mug,100,mug-2,\n\
                      G,Mug,100,,Kitchen\n";

#[tokio::test]
async fn bad_rows_are_told_with_their_lines_and_the_others_are_imported() {
    let shop = Shop::open().await;
    let report = csv(&shop, FAULTY, options()).await;
    assert_eq!(counts(&report), [3, 0, 0, 1, 0, 6]);
    let text = report.to_string();
    for line in [
        "line 3: sku is missing\n",
        "line 4: title is missing; price_minor must be an integer, in minor units\n",
        "line 5: price_minor must be from 0 to 1,000,000,000,000\n",
        "line 7: sku A is also on line 2, with another row\n",
        "line 8: has 3 fields, the header 5\n",
        "line 10: slug is another product's\n",
        "ignored columns: category\n",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
    let slugs = "SELECT string_agg(sku || '=' || slug, ' ' ORDER BY sku)
                 FROM products p JOIN variants v ON v.product_id = p.id";
    assert_eq!(shop.value::<String>(slugs).await, "A=mug E=mug-2 G=mug-3");
}

#[tokio::test]
async fn a_dry_run_reports_the_same_and_writes_nothing() {
    let shop = Shop::open().await;
    csv(&shop, FILE, options()).await;
    let before: String = shop.value(EVERYTHING).await;
    // More than one batch, with equal titles across batches, changes, errors and first stock.
    let mut text = FAULTY.replace("A,Mug,100", "A,Tin mug,150");
    (0..1_200).for_each(|number| text.push_str(&format!("N{number},Mug,{number},,\n")));
    text.push_str("X,Mug,1,mug-700,\n");
    let real = ImportOptions { stock: Some(5), ..options() };
    let dry = csv(&shop, &text, ImportOptions { dry_run: true, ..real }).await;
    assert_eq!(shop.value::<String>(EVERYTHING).await, before);
    assert_eq!(shop.value::<i64>("SELECT count(*) FROM stock_adjustments").await, 0);
    let done = csv(&shop, &text, real).await;
    assert_eq!(Report { dry_run: true, ..done.clone() }, dry);
    assert!(dry.to_string().ends_with("(dry run: nothing was written)"));
    assert_eq!(counts(&done)[0], 1_201, "{done}");
    assert_eq!(shop.stock_violations().await, 0);
    let slugs: i64 = shop.value("SELECT count(DISTINCT slug) FROM products").await;
    assert_eq!(slugs, 1_204);
}

#[tokio::test]
async fn a_first_supply_leaves_alone_what_has_moved() {
    let shop = Shop::open().await;
    csv(&shop, FILE, ImportOptions { stock: Some(50), ..options() }).await;
    let more = format!("{FILE}D,Pot,1,GBP,,\n");
    let report = csv(&shop, &more, ImportOptions { stock: Some(70), ..options() }).await;
    assert_eq!(counts(&report), [1, 0, 3, 0, 1, 0]);
    let levels = "SELECT string_agg(sku || '=' || supplied, ' ' ORDER BY sku)
                  FROM stock s JOIN variants v ON v.id = s.variant_id";
    assert_eq!(shop.value::<String>(levels).await, "A=50 B=50 C=50 D=70");
    let ledger = "SELECT count(*) FROM stock_ledger e JOIN stock_adjustments a
                  ON a.id = e.reference AND e.cause = 'adjustment' AND a.reason = 'import'";
    assert_eq!(shop.value::<i64>(ledger).await, 4);
    for stock in [-1, 1_000_001] {
        let options = ImportOptions { stock: Some(stock), ..options() };
        let refused = import(&shop.postgres, &b""[..], Format::Csv, options, &mut |_| {}).await;
        assert!(matches!(refused, Err(ImportError::Options(_))));
    }
}

#[tokio::test]
async fn two_imports_of_one_file_at_once_make_every_product_once() {
    let shop = Shop::open().await;
    let mut text = "sku,title,price_minor\n".to_owned();
    (0..2_000).for_each(|n| text.push_str(&format!("S{n},Title {},{n}\n", n % 300)));
    let stocked = ImportOptions { stock: Some(9), ..options() };
    let (a, b) = tokio::join!(csv(&shop, &text, stocked), csv(&shop, &text, stocked));
    assert_eq!((a.created + b.created, a.unchanged + b.unchanged), (2_000, 2_000));
    assert_eq!(a.stocked + b.stocked, 2_000);
    assert_eq!(shop.value::<i64>("SELECT count(*) FROM stock WHERE supplied = 9").await, 2_000);
    assert_eq!(shop.stock_violations().await, 0);
}

#[tokio::test]
async fn json_lines_say_the_same_as_csv() {
    let shop = Shop::open().await;
    let lines = "{\"sku\":\"A\",\"title\":\"Mug\",\"price_minor\":100}\n\
                 {\"sku\":\"B\",\"title\":\"Mug\",\"price_minor\":200,\"currency\":\"EUR\",\
                 \"status\":\"draft\"}\nnonsense\n";
    let format = Format::Ndjson;
    let report = import(&shop.postgres, lines.as_bytes(), format, options(), &mut |_| {}).await;
    assert_eq!(counts(&report.unwrap()), [2, 0, 0, 0, 0, 1]);
    assert_eq!(counts(&csv(&shop, FILE, options()).await), [1, 0, 2, 0, 0, 0]);
}

#[tokio::test]
async fn a_real_catalog_is_imported_whole() {
    let folder = std::env::var_os("DOORBUSTER_REAL_DATA").map(PathBuf::from);
    let folder = folder.unwrap_or_else(|| PathBuf::from("../shared/data/online-retail"));
    let file = folder.join("catalog.csv");
    if !file.exists() {
        eprintln!("SKIPPED: no real catalog; name its folder in DOORBUSTER_REAL_DATA");
        return;
    }
    let shop = Shop::open().await;
    let stocked = ImportOptions { stock: Some(1_000), ..options() };
    let dry = ImportOptions { dry_run: true, ..stocked };
    let dry = import_file(&shop.postgres, &file, dry).await.unwrap();
    let start = Instant::now();
    let report = import_file(&shop.postgres, &file, stocked).await.unwrap();
    eprintln!("{report}\nin {:?}", start.elapsed());
    assert_eq!(counts(&report), [3_794, 0, 0, 0, 3_794, 0]);
    assert_eq!(counts(&dry), counts(&report));
    let again = import_file(&shop.postgres, &file, stocked).await.unwrap();
    assert_eq!(counts(&again), [0, 0, 3_794, 0, 0, 0]);
    assert_eq!(shop.value::<i64>("SELECT count(DISTINCT slug) FROM products").await, 3_794);
    assert_eq!(shop.stock_violations().await, 0);
}
