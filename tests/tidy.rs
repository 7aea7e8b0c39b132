//! The architecture as a test: the tree is read as text, and every rule names the file, the line
//! and how to mend it.
//!
//! A rule is a function from a file to findings. Next to it stand a test that the tree keeps it,
//! which fails if there is nothing to look at, and one that a planted violation is found. What a
//! rule cannot know by itself stands here: limits, exceptions with their reasons, checksums.

mod tidy {
    mod codes;
    mod dependencies;
    mod documents;
    mod evidence;
    mod layers;
    mod manifests;
    mod migrations;
    mod names;
    mod paths;
    mod roles;
    mod routes;
    mod scan;
    mod shards;
    mod simulation;
    mod size;
    mod sql;
    mod status;
    mod tree;
    mod words;
}

/// Lines in a file: what a reader keeps in mind.
const FILE_LINES_MAX: usize = 500;

/// Characters in a line: two files fit side by side.
const COLUMNS_MAX: usize = 100;

/// Lines in a function, from `fn` to its closing brace: one screen.
const FUNCTION_LINES_MAX: usize = 70;

/// Words in a test's name: a sentence has a subject, a verb and what is claimed.
const TEST_NAME_WORDS_MIN: usize = 4;

/// Where standard output and error belong to the person at the terminal. Elsewhere `tracing`.
const MAY_PRINT: &[&str] = &["src/main.rs", "src/cli/", "src/embedded/"];

/// Where SQL may stand besides the stores of features.
const MAY_HOLD_SQL: &[&str] = &[
    "src/audit.rs",
    "src/auth/",
    "src/embedded/",
    "src/idempotency.rs",
    "src/journal/transaction.rs",
    "src/migrate.rs",
    "src/postgres/mod.rs",
    "src/retention.rs",
    "src/verify.rs",
];

/// The only file that begins and ends transactions by hand: it must see every statement's answer.
const MAY_BEGIN_AND_COMMIT: &str = "src/journal/";

/// The tables that could be distributed over several servers, and by what.
const DISTRIBUTED: &[(&str, &str)] = &[
    ("carts", "shopper_id"),
    ("idempotency_keys", "scope"),
    ("order_lines", "order_id"),
    ("orders", "id"),
    ("payments", "order_id"),
    ("stock", "variant_id"),
    ("stock_ledger", "variant_id"),
];

/// Functions and constants whose statements may ask all of these servers, though somebody waits for
/// an answer: they are not on the way of an order, and a shopper has few carts and orders.
const REQUESTS_THAT_ASK_ALL_SHARDS: &[(&str, &str)] = &[
    // A list of products of which some must be in stock.
    ("src/catalog/store/search.rs", "IN_STOCK"),
    // A guest logs in.
    ("src/order/store/hand_over.rs", "hand_over"),
    // "My orders".
    ("src/order/store/read.rs", "list_of_shopper"),
];

/// Those off that way: invariants, exports, staff's lists, the erasure of a customer, and what is
/// due by itself.
const MAY_ASK_ALL_SHARDS: &[(&str, &str)] = &[
    ("src/cart/store/checks.rs", "CHECKS"),
    ("src/cart/store/mod.rs", "SWEEPS"),
    ("src/inventory/store/export.rs", "levels"),
    ("src/inventory/store/ledger.rs", "ledger"),
    ("src/inventory/store/ledger.rs", "ledger_after"),
    ("src/inventory/store/mod.rs", "CHECKS"),
    ("src/inventory/store/mod.rs", "levels"),
    ("src/order/store/checks.rs", "CHECKS"),
    ("src/order/store/erase.rs", "is_waiting"),
    ("src/order/store/erase.rs", "page_of_shopper"),
    ("src/order/store/erase.rs", "redact_page"),
    ("src/order/store/erase.rs", "untie"),
    ("src/order/store/export.rs", "lines"),
    ("src/order/store/export.rs", "orders"),
    ("src/order/store/read.rs", "candidates_for_expiry"),
    ("src/order/store/read.rs", "take_unsettled"),
    ("src/order/store/search.rs", "look"),
];

/// Where HTTP statuses may stand besides the routes of features: the middleware, the statuses of
/// errors, and the statuses of replies that are saved and sent again.
const MAY_KNOW_STATUSES: &[&str] = &["src/error.rs", "src/http/", "src/idempotency.rs"];

/// Registers that anybody may use: they know no feature.
const OPEN_REGISTERS: &[&str] = &["metrics", "migrate"];

/// What handlers do. Their names are a verb and a noun, and are the ids of the operations.
const VERBS: &[&str] = &[
    "accept", "add", "cancel", "checkout", "claim", "confirm", "create", "delete", "get", "list",
    "pay", "place", "remove", "rotate", "update", "verify",
];

/// Handlers that serve pages for people, which the OpenAPI document does not describe.
const UNDESCRIBED_HANDLERS: &[&str] = &["get_docs", "get_error_docs"];

/// Folder and module names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["common", "core", "helpers", "models", "services", "utils"];

/// FNV-1a (64 bits) of every migration. A merged migration never changes: databases have run it,
/// and refuse to start with another one. To change the schema, add a migration.
const CHECKSUMS: &[(&str, u64)] = &[
    ("0001_first_sale.sql", 0x879c4ce15db4cfd7),
    ("0002_catalog.sql", 0xa9f6250770d257e3),
    ("0003_search.sql", 0xbc41472d7d9d9c37),
    ("0004_sessions_and_carts.sql", 0xc8dde11dd8e98d0c),
    ("0005_checkout.sql", 0xa51c762001f88c6c),
    ("0006_customers.sql", 0xe33319221d1355d3),
    ("0007_mail.sql", 0x28e1847851a23bb1),
    ("0008_staff.sql", 0xc3be7b4f516d38b1),
    ("0009_oldest_binary.sql", 0xc4acdac10583d13d),
    ("0010_partitions.sql", 0xd1835c2f6c63d399),
];
