//! A small shop to look at: what `doorbuster dev` sells before anything was imported. Anybody
//! may use it for anything.

use super::product::{NewProduct, NewVariant, Status};
use super::store;
use super::store::write::{self, Insertion};
use crate::error::Problem;
use crate::money::{Currency, Money};
use crate::postgres::Postgres;
use uuid::Uuid;

/// Of every variant.
const STOCK: i64 = 1_000;

/// A SKU, its value of the product's option, and its prices in pence, euro cents and US cents.
type Line = (&'static str, &'static str, [i64; 3]);

struct Demo {
    slug: &'static str,
    title: &'static str,
    description: &'static str,
    tags: &'static [&'static str],
    /// In what the variants differ; empty for the only one.
    option: &'static str,
    lines: &'static [Line],
}

const SHOP: &[Demo] = &[
    Demo {
        slug: "enamel-mug",
        title: "Enamel mug",
        description: "Cream enamel with a blue rim. It survives the campfire and the dishwasher.",
        tags: &["kitchen", "outdoor"],
        option: "",
        lines: &[("MUG-1", "", [1299, 1499, 1650])],
    },
    Demo {
        slug: "stoneware-teapot",
        title: "Stoneware teapot",
        description: "Pours without dripping, which is all that one asks of a teapot.",
        tags: &["kitchen"],
        option: "size",
        lines: &[
            ("POT-2", "two cups", [2900, 3400, 3700]),
            ("POT-6", "six cups", [4200, 4900, 5400]),
        ],
    },
    Demo {
        slug: "linen-tea-towel",
        title: "Linen tea towel",
        description: "Heavy linen that gets softer with every wash.",
        tags: &["kitchen", "textiles"],
        option: "colour",
        lines: &[
            ("TOWEL-FLAX", "flax", [950, 1100, 1200]),
            ("TOWEL-INK", "ink", [950, 1100, 1200]),
            ("TOWEL-MOSS", "moss", [950, 1100, 1200]),
        ],
    },
    Demo {
        slug: "beech-bread-board",
        title: "Beech bread board",
        description: "One piece of oiled beech with a groove for the crumbs.",
        tags: &["kitchen"],
        option: "",
        lines: &[("BOARD-1", "", [2450, 2850, 3100])],
    },
    Demo {
        slug: "paring-knife",
        title: "Paring knife",
        description: "A short carbon steel blade that takes an edge and wants to be dried.",
        tags: &["kitchen"],
        option: "",
        lines: &[("KNIFE-9", "", [1800, 2100, 2300])],
    },
    Demo {
        slug: "lambswool-scarf",
        title: "Lambswool scarf",
        description: "Long enough to go round twice, woven in a plain check.",
        tags: &["clothing"],
        option: "colour",
        lines: &[
            ("SCARF-RUST", "rust", [3800, 4400, 4800]),
            ("SCARF-SLATE", "slate", [3800, 4400, 4800]),
        ],
    },
    Demo {
        slug: "harbour-t-shirt",
        title: "Harbour T-shirt",
        description: "Heavy cotton, with a small lighthouse where a pocket would be.",
        tags: &["clothing"],
        option: "size",
        lines: &[
            ("TEE-S", "S", [2200, 2600, 2800]),
            ("TEE-M", "M", [2200, 2600, 2800]),
            ("TEE-L", "L", [2200, 2600, 2800]),
        ],
    },
    Demo {
        slug: "walking-socks",
        title: "Walking socks",
        description: "Padded at heel and toe, where long days are decided.",
        tags: &["clothing", "outdoor"],
        option: "size",
        lines: &[
            ("SOCKS-M", "36–40", [1400, 1650, 1800]),
            ("SOCKS-L", "41–46", [1400, 1650, 1800]),
        ],
    },
    Demo {
        slug: "pocket-notebook",
        title: "Pocket notebook",
        description: "Ninety-six pages that lie flat, thread-sewn, with rounded corners.",
        tags: &["desk"],
        option: "ruling",
        lines: &[
            ("NOTE-PLAIN", "plain", [700, 800, 900]),
            ("NOTE-DOTS", "dots", [700, 800, 900]),
        ],
    },
    Demo {
        slug: "brass-pencil-sharpener",
        title: "Brass pencil sharpener",
        description: "Turned from one bar. Heavy enough to keep the bills in their place.",
        tags: &["desk"],
        option: "",
        lines: &[("SHARP-1", "", [650, 750, 850])],
    },
    Demo {
        slug: "desk-lamp",
        title: "Desk lamp",
        description: "A steel arm with two joints and a warm light that can be dimmed.",
        tags: &["desk", "light"],
        option: "colour",
        lines: &[
            ("LAMP-BLACK", "black", [6900, 7900, 8700]),
            ("LAMP-OCHRE", "ochre", [6900, 7900, 8700]),
        ],
    },
    Demo {
        slug: "storm-lantern",
        title: "Storm lantern",
        description: "Burns for twenty hours on one filling and does not mind the wind.",
        tags: &["outdoor", "light"],
        option: "",
        lines: &[("LANTERN-1", "", [3200, 3700, 4100])],
    },
    Demo {
        slug: "canvas-rucksack",
        title: "Canvas rucksack",
        description: "Waxed canvas, two straps, one big pocket: eighteen litres without fuss.",
        tags: &["outdoor"],
        option: "colour",
        lines: &[
            ("SACK-OLIVE", "olive", [8400, 9600, 10500]),
            ("SACK-NAVY", "navy", [8400, 9600, 10500]),
        ],
    },
    Demo {
        slug: "seed-box",
        title: "Seed box",
        description: "Beans, radishes, peas and sunflowers for a first garden of one bed.",
        tags: &["garden"],
        option: "",
        lines: &[("SEEDS-1", "", [1150, 1350, 1500])],
    },
    Demo {
        slug: "hand-trowel",
        title: "Hand trowel",
        description: "Forged in one piece, with an ash handle that stays in the hand.",
        tags: &["garden"],
        option: "",
        lines: &[("TROWEL-1", "", [1600, 1850, 2050])],
    },
    Demo {
        slug: "wooden-spinning-top",
        title: "Wooden spinning top",
        description: "Maple, turned by hand. The record in our shop is two minutes and ten.",
        tags: &["toys"],
        option: "",
        lines: &[("TOP-1", "", [480, 550, 600])],
    },
];

/// Fills an empty catalog with the demo, each variant with 1,000 in stock; returns how many
/// products were made, 0 if there was any product before.
pub async fn load_demo(postgres: &Postgres) -> Result<usize, Problem> {
    let products = shop().map_err(Problem::internal)?;
    let mut client = postgres.writers.get().await?;
    let transaction = client.transaction().await?;
    if store::has_products(&transaction).await? {
        return Ok(0);
    }
    let made = match write::insert(&transaction, &products).await? {
        Insertion::Done(made) => made,
        // Somebody filled the catalog in between.
        Insertion::Taken(_) => return Ok(0),
    };
    let variants: Vec<Uuid> =
        made.iter().flat_map(|made| &made.variants).map(|id| id.uuid()).collect();
    // Nobody else knows the rows yet, so there is nothing to lock.
    write::supply(&transaction, &variants, STOCK, "demo").await?;
    write::bump_epoch(&transaction).await?;
    transaction.commit().await?;
    Ok(made.len())
}

fn shop() -> Result<Vec<NewProduct>, String> {
    let currencies: Vec<Currency> =
        ["GBP", "EUR", "USD"].iter().map(|code| code.parse()).collect::<Result<_, _>>()?;
    Ok(SHOP.iter().map(|demo| demo.product(&currencies)).collect())
}

impl Demo {
    fn product(&self, currencies: &[Currency]) -> NewProduct {
        let options: Vec<String> = [self.option]
            .into_iter()
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect();
        let variant = |(sku, value, amounts): &Line| NewVariant {
            sku: (*sku).to_owned(),
            prices: amounts
                .iter()
                .zip(currencies)
                .map(|(a, code)| Money::new(*a, *code))
                .collect(),
            options: options.iter().map(|name| (name.clone(), (*value).to_owned())).collect(),
        };
        NewProduct {
            slug: Some(self.slug.to_owned()),
            title: self.title.to_owned(),
            status: Status::Active,
            description: self.description.to_owned(),
            media: Vec::new(),
            tags: self.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            variants: self.lines.iter().map(variant).collect::<Vec<_>>(),
            options: options.clone(),
            category_ids: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::product;
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_demo_keeps_to_the_rules_of_products() {
        let shop = shop().unwrap();
        let variants = || shop.iter().flat_map(|product| &product.variants);
        let skus: BTreeSet<&str> = variants().map(|variant| variant.sku.as_str()).collect();
        assert_eq!(skus.len(), variants().count());
        assert!(variants().all(|variant| variant.prices.len() == 3));
        assert!(skus.iter().all(|sku| product::sku(sku).is_ok()));
        for made in &shop {
            assert!(product::title(&made.title).is_ok(), "{}", made.title);
            assert!(product::slug(made.slug.as_deref().unwrap()).is_ok(), "{}", made.title);
        }
        let mug = shop.iter().find(|product| product.variants[0].sku == "MUG-1").unwrap();
        assert_eq!((mug.variants.len(), mug.options.len()), (1, 0));
    }
}
