//! Exports: every feature's tables, in one shape.

use crate::auth::{Admin, Scope};
use crate::error::Problem;
use crate::export::{self, Exports, Format, Page};
use crate::postgres::Postgres;
use crate::query::{Params, Period};
use crate::{audit, catalog, inventory, order};
use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse, web};
use std::future::Future;

/// Everything there is of one kind, as a file.
///
/// It is read page by page while it is sent, so it is no snapshot: what changes meanwhile may be
/// in it or not. A connection that ends before the answer does means that the file is not whole.
/// In CSV, texts that a spreadsheet would run as a formula begin with an apostrophe. Amounts are
/// minor units of `currency`.
#[utoipa::path(
    get, path = "/v1/admin/exports/{name}", tag = "admin",
    params(
        ("name" = String, Path, description = "`orders`, `order-lines`, `products`, \
            `stock-levels`, `stock-ledger`, or `audit-log`, which needs `audit:read`, too",
            example = "orders"),
        ("format" = Option<String>, Query, pattern = "^(csv|ndjson)$",
            description = "`csv`, unless told, or `ndjson`", example = "csv"),
        ("created_from" = Option<OffsetDateTime>, Query,
            description = "Orders, their lines and the ledger: from this time on, RFC 3339",
            example = "2026-11-27T09:00:00Z"),
        ("created_to" = Option<OffsetDateTime>, Query, description = "… and before this time",
            example = "2026-11-28T00:00:00Z"),
    ),
    security(("admin_key" = [])),
    responses((status = 200, description = "The file", content(
        (String = "text/csv", example = "order_id,id,number,sku\r\n"),
        (String = "application/x-ndjson", example = "{\"sku\":\"MUG-1\"}"),
    ), headers(("Content-Disposition" = String)))),
)]
pub async fn get_export(
    admin: Admin,
    request: HttpRequest,
    name: web::Path<String>,
    mut params: Params,
    exports: web::Data<Exports>,
    postgres: web::Data<Postgres>,
) -> Result<HttpResponse, Problem> {
    let format = params.parsed("format", "must be csv or ndjson")?.unwrap_or(Format::Csv);
    let has_times = ["orders", "order-lines", "stock-ledger", "audit-log"].contains(&&**name);
    let created = if has_times { params.created()? } else { Period::default() };
    params.finish()?;
    let file = File { request, name: &name, format, exports: &exports };
    let readers = postgres.readers.clone();
    match &**name {
        "orders" => {
            use order::store::export::{ORDERS, orders};
            file.send(ORDERS, move |after| orders(readers.clone(), created, after)).await
        }
        "order-lines" => {
            use order::store::export::{LINES, lines};
            file.send(LINES, move |after| lines(readers.clone(), created, after)).await
        }
        "products" => {
            use catalog::store::export::{PRODUCTS, products};
            file.send(PRODUCTS, move |after| products(readers.clone(), after)).await
        }
        "stock-levels" => {
            use inventory::store::export::{LEVELS, levels};
            file.send(LEVELS, move |after| levels(readers.clone(), after)).await
        }
        "stock-ledger" => {
            use inventory::store::export::{LEDGER, ledger};
            file.send(LEDGER, move |after| ledger(readers.clone(), created, after)).await
        }
        "audit-log" => {
            admin.require(Scope::AuditRead)?;
            file.send(audit::EXPORT, move |after| audit::export(readers.clone(), created, after))
                .await
        }
        _ => Err(Problem::not_found("export")),
    }
}

/// What is asked for.
struct File<'r> {
    request: HttpRequest,
    name: &'r str,
    format: Format,
    exports: &'r Exports,
}

impl File<'_> {
    async fn send<K, F, R>(
        self,
        columns: &'static [&'static str],
        read: F,
    ) -> Result<HttpResponse, Problem>
    where
        K: 'static,
        F: Fn(Option<K>) -> R + 'static,
        R: Future<Output = Result<Page<K>, Problem>> + 'static,
    {
        let Self { request, name, format, exports } = self;
        let disposition = format!("attachment; filename=\"{name}.{}\"", format.ending());
        let mut response = HttpResponse::Ok();
        response.content_type(format.content_type());
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        response.insert_header((header::CONTENT_DISPOSITION, disposition));
        if request.method() == Method::HEAD {
            return Ok(response.finish());
        }
        let bytes = export::stream(format, columns, exports.begin()?, read).await?;
        Ok(response.streaming(bytes))
    }
}
