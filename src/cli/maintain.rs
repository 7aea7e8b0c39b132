//! `migrate`, `partitions`, `import`, `staff` and `verify`: work on a database without serving.

use super::Database;
use doorbuster::app::{DatabaseRuntime, growths, postgres_options};
use doorbuster::auth::Admin;
use doorbuster::catalog::{ImportOptions, import_file, load_demo};
use doorbuster::config::Sources;
use doorbuster::postgres::{Options, Postgres};
use doorbuster::staff::{Invitation, NewStaff, invite};
use doorbuster::{migrate, partitions, verify};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use time::Date;

/// Runs `work` on the database that is meant.
fn with_database<T, F>(
    sources: Sources,
    database: &Database,
    work: impl FnOnce(Postgres) -> F,
) -> Result<T, String>
where
    F: Future<Output = Result<T, String>>,
{
    let config = database.config(sources)?;
    let runtime = DatabaseRuntime::start(1)?;
    // Nobody waits for a command behind a proxy. An import may wait for another one's dry run,
    // which goes on for as long as its input comes.
    let options = Options { write_max: Duration::ZERO, ..postgres_options(&config) };
    let postgres = Postgres::new(&options, runtime.handle())?;
    runtime.handle().block_on(work(postgres))
}

/// Brings the schema up to this binary's version, and lets that role serve.
pub fn migrate(
    sources: Sources,
    database: &Database,
    role: Option<&str>,
) -> Result<ExitCode, String> {
    let applied = with_database(sources, database, async |postgres: Postgres| {
        let applied = migrate::run(&postgres).await?;
        if let Some(role) = role {
            migrate::grant(&postgres, role).await?;
        }
        Ok(applied)
    })?;
    match applied {
        0 => println!("The schema is up to date."),
        1 => println!("Applied 1 migration."),
        count => println!("Applied {count} migrations."),
    }
    if let Some(role) = role {
        println!("The role {role} may serve.");
    }
    Ok(ExitCode::SUCCESS)
}

/// Divides the tables that grow, keeps them so, and archives what is older than a day.
pub fn partitions(
    sources: Sources,
    database: &Database,
    archive_before: Option<Date>,
    today: Date,
) -> Result<ExitCode, String> {
    let retention = database.config(sources.clone())?.retention;
    with_database(sources, database, async |postgres: Postgres| {
        migrate::check(&postgres).await?;
        let run = partitions::Run { growths: growths(), retention, today, archive_before };
        run.go(&postgres, |what| println!("{what}")).await
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Imports products; exit code 1 if some rows could not be.
pub fn import_catalog(
    sources: Sources,
    database: &Database,
    file: &Path,
    stock: Option<i64>,
    dry_run: bool,
) -> Result<ExitCode, String> {
    let options = ImportOptions { stock, dry_run, ..ImportOptions::default() };
    let report = with_database(sources, database, async |postgres: Postgres| {
        migrate::check(&postgres).await?;
        import_file(&postgres, file, options).await.map_err(|error| error.to_string())
    })?;
    println!("{report}");
    Ok(if report.errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Invites somebody to the staff.
pub fn create_staff(
    sources: Sources,
    database: &Database,
    new: &NewStaff,
) -> Result<ExitCode, String> {
    let invitation = Invitation::by_hand();
    let staff = with_database(sources, database, async |postgres: Postgres| {
        migrate::check(&postgres).await?;
        let admin = Admin::command_line("create_staff");
        invite(&postgres, &admin, &invitation, new).await.map_err(|problem| problem.detail)
    })?;
    let (email, role, token) = (staff.email, staff.role, invitation.expose());
    println!("{email} is invited as {role}. Within three days, choose a password with");
    println!();
    println!("  POST /v1/admin/invitations/accept");
    println!("  {{\"token\": \"{token}\", \"password\": \"…\"}}");
    println!();
    println!("and log in with POST /v1/admin/session/login.");
    Ok(ExitCode::SUCCESS)
}

/// Loads the demo catalog into an empty shop.
pub fn import_demo(sources: Sources, database: &Database) -> Result<ExitCode, String> {
    let count = with_database(sources, database, async |postgres: Postgres| {
        migrate::check(&postgres).await?;
        load_demo(&postgres).await.map_err(|error| error.to_string())
    })?;
    match count {
        0 => println!("The shop has a catalog already."),
        count => println!("{count} products."),
    }
    Ok(ExitCode::SUCCESS)
}

/// Checks the invariants.
pub fn verify(sources: Sources, database: &Database, json: bool) -> ExitCode {
    let report = with_database(sources, database, async |postgres: Postgres| {
        migrate::check(&postgres).await?;
        verify::run(&postgres).await
    });
    match report {
        Ok(report) => {
            match serde_json::to_string(&report) {
                Ok(text) if json => println!("{text}"),
                _ => println!("{report}"),
            }
            ExitCode::from(u8::from(!report.ok))
        }
        Err(why) => {
            eprintln!("doorbuster: {why}");
            ExitCode::from(2)
        }
    }
}
