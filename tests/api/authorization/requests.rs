//! A good request for each operation, about things of its own.

use super::world::{Customers, PASSWORD, World, address, text};
use crate::harness::{gbp, invited_by_hand, order_of, post};
use serde_json::{Value, json};

/// What is asked.
#[derive(Default)]
pub struct Ask {
    /// What stands for the braces of the path.
    pub id: String,
    pub query: &'static str,
    pub body: Option<Value>,
    /// What nobody but the customer may read in an answer of the store.
    pub private: Vec<String>,
}

impl Ask {
    fn at(id: &Value) -> Self {
        Self { id: text(id), ..Self::default() }
    }

    fn with(body: Value) -> Self {
        Self { body: Some(body), ..Self::default() }
    }

    fn and(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    fn private(self, secret: &Value) -> Self {
        Self { private: vec![text(secret)], ..self }
    }
}

/// The request of an operation.
pub async fn ask(world: &World, customers: &Customers, operation: &str) -> Ask {
    if let Some(ask) = of_the_store(world, customers, operation).await {
        return ask;
    }
    if let Some(ask) = of_accounts(world, customers, operation).await {
        return ask;
    }
    if let Some(ask) = of_customers(world, customers, operation).await {
        return ask;
    }
    if let Some(ask) = of_the_catalog(world, operation).await {
        return ask;
    }
    if let Some(ask) = of_staff(world, operation).await {
        return ask;
    }
    if let Some(ask) = of_keys(world, operation).await {
        return ask;
    }
    match operation {
        "create_stock_adjustment" => {
            let sku = &world.product().await["variants"][0]["sku"];
            Ask::with(json!({"sku": sku, "quantity": 5, "reason": "found"}))
        }
        "get_stock_adjustment" => {
            let sku = &world.product().await["variants"][0]["sku"];
            let body = json!({"sku": sku, "quantity": 5, "reason": "found"});
            Ask::at(&world.make("/v1/admin/stock/adjustments", &body).await["id"])
        }
        "list_stock_movements" => Ask { query: "?sku=SKU-0", ..Ask::default() },
        "get_export" => Ask { id: "orders".to_owned(), ..Ask::default() },
        "get_admin_order" => Ask::at(&world.invoiced_order(customers).await["id"]),
        "get_picture" => Ask { id: "mug".to_owned(), ..Ask::default() },
        _ => Ask::default(),
    }
}

async fn of_the_store(world: &World, customers: &Customers, operation: &str) -> Option<Ask> {
    Some(match operation {
        "get_product" => Ask::at(&world.product().await["id"]),
        "get_category" => {
            let body = json!({"title": format!("Category {}", world.number())});
            Ask::at(&world.make("/v1/admin/categories", &body).await["slug"])
        }
        "get_collection" => {
            let body = json!({"title": format!("Collection {}", world.number())});
            Ask::at(&world.make("/v1/admin/collections", &body).await["slug"])
        }
        "get_session" | "get_customer" => Ask::default().private(&json!(customers.ada)),
        "get_cart" => Ask::default().private(&world.filled_cart(customers).await),
        "update_cart" => Ask::with(json!({"email": "me@example.com"}))
            .private(&world.filled_cart(customers).await),
        "add_cart_items" => {
            let private = world.filled_cart(customers).await;
            let sku = world.product().await["variants"][0]["sku"].clone();
            Ask::with(json!({"sku": sku, "quantity": 1})).private(&private)
        }
        "update_cart_item" => {
            Ask::at(&world.filled_cart(customers).await).and(json!({"quantity": 3}))
        }
        "remove_cart_item" => Ask::at(&world.filled_cart(customers).await),
        "checkout_cart" => {
            world.filled_cart(customers).await;
            Ask::with(json!({"payment": {"provider": "manual"}}))
        }
        "place_order" => {
            let sku = text(&world.product().await["variants"][0]["sku"]);
            Ask::with(order_of(&[(&sku, 1)]))
        }
        "list_session_orders" => {
            Ask::default().private(&world.invoiced_order(customers).await["id"])
        }
        "get_order" => {
            let order = world.invoiced_order(customers).await;
            Ask::at(&order["id"]).private(&json!(customers.ada))
        }
        "cancel_order" => {
            let order = world.invoiced_order(customers).await;
            Ask::at(&order["id"]).and(json!({})).private(&json!(customers.ada))
        }
        "pay_order" => {
            let order =
                world.order(customers, json!({"provider": "test", "token": "decline"})).await;
            let body = json!({"provider": "test", "token": "ok"});
            Ask::at(&order["id"]).and(body).private(&json!(customers.ada))
        }
        _ => return None,
    })
}

async fn of_accounts(world: &World, customers: &Customers, operation: &str) -> Option<Ask> {
    Some(match operation {
        "create_customer" => {
            let email = format!("new-{}@example.com", world.number());
            Ask::with(json!({"email": email, "password": PASSWORD}))
        }
        "create_login" => Ask::with(json!({"email": customers.ada, "password": PASSWORD})),
        "verify_email" => {
            let token = world.mailed_token(&customers.ada, "Confirm your e-mail address").await;
            Ask::with(json!({"token": token}))
        }
        "confirm_password_reset" => {
            let body = json!({"email": customers.ada});
            post(&world.app, "/v1/customers/password-reset", &body).await;
            let token = world.mailed_token(&customers.ada, "Choose a new password").await;
            Ask::with(json!({"token": token, "password": "a moth in the relay"}))
        }
        "create_password_reset" => Ask::with(json!({"email": customers.ada})),
        "create_verification" => Ask::with(json!({})),
        "update_password" => {
            Ask::with(json!({"current_password": PASSWORD, "password": "a moth in the relay"}))
        }
        "update_email" => {
            let email = format!("else-{}@example.com", world.number());
            Ask::with(json!({"password": PASSWORD, "email": email}))
        }
        _ => return None,
    })
}

async fn of_customers(world: &World, customers: &Customers, operation: &str) -> Option<Ask> {
    Some(match operation {
        "update_customer" => {
            Ask::with(json!({"name": "Somebody"})).private(&json!(customers.ada))
        }
        "delete_customer_session" => {
            let token = world.customer_token(&customers.ada).await;
            let path = format!("{}/v1/session", world.app.url);
            let request = world.app.http.get(path).bearer_auth(token).send().await.unwrap();
            Ask::at(&request.json::<Value>().await.unwrap()["id"])
        }
        "claim_order" => {
            let token = world.mailed_token(&customers.ada, "Confirm your e-mail address").await;
            post(&world.app, "/v1/customers/verify-email", &json!({"token": token})).await;
            let mut order = order_of(&[(&text(&world.product().await["variants"][0]["sku"]), 1)]);
            order["email"] = json!(customers.ada);
            let order = world.app.place(&order).await.ok(201);
            Ask::with(json!({"order_id": order["id"]})).private(&json!(customers.ada))
        }
        "get_customer_export" => Ask::default().private(&json!(customers.ada)),
        "list_addresses" => Ask::default().private(&world.saved_address(customers).await["id"]),
        "create_address" => Ask::with(json!({"address": address()})),
        "get_address" => {
            let id = world.saved_address(customers).await["id"].clone();
            Ask::at(&id).private(&id)
        }
        "remove_address" => Ask::at(&world.saved_address(customers).await["id"]),
        "update_address" => {
            let id = world.saved_address(customers).await["id"].clone();
            Ask::at(&id).and(json!({"is_default": true})).private(&json!("St James"))
        }
        _ => return None,
    })
}

async fn of_the_catalog(world: &World, operation: &str) -> Option<Ask> {
    let title = json!({"title": format!("Thing {}", world.number())});
    let made = async |path: &str| world.make(path, &title).await["id"].clone();
    let variant = async || world.product().await["variants"][0]["id"].clone();
    let sku = format!("NEW-{}", world.number());
    let new = json!({"sku": sku, "prices": [gbp(100)]});
    Some(match operation {
        "create_product" => Ask::with(json!({"title": "Mug", "variants": [new]})),
        "get_admin_product" | "delete_product" => Ask::at(&world.product().await["id"]),
        "update_product" => Ask::at(&world.product().await["id"]).and(title),
        "create_variant" => {
            let body = json!({"title": "Shirt", "options": ["size"], "variants": [
                {"sku": format!("{sku}-L"), "prices": [gbp(100)], "options": {"size": "L"}}]});
            let product = world.make("/v1/admin/products", &body).await;
            let body = json!({"sku": sku, "prices": [gbp(100)], "options": {"size": "S"}});
            Ask::at(&product["id"]).and(body)
        }
        "get_variant" | "delete_variant" => Ask::at(&variant().await),
        "update_variant" => Ask::at(&variant().await).and(json!({"prices": [gbp(120)]})),
        "create_category" | "create_collection" => Ask::with(title),
        "get_admin_category" | "delete_category" => Ask::at(&made("/v1/admin/categories").await),
        "update_category" => {
            Ask::at(&made("/v1/admin/categories").await).and(json!({"position": 2}))
        }
        "get_admin_collection" | "delete_collection" => {
            Ask::at(&made("/v1/admin/collections").await)
        }
        "update_collection" => {
            Ask::at(&made("/v1/admin/collections").await).and(json!({"title": "Summer"}))
        }
        _ => return None,
    })
}

async fn of_staff(world: &World, operation: &str) -> Option<Ask> {
    let member = async || world.staff_member("read-only").await;
    let role = async || {
        let name = format!("role-{}", world.number());
        let body = json!({"name": name, "scopes": ["stock:read"]});
        world.make("/v1/admin/roles", &body).await["name"].clone()
    };
    let password = json!({"password": PASSWORD});
    Some(match operation {
        "create_staff_login" => {
            Ask::with(json!({"email": world.staff_email("support").await, "password": PASSWORD}))
        }
        "update_staff_password" => {
            Ask::with(json!({"current_password": PASSWORD, "password": "a moth in the relay"}))
        }
        "create_totp" => Ask::with(password),
        // Nothing is being set up: whoever gets this far is refused for that reason.
        "confirm_totp" => Ask::with(json!({"code": "000000"})),
        "remove_totp" => Ask::with(json!({"password": PASSWORD, "code": "000000"})),
        "create_staff" => {
            let email = format!("hired-{}@example.com", world.number());
            // A role of nothing but this, so that one's own scopes do not decide.
            Ask::with(json!({"email": email, "name": "Grace", "role": "doorkeeper"}))
        }
        "accept_invitation" => {
            let email = format!("hired-{}@example.com", world.number());
            let token = invited_by_hand(&world.app, &email, "support");
            Ask::with(json!({"token": token, "password": PASSWORD}))
        }
        "get_staff" => Ask::at(&member().await["id"]),
        "update_staff" | "delete_staff" | "create_invitation" => {
            let staff = world.staff_member("doorkeeper").await;
            let ask = Ask::at(&staff["id"]);
            match operation {
                "update_staff" => ask.and(json!({"name": "Hopper"})),
                "create_invitation" => ask.and(json!({})),
                _ => ask,
            }
        }
        "get_role" => Ask::at(&role().await),
        "create_role" => {
            let name = format!("role-{}", world.number());
            Ask::with(json!({"name": name, "scopes": ["staff:write"]}))
        }
        "update_role" | "delete_role" => {
            let name = format!("role-{}", world.number());
            let body = json!({"name": name, "scopes": ["staff:write"]});
            let ask = Ask::at(&world.make("/v1/admin/roles", &body).await["name"]);
            match operation {
                "update_role" => ask.and(json!({"scopes": ["staff:write"]})),
                _ => ask,
            }
        }
        _ => return None,
    })
}

async fn of_keys(world: &World, operation: &str) -> Option<Ask> {
    let key = async || {
        let body = json!({"name": "Key", "scopes": ["stock:read"]});
        world.make("/v1/admin/api-keys", &body).await["id"].clone()
    };
    Some(match operation {
        "get_api_key" => Ask::at(&key().await),
        "create_api_key" => Ask::with(json!({"name": "Key", "scopes": ["keys:write"]})),
        "update_api_key" | "delete_api_key" | "rotate_api_key" => {
            let body = json!({"name": "Key", "scopes": ["keys:write"]});
            let ask = Ask::at(&world.make("/v1/admin/api-keys", &body).await["id"]);
            match operation {
                "update_api_key" => ask.and(json!({"name": "Key 2"})),
                "rotate_api_key" => ask.and(json!({"overlap_seconds": 60})),
                _ => ask,
            }
        }
        _ => return None,
    })
}
