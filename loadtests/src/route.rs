//! The route of a request, as the product's own route table would name it.

use hyper::Method;

/// Segments that are followed by the id or the slug of one of them.
const COLLECTIONS: &[&str] = &[
    "adjustments",
    "categories",
    "collections",
    "items",
    "media",
    "orders",
    "products",
    "sessions",
    "variants",
];

/// `GET /v1/products/{id}`: method and path, without the query, and with ids and slugs
/// collapsed, so that there are as many labels as routes and not as products.
pub fn label(method: &Method, path: &str) -> String {
    let path = path.split(['?', '#']).next().unwrap_or(path);
    let mut label = format!("{method} ");
    let mut before = "";
    for (n, segment) in path.split('/').enumerate() {
        if n > 0 {
            label.push('/');
        }
        let is_named = COLLECTIONS.contains(&before) && !segment.is_empty();
        label.push_str(if is_named || is_id(segment) { "{id}" } else { segment });
        before = segment;
    }
    label
}

/// A number, a UUID, or an id with its kind in front: `ord_01hx…`.
fn is_id(segment: &str) -> bool {
    let is_number = !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_digit());
    let is_typed = segment.split_once('_').is_some_and(|(kind, id)| {
        !kind.is_empty() && id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    is_number || is_typed || uuid::Uuid::try_parse(segment).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_slugs_are_collapsed_and_queries_dropped() {
        let cases = [
            ("/v1/products?limit=20&tag=a%2Fb", "GET /v1/products"),
            ("/v1/products/red-mug", "GET /v1/products/{id}"),
            ("/v1/products/prod_01hzx3v8k9m2n4p6q8r0s2t4v6", "GET /v1/products/{id}"),
            ("/v1/orders/ord_01hzx3v8k9m2n4p6q8r0s2t4v6/pay", "GET /v1/orders/{id}/pay"),
            ("/v1/cart", "GET /v1/cart"),
            ("/v1/cart/checkout", "GET /v1/cart/checkout"),
            ("/v1/cart/items/line_1", "GET /v1/cart/items/{id}"),
            ("/v1/admin/stock/adjustments", "GET /v1/admin/stock/adjustments"),
            ("/v1/notes/0190f3b6-7c1e-7000-8000-000000000001", "GET /v1/notes/{id}"),
            ("/", "GET /"),
            ("", "GET "),
        ];
        for (path, expected) in cases {
            assert_eq!(label(&Method::GET, path), expected, "{path}");
        }
    }
}
