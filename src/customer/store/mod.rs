//! The SQL of customers. Each statement about one of them names whose it is.

pub mod addresses;
pub mod erasure;
pub mod tokens;

use super::customer::{Customer, email_key};
use crate::auth::{Secrets, TokenHash};
use crate::cart;
use crate::error::{Code, Problem};
use crate::id::{CustomerId, OrderId, ShopperId};
use crate::idempotency;
use crate::order;
use crate::postgres::{Postgres, begin, commit, reader};
use crate::retention::Sweep;
use crate::session::{self, NewSession, Periods, Session};
use crate::session::{customer_scope, guest_scope};
use deadpool_postgres::Pool;
use tokens::Purpose;
use tokio_postgres::Row;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

/// What is not kept for ever.
pub const SWEEPS: &[Sweep] = &[Sweep {
    table: "customer_tokens",
    since: "expires_at",
    only: "true",
    keep: |_| std::time::Duration::from_secs(60 * 60),
}];

/// The columns that [`read`] reads.
const COLUMNS: &str =
    "id, email, email_verified_at IS NOT NULL, name, phone, version, created_at";

fn read(row: &Row) -> Customer {
    Customer {
        id: row.get::<_, Uuid>(0).into(),
        email: row.get(1),
        is_email_verified: row.get(2),
        name: row.get(3),
        phone: row.get(4),
        version: row.get(5),
        created_at: row.get(6),
    }
}

/// Someone who registers.
pub struct NewCustomer {
    /// Where to write to.
    pub email: String,
    /// The hash of the password.
    pub password_hash: String,
    /// How to address them.
    pub name: Option<String>,
    /// How to call them.
    pub phone: Option<String>,
}

/// Adds a customer, and sends the mail that verifies the address; `conflict` if it has an account
/// already.
pub async fn create(
    writers: &Pool,
    secrets: &Secrets,
    new: &NewCustomer,
) -> Result<Customer, Problem> {
    let sql = format!(
        "INSERT INTO customers (id, email, email_key, password_hash, name, phone)
         VALUES ($1, $2, $3, $4, $5, $6) RETURNING {COLUMNS}"
    );
    let NewCustomer { email, password_hash, name, phone } = new;
    let (id, key) = (CustomerId::new(), email_key(email));
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    let statement = transaction.prepare_cached(&sql).await?;
    let params: [&(dyn ToSql + Sync); 6] = [&id.uuid(), email, &key, password_hash, name, phone];
    let row = match transaction.query_one(&statement, &params).await {
        Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => return Err(taken()),
        row => row?,
    };
    tokens::send(&transaction, secrets, Some(id), Purpose::VerifyEmail, email).await?;
    commit(transaction).await?;
    Ok(read(&row))
}

/// The address has an account.
fn taken() -> Problem {
    Problem::new(Code::Conflict, "This e-mail address has an account: log in.")
}

/// The customer.
pub async fn find(readers: &Pool, id: CustomerId) -> Result<Customer, Problem> {
    let sql = format!("SELECT {COLUMNS} FROM customers WHERE id = $1");
    let client = reader(readers).await?;
    let statement = client.prepare_cached(&sql).await?;
    let row = client.query_opt(&statement, &[&id.uuid()]).await?;
    // The session is believed for a moment longer than the account exists.
    Ok(read(&row.ok_or_else(session::unauthorized)?))
}

/// Locks the customer, lets `change` change the profile, and saves it if it did.
pub async fn update(
    writers: &Pool,
    id: CustomerId,
    change: impl FnOnce(&mut Customer) -> Result<(), Problem>,
) -> Result<Customer, Problem> {
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    let sql = format!("SELECT {COLUMNS} FROM customers WHERE id = $1 FOR UPDATE");
    let row = transaction.query_opt(&sql, &[&id.uuid()]).await?;
    let before = read(&row.ok_or_else(session::unauthorized)?);
    let mut after = before.clone();
    change(&mut after)?;
    if after == before {
        return Ok(before);
    }
    let sql = "UPDATE customers SET name = $2, phone = $3, version = version + 1,
                   updated_at = now()
               WHERE id = $1 RETURNING version";
    let row = transaction.query_one(sql, &[&id.uuid(), &after.name, &after.phone]).await?;
    commit(transaction).await?;
    Ok(Customer { version: row.get(0), ..after })
}

/// What an account is opened with.
pub struct Login {
    /// Whose.
    pub customer: CustomerId,
    /// The hash of the password.
    pub password_hash: String,
    /// Its address.
    pub email: String,
}

fn read_login(row: &Row) -> Login {
    Login { customer: row.get::<_, Uuid>(0).into(), password_hash: row.get(1), email: row.get(2) }
}

/// The account with this address.
pub async fn login_of(readers: &Pool, email: &str) -> Result<Option<Login>, Problem> {
    let sql = "SELECT id, password_hash, email FROM customers WHERE email_key = $1";
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    let row = client.query_opt(&statement, &[&email_key(email)]).await?;
    Ok(row.as_ref().map(read_login))
}

/// The account of this customer.
pub async fn own_login(readers: &Pool, id: CustomerId) -> Result<Login, Problem> {
    let sql = "SELECT id, password_hash, email FROM customers WHERE id = $1";
    let client = reader(readers).await?;
    let statement = client.prepare_cached(sql).await?;
    let row = client.query_opt(&statement, &[&id.uuid()]).await?;
    row.as_ref().map(read_login).ok_or_else(session::unauthorized)
}

/// Logs a customer in whose password was right: in one transaction the session that they came with
/// ends, a new one begins, and what the guest put into the cart and ordered is theirs, with the
/// keys of those requests; what is being paid is waited for. `None` if the password was changed
/// meanwhile.
pub async fn log_in(
    postgres: &Postgres,
    login: &Login,
    former: Option<&(TokenHash, Session)>,
    new: &NewSession,
    periods: Periods,
) -> Result<Option<Session>, Problem> {
    let guest = former.filter(|(_, session)| session.customer.is_none());
    let guest = guest.map(|(_, session)| guest_scope(session.id));
    if let Some(guest) = &guest {
        idempotency::until_replied(&postgres.readers, guest).await?;
    }
    let mut client = postgres.writers.get().await?;
    let mut transaction = begin(&mut client).await?;
    if let Some(guest) = guest {
        let customer = customer_scope(login.customer);
        idempotency::hand_over(&mut transaction, &guest, &customer).await?;
    }
    let sql = "SELECT FROM customers WHERE id = $1 AND password_hash = $2 FOR SHARE";
    let (id, hash) = (login.customer.uuid(), &login.password_hash);
    let statement = transaction.prepare_cached(sql).await?;
    if transaction.query_opt(&statement, &[&id, hash]).await?.is_none() {
        return Ok(None);
    }
    let (guest, session) = session::log_in(
        &transaction,
        former.map(|(token, _)| token),
        new,
        login.customer,
        periods,
    )
    .await?;
    if let Some(guest) = guest {
        let guest = ShopperId::from(guest.uuid());
        cart::store::merge(&transaction, guest, session.shopper()).await?;
        order::store::hand_over(&transaction, guest, session.shopper()).await?;
    }
    commit(transaction).await?;
    Ok(Some(session))
}

/// A guest's order becomes the customer's, if it was placed with their verified address. Tells
/// whether it has.
pub async fn claim(writers: &Pool, id: CustomerId, order: OrderId) -> Result<bool, Problem> {
    let mut client = writers.get().await?;
    let transaction = begin(&mut client).await?;
    // Neither the address changes meanwhile, nor is the customer erased.
    let sql = "SELECT email_key, email_verified_at IS NOT NULL FROM customers WHERE id = $1
               FOR SHARE";
    let row = transaction.query_opt(sql, &[&id.uuid()]).await?;
    let row = row.ok_or_else(session::unauthorized)?;
    if !row.get::<_, bool>(1) {
        return Err(Problem::new(Code::Forbidden, "Verify the account's e-mail address first."));
    }
    let is_theirs = |email: &str| email_key(email) == row.get::<_, &str>(0);
    let shopper = id.uuid().into();
    let is_claimed = order::store::claim(&transaction, order, shopper, is_theirs).await?;
    commit(transaction).await?;
    Ok(is_claimed)
}
