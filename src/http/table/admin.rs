//! The routes of the admin API.

use super::{Endpoint, delete, get, patch, post, to};
use crate::auth::Scope::*;
use crate::error::Code;
use crate::http::exports;
use crate::http::policy::Policy::*;
use crate::rate_limit::Class;
use crate::{catalog, inventory, order, staff};

/// All of them.
pub fn endpoints() -> Vec<Endpoint> {
    [
        admin_products(),
        admin_tree(),
        admin_orders(),
        admin_session(),
        admin_staff(),
        admin_roles(),
        admin_keys(),
    ]
    .concat()
}

/// Products and their variants, for staff.
fn admin_products() -> Vec<Endpoint> {
    use Code::*;
    vec![
        get(
            "/v1/admin/products",
            Scope(CatalogRead),
            to!(catalog::routes::products::list_admin_products),
            &[InvalidRequest, Unauthorized, Forbidden],
        ),
        post(
            "/v1/admin/products",
            Scope(CatalogWrite),
            to!(catalog::routes::products::create_product),
            &[Unauthorized, Forbidden, Conflict],
        ),
        get(
            "/v1/admin/products/{id}",
            Scope(CatalogRead),
            to!(catalog::routes::products::get_admin_product),
            &[Unauthorized, Forbidden, NotFound],
        ),
        patch(
            "/v1/admin/products/{id}",
            Scope(CatalogWrite),
            to!(catalog::routes::products::update_product),
            &[Unauthorized, Forbidden, NotFound, Conflict, VersionConflict],
        ),
        delete(
            "/v1/admin/products/{id}",
            Scope(CatalogWrite),
            to!(catalog::routes::products::delete_product),
            &[Unauthorized, Forbidden, NotFound, VersionConflict],
        ),
        post(
            "/v1/admin/products/{id}/variants",
            Scope(CatalogWrite),
            to!(catalog::routes::variants::create_variant),
            &[Unauthorized, Forbidden, NotFound, Conflict],
        ),
        get(
            "/v1/admin/variants/{id}",
            Scope(CatalogRead),
            to!(catalog::routes::variants::get_variant),
            &[Unauthorized, Forbidden, NotFound],
        ),
        patch(
            "/v1/admin/variants/{id}",
            Scope(CatalogWrite),
            to!(catalog::routes::variants::update_variant),
            &[Unauthorized, Forbidden, NotFound, Conflict, VersionConflict],
        ),
        delete(
            "/v1/admin/variants/{id}",
            Scope(CatalogWrite),
            to!(catalog::routes::variants::delete_variant),
            &[Unauthorized, Forbidden, NotFound, VersionConflict],
        ),
    ]
}

/// Categories and collections, for staff.
fn admin_tree() -> Vec<Endpoint> {
    use Code::*;
    vec![
        get(
            "/v1/admin/categories",
            Scope(CatalogRead),
            to!(catalog::routes::categories::list_admin_categories),
            &[InvalidRequest, Unauthorized, Forbidden],
        ),
        post(
            "/v1/admin/categories",
            Scope(CatalogWrite),
            to!(catalog::routes::categories::create_category),
            &[Unauthorized, Forbidden, Conflict],
        ),
        get(
            "/v1/admin/categories/{id}",
            Scope(CatalogRead),
            to!(catalog::routes::categories::get_admin_category),
            &[Unauthorized, Forbidden, NotFound],
        ),
        patch(
            "/v1/admin/categories/{id}",
            Scope(CatalogWrite),
            to!(catalog::routes::categories::update_category),
            &[Unauthorized, Forbidden, NotFound, Conflict, VersionConflict],
        ),
        delete(
            "/v1/admin/categories/{id}",
            Scope(CatalogWrite),
            to!(catalog::routes::categories::delete_category),
            &[Unauthorized, Forbidden, NotFound, Conflict, VersionConflict],
        ),
        get(
            "/v1/admin/collections",
            Scope(CatalogRead),
            to!(catalog::routes::collections::list_admin_collections),
            &[InvalidRequest, Unauthorized, Forbidden],
        ),
        post(
            "/v1/admin/collections",
            Scope(CatalogWrite),
            to!(catalog::routes::collections::create_collection),
            &[Unauthorized, Forbidden, Conflict],
        ),
        get(
            "/v1/admin/collections/{id}",
            Scope(CatalogRead),
            to!(catalog::routes::collections::get_admin_collection),
            &[Unauthorized, Forbidden, NotFound],
        ),
        patch(
            "/v1/admin/collections/{id}",
            Scope(CatalogWrite),
            to!(catalog::routes::collections::update_collection),
            &[Unauthorized, Forbidden, NotFound, Conflict, VersionConflict],
        ),
        delete(
            "/v1/admin/collections/{id}",
            Scope(CatalogWrite),
            to!(catalog::routes::collections::delete_collection),
            &[Unauthorized, Forbidden, NotFound, VersionConflict],
        ),
    ]
}

/// Stock and orders, for staff.
fn admin_orders() -> Vec<Endpoint> {
    use Code::*;
    vec![
        post(
            "/v1/admin/stock/adjustments",
            Scope(StockWrite),
            to!(inventory::routes::create_stock_adjustment),
            &[Unauthorized, Forbidden, OutOfStock],
        ),
        get(
            "/v1/admin/stock/adjustments/{id}",
            Scope(StockRead),
            to!(inventory::routes::get_stock_adjustment),
            &[Unauthorized, Forbidden, NotFound],
        ),
        get(
            "/v1/admin/stock/levels",
            Scope(StockRead),
            to!(inventory::routes::list_stock_levels),
            &[InvalidRequest, Unauthorized, Forbidden],
        ),
        get(
            "/v1/admin/stock/ledger",
            Scope(StockRead),
            to!(inventory::routes::list_stock_movements),
            &[InvalidRequest, Unauthorized, Forbidden],
        ),
        get(
            "/v1/admin/orders",
            Scope(OrdersRead),
            to!(order::routes::admin::list_orders),
            &[InvalidRequest, Unauthorized, Forbidden],
        ),
        get(
            "/v1/admin/orders/{id}",
            Scope(OrdersRead),
            to!(order::routes::admin::get_admin_order),
            &[Unauthorized, Forbidden, NotFound],
        ),
        get(
            "/v1/admin/exports/{name}",
            Scope(ExportsRead),
            to!(exports::get_export),
            &[InvalidRequest, Unauthorized, Forbidden, NotFound, Overloaded],
        ),
    ]
}

/// Staff about themselves.
fn admin_session() -> Vec<Endpoint> {
    use Code::*;
    vec![
        post(
            "/v1/admin/session/login",
            Anybody,
            to!(staff::routes::session::create_staff_login),
            &[Unauthorized, Overloaded],
        )
        .limited(Class::Login),
        get(
            "/v1/admin/session",
            Staff,
            to!(staff::routes::session::get_staff_session),
            &[Unauthorized, Forbidden],
        ),
        delete(
            "/v1/admin/session",
            Staff,
            to!(staff::routes::session::delete_staff_session),
            &[Unauthorized, Forbidden],
        ),
        post(
            "/v1/admin/session/password",
            Staff,
            to!(staff::routes::session::update_staff_password),
            &[Unauthorized, Forbidden, Overloaded],
        )
        .limited(Class::Login),
        post(
            "/v1/admin/session/totp",
            Staff,
            to!(staff::routes::factor::create_totp),
            &[Unauthorized, Forbidden, InvalidTransition, Overloaded],
        )
        .limited(Class::Login),
        post(
            "/v1/admin/session/totp/confirm",
            Staff,
            to!(staff::routes::factor::confirm_totp),
            &[Unauthorized, Forbidden, InvalidTransition],
        )
        .limited(Class::Login),
        post(
            "/v1/admin/session/totp/remove",
            Staff,
            to!(staff::routes::factor::remove_totp),
            &[Unauthorized, Forbidden, InvalidTransition, Overloaded],
        )
        .limited(Class::Login),
    ]
}

/// Staff about others.
fn admin_staff() -> Vec<Endpoint> {
    use Code::*;
    vec![
        get(
            "/v1/admin/staff",
            Scope(StaffRead),
            to!(staff::routes::list_staff),
            &[InvalidRequest, Unauthorized, Forbidden],
        ),
        post(
            "/v1/admin/staff",
            Scope(StaffWrite),
            to!(staff::routes::create_staff),
            &[Unauthorized, Forbidden, Conflict],
        ),
        post(
            "/v1/admin/invitations/accept",
            Anybody,
            to!(staff::routes::accept_invitation),
            &[Overloaded],
        )
        .limited(Class::Recover),
        get(
            "/v1/admin/staff/{id}",
            Scope(StaffRead),
            to!(staff::routes::get_staff),
            &[Unauthorized, Forbidden, NotFound],
        ),
        patch(
            "/v1/admin/staff/{id}",
            Scope(StaffWrite),
            to!(staff::routes::update_staff),
            &[Unauthorized, Forbidden, NotFound, InvalidTransition, VersionConflict],
        ),
        delete(
            "/v1/admin/staff/{id}",
            Scope(StaffWrite),
            to!(staff::routes::delete_staff),
            &[Unauthorized, Forbidden, NotFound, InvalidTransition, VersionConflict],
        ),
        post(
            "/v1/admin/staff/{id}/invitation",
            Scope(StaffWrite),
            to!(staff::routes::create_invitation),
            &[Unauthorized, Forbidden, NotFound, InvalidTransition],
        ),
    ]
}

/// What staff may do.
fn admin_roles() -> Vec<Endpoint> {
    use Code::*;
    vec![
        get(
            "/v1/admin/roles",
            Scope(StaffRead),
            to!(staff::routes::roles::list_roles),
            &[Unauthorized, Forbidden],
        ),
        post(
            "/v1/admin/roles",
            Scope(StaffWrite),
            to!(staff::routes::roles::create_role),
            &[Unauthorized, Forbidden, Conflict],
        ),
        get(
            "/v1/admin/roles/{name}",
            Scope(StaffRead),
            to!(staff::routes::roles::get_role),
            &[Unauthorized, Forbidden, NotFound],
        ),
        patch(
            "/v1/admin/roles/{name}",
            Scope(StaffWrite),
            to!(staff::routes::roles::update_role),
            &[Unauthorized, Forbidden, NotFound, InvalidTransition, VersionConflict],
        ),
        delete(
            "/v1/admin/roles/{name}",
            Scope(StaffWrite),
            to!(staff::routes::roles::delete_role),
            &[Unauthorized, Forbidden, NotFound, Conflict, VersionConflict],
        ),
    ]
}

/// The keys of programs, and who changed what.
fn admin_keys() -> Vec<Endpoint> {
    use Code::*;
    vec![
        get(
            "/v1/admin/api-keys",
            Scope(KeysRead),
            to!(staff::routes::keys::list_api_keys),
            &[InvalidRequest, Unauthorized, Forbidden],
        ),
        post(
            "/v1/admin/api-keys",
            Scope(KeysWrite),
            to!(staff::routes::keys::create_api_key),
            &[Unauthorized, Forbidden],
        ),
        get(
            "/v1/admin/api-keys/{id}",
            Scope(KeysRead),
            to!(staff::routes::keys::get_api_key),
            &[Unauthorized, Forbidden, NotFound],
        ),
        patch(
            "/v1/admin/api-keys/{id}",
            Scope(KeysWrite),
            to!(staff::routes::keys::update_api_key),
            &[Unauthorized, Forbidden, NotFound, InvalidTransition, VersionConflict],
        ),
        delete(
            "/v1/admin/api-keys/{id}",
            Scope(KeysWrite),
            to!(staff::routes::keys::delete_api_key),
            &[Unauthorized, Forbidden, NotFound, VersionConflict],
        ),
        post(
            "/v1/admin/api-keys/{id}/rotate",
            Scope(KeysWrite),
            to!(staff::routes::keys::rotate_api_key),
            &[Unauthorized, Forbidden, NotFound, InvalidTransition],
        ),
        get(
            "/v1/admin/audit-log",
            Scope(AuditRead),
            to!(staff::routes::audit::list_audit_entries),
            &[InvalidRequest, Unauthorized, Forbidden],
        ),
    ]
}
